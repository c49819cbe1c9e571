"""How long to wait after a refused login, remembered across restarts.

A PBX blocks an address after a few refused logins, and a service manager that restarts the bridge must not cause that.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from bridge.files import read_regular
from bridge.sources.threecx.settings import PbxSettings

FIRST_WAIT = 15 * 60.0
LONGEST_WAIT = 4 * 60 * 60.0
"""Seconds."""
TAKEOVER = 90.0
"""Seconds after a takeover from another bridge, within which a refused login is no proof of wrong credentials."""
AFTER_TAKEOVER = 65.0
"""Seconds until such a login is tried again, once."""

_logger = logging.getLogger(__name__)


class LoginBackoff:
    """When these credentials may be tried again: 15 minutes after a refusal, doubling up to 4 hours.

    Refusals of other credentials, or by another PBX, do not count.
    """

    def __init__(self, settings: PbxSettings, directory: Path | None, wall: Callable[[], float] = time.time) -> None:
        """`directory` is where the file goes (see state_directory); without one, a restart forgets refusals."""
        self._wall = wall
        self._name = settings.name
        self._directory = directory
        self.last_message: str | None = None
        """The reason of the last refusal."""
        self._fingerprint = _fingerprint(settings)
        self._file = directory / f"refused-{settings.name}.json" if directory else None
        self._refused_at: float | None = None
        self._wait = 0.0
        """The last one of the back-off."""
        self._pause = 0.0
        """From the last refusal to the next login."""
        self._excused_until = float("-inf")
        """Until when one refusal counts as caused by a takeover."""
        self._load()

    def for_settings(self, settings: PbxSettings) -> "LoginBackoff":
        """Itself where `settings` have the same PBX and credentials, else a new one."""
        if _fingerprint(settings) == self._fingerprint and settings.name == self._name:
            return self
        return LoginBackoff(settings, self._directory, self._wall)

    def wait(self) -> float:
        """Seconds until the next login may be tried; 0 when it may be tried now."""
        if self._refused_at is None:
            return 0.0
        passed = self._wall() - self._refused_at
        # a clock that was set back by a year must not wait a year
        return 0.0 if passed < 0 else max(0.0, self._pause - passed)

    def taken_over(self) -> None:
        """Another bridge with these credentials was active until now: the PBX may still refuse because of that."""
        if self._refused_at is None:  # one that was excused already, perhaps by an earlier process, is no proof again
            self._excused_until = self._wall() + TAKEOVER

    def note(self) -> float:
        """Store that a login was refused now; returns the seconds to wait."""
        self._refused_at = self._wall()
        if self._refused_at < self._excused_until and not self._wait:
            self._excused_until = float("-inf")
            self._pause = AFTER_TAKEOVER
        else:
            self._wait = self._pause = min(self._wait * 2, LONGEST_WAIT) if self._wait else FIRST_WAIT
        self._store({"credentials": self._fingerprint, "refused_at": self._refused_at, "wait": self._pause})
        return self._pause

    def forget(self) -> None:
        """Clear the memory, as a login was accepted."""
        if self._refused_at is not None:
            self._refused_at, self._wait, self._pause = None, 0.0, 0.0
            if self._file is not None:
                with suppress(OSError):
                    self._file.unlink(missing_ok=True)

    def _load(self) -> None:
        if self._file is None:
            return
        try:
            stored = json.loads(read_regular(self._file, 4096))
            if stored.get("credentials") == self._fingerprint:
                self._refused_at, self._wait = float(stored["refused_at"]), float(stored["wait"])
                self._pause = self._wait
                if self._wait < FIRST_WAIT:  # an excused one, which begins no back-off
                    self._wait = 0.0
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            _logger.warning("cannot read %s (%s): earlier refusals are not known", self._file, error)

    def _store(self, content: dict[str, object]) -> None:
        """Replace the file as a whole: a crash or a full disk leaves the old one or the new one, never part of one.

        It is not synced to disk: a power failure may cost one wait, which is not worth blocking the loop.
        """
        if self._file is None:
            return
        folder, start = self._file.parent, f"{self._file.name}."
        try:
            # A temporary file is readable by its owner alone from the beginning.
            with NamedTemporaryFile("w", encoding="utf-8", dir=folder, prefix=start, delete=False) as file:
                made = Path(file.name)
                try:
                    json.dump(content, file)
                    file.close()
                    made.replace(self._file)
                except BaseException:
                    made.unlink(missing_ok=True)
                    raise
        except OSError as error:
            _logger.warning("cannot write %s (%s): refusals are forgotten at restart", self._file, error)


def state_directory() -> Path | None:
    """Where to keep what outlives a restart: systemd's $STATE_DIRECTORY, the first if there are several.

    Else `3cx2mqtt` under $XDG_STATE_HOME or ~/.local/state, created if need be; None where that is not possible.
    """
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
    """Shows whether the credentials changed, without revealing them: scrypt makes guessing slow."""
    salt = f"{settings.url}\n{settings.client_id}".encode()
    return hashlib.scrypt(settings.client_secret.encode(), salt=salt, n=2**12, r=8, p=1, dklen=16).hex()
