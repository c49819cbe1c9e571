"""Memory of refused logins, kept across restarts: a service that restarts must not get the PBX to block its address."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bridge.sources.threecx.settings import PbxSettings

FIRST_WAIT = 15 * 60.0
LONGEST_WAIT = 4 * 60 * 60.0

_logger = logging.getLogger(__name__)


class LoginBackoff:
    """When these credentials may be tried again: 15 minutes after a refusal, doubling up to 4 hours.

    `directory` is systemd's $STATE_DIRECTORY; without one the memory lasts as long as the process. Other credentials
    (or another PBX) start with a clean slate.
    """

    def __init__(self, settings: PbxSettings, directory: Path | None, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._name = settings.name
        self._directory = directory
        self.last_message: str | None = None
        """What was said of the last refusal."""
        self._fingerprint = _fingerprint(settings)
        self._file = directory / f"refused-{settings.name}.json" if directory else None
        self._refused_at: float | None = None
        self._wait = 0.0
        self._load()

    def for_settings(self, settings: PbxSettings) -> "LoginBackoff":
        """The same memory, or a new one where the credentials are others."""
        if _fingerprint(settings) == self._fingerprint and settings.name == self._name:
            return self
        return LoginBackoff(settings, self._directory, self._wall)

    def wait(self) -> float:
        """Seconds until the next login may be tried; 0 when it may be tried now."""
        if self._refused_at is None:
            return 0.0
        passed = self._wall() - self._refused_at
        return 0.0 if passed < 0 else max(0.0, self._wait - passed)  # a clock set back must not wait for ever

    def note(self) -> float:
        """Remember a refusal that happened now; returns the seconds to wait."""
        self._refused_at = self._wall()
        self._wait = min(self._wait * 2, LONGEST_WAIT) if self._wait else FIRST_WAIT
        self._store({"credentials": self._fingerprint, "refused_at": self._refused_at, "wait": self._wait})
        return self._wait

    def forget(self) -> None:
        """A login went well."""
        if self._refused_at is not None:
            self._refused_at, self._wait = None, 0.0
            if self._file is not None:
                with suppress(OSError):
                    self._file.unlink(missing_ok=True)

    def _load(self) -> None:
        if self._file is None:
            return
        try:
            stored = json.loads(self._file.read_bytes())
            if stored.get("credentials") == self._fingerprint:
                self._refused_at, self._wait = float(stored["refused_at"]), float(stored["wait"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            _logger.warning("cannot read %s (%s): earlier refusals are not known", self._file, error)

    def _store(self, content: dict[str, object]) -> None:
        if self._file is None:
            return
        try:
            self._file.touch(mode=0o600)
            self._file.write_text(json.dumps(content))
        except OSError as error:
            _logger.warning("cannot write %s (%s): refusals are forgotten at restart", self._file, error)


def state_directory() -> Path | None:
    """systemd's $STATE_DIRECTORY, the first if there are several, else the user's own; None where there is none."""
    first = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if first:
        return Path(first)
    try:
        own = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state", "3cx2mqtt")
        own.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home, or a file system that is read-only
        return None
    return own


def _fingerprint(settings: PbxSettings) -> str:
    """Tells whether the credentials changed, and nothing about them: slow to guess from, salted with url and id."""
    salt = f"{settings.url}\n{settings.client_id}".encode()
    return hashlib.scrypt(settings.client_secret.encode(), salt=salt, n=2**12, r=8, p=1, dklen=16).hex()
