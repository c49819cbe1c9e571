"""The heartbeat file: a health check reads it to see, without any network, whether the daemon's loops are running.

It holds the process id and the monotonic time of the last heartbeat. The monotonic clock is the same for all processes
of a machine, and setting the date does not change it, so the check can tell the age of a heartbeat reliably.
"""

import json
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import BridgeError
from bridge.files import read_regular

INTERVAL = 10.0
"""Seconds from one heartbeat to the next."""

STALE = 30.0
"""Seconds after which a heartbeat is too old: three of them are missing."""


_LARGEST = 1024 * 1024
"""Bytes of a heartbeat file that are read: a fleet names in it which of its files are wrong."""


class Heartbeat:
    """The heartbeat file of the bridge of one PBX, for the daemon that writes and the check that reads it.

    It is in systemd's $RUNTIME_DIRECTORY; else in $XDG_RUNTIME_DIR/3cx2mqtt or, without either, in 3cx2mqtt-<uid> in
    $TMPDIR or /tmp. The latter two must belong to the user and be closed to others, as another user could create them
    first. (Python's `tempfile` is no help: where /tmp is read-only it falls back to the current folder, which daemon
    and check do not share.)
    """

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        """`name` is `pbx.name`."""
        given = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        self._private = not given
        if given:
            folder = Path(given)
        elif environ.get("XDG_RUNTIME_DIR"):
            folder = Path(environ["XDG_RUNTIME_DIR"], "3cx2mqtt")
        else:
            folder = Path(environ.get("TMPDIR") or "/tmp", f"3cx2mqtt-{os.getuid()}")  # noqa: S108  # checked below
        self.path = folder / f"{name}.heartbeat"

    def write(self, broken: Mapping[str, str] | None = None) -> None:
        """Write the current time, and what is wrong with single bridges of the process, by name of their file.

        Raises OSError where the file cannot be written or its folder is not private.
        """
        if self._private:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            self._must_be_private()
        # Replaced as a whole, as a health check may read it at any moment.
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"pid": os.getpid(), "monotonic": time.monotonic(), "broken": dict(broken or {})}))
        new.replace(self.path)

    def remove(self) -> None:
        """Remove the file at the daemon's end. Does nothing where there is none, or one of another process."""
        try:
            if self._read()[0] == os.getpid():
                self.path.unlink()
        except (OSError, ValueError):
            return

    def age(self) -> float:
        """Seconds since the last heartbeat of a running daemon; BridgeError says why there is none."""
        try:
            pid, last = self._read()
        except FileNotFoundError:
            hint = " (for a systemd service, set RUNTIME_DIRECTORY to the service's)" if self._private else ""
            raise BridgeError(f"not running: there is no {self.path}{hint}") from None
        except (OSError, ValueError) as error:
            raise BridgeError(f"cannot read the heartbeat file {self.path}: {error}") from None
        age = time.monotonic() - last
        if age < 0 or not _lives(pid):
            raise BridgeError(f"not running: the process {pid} named in {self.path} has ended")
        if age > STALE:
            raise BridgeError(f"not responding: last heartbeat of process {pid} {age:.0f} s ago ({self.path})")
        return age

    def broken(self) -> dict[str, str]:
        """What was wrong with single bridges at the last heartbeat; nothing where there is none."""
        try:
            found = json.loads(read_regular(self.path, _LARGEST)).get("broken")
        except (OSError, ValueError, AttributeError):
            return {}
        return {str(name): str(problem) for name, problem in found.items()} if isinstance(found, dict) else {}

    def _read(self) -> tuple[int, float]:
        """Process id and time of the last heartbeat; OSError or ValueError where the file cannot be trusted."""
        if self._private:
            self._must_be_private()
        found = json.loads(read_regular(self.path, _LARGEST))
        try:
            return int(found["pid"]), float(found["monotonic"])
        except (TypeError, KeyError):
            raise ValueError("it is not a heartbeat file") from None

    def _must_be_private(self) -> None:
        found = self.path.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(f"{self.path.parent} is not a folder that only this user can open (mode 700)")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # it runs, as another user
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
