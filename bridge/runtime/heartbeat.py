"""The file by which a health check sees, without any network, whether the daemon's loops get on.

It holds the process id and the monotonic time of the last beat. That clock is one for the whole machine, so the check
reads the same one, and no correction of the date makes a beat look old, or young.
"""

import json
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import BridgeError

INTERVAL = 10.0
"""Seconds from beat to beat."""

STALE = 30.0
"""Seconds after which a beat says nothing any more."""


class Heartbeat:
    """The heartbeat of the bridge of one PBX, as the daemon writes and as a check reads it.

    It lies in systemd's $RUNTIME_DIRECTORY; else in $XDG_RUNTIME_DIR/3cx2mqtt or, where there is neither, in
    3cx2mqtt-<uid> in $TMPDIR or /tmp. These two must be the user's own and closed to others, as anybody could prepare
    them. (Python's `tempfile` would not do: where /tmp is read-only it takes the current folder, which differs.)
    """

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        """`name` is the PBX's."""
        given = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        self._private = not given
        if given:
            folder = Path(given)
        elif environ.get("XDG_RUNTIME_DIR"):
            folder = Path(environ["XDG_RUNTIME_DIR"], "3cx2mqtt")
        else:
            folder = Path(environ.get("TMPDIR") or "/tmp", f"3cx2mqtt-{os.getuid()}")  # noqa: S108  # checked below
        self.path = folder / f"{name}.heartbeat"

    def beat(self) -> None:
        """Write it anew. OSError where that cannot be."""
        if self._private:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            self._must_be_private()
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"pid": os.getpid(), "monotonic": time.monotonic()}))
        new.replace(self.path)

    def remove(self) -> None:
        """The daemon goes, and says so by that. Nothing happens where there is none, or where it is another's."""
        try:
            if self._read()[0] == os.getpid():
                self.path.unlink()
        except (OSError, ValueError):
            return

    def age(self) -> float:
        """Seconds since the last beat of a daemon that lives; BridgeError says why there is none."""
        try:
            pid, beaten = self._read()
        except FileNotFoundError:
            hint = " (that of a service of systemd is found with RUNTIME_DIRECTORY set)" if self._private else ""
            raise BridgeError(f"not running: there is no {self.path}{hint}") from None
        except (OSError, ValueError) as error:
            raise BridgeError(f"cannot tell: {self.path}: {error}") from None
        age = time.monotonic() - beaten
        if age < 0 or not _lives(pid):
            raise BridgeError(f"not running: the process {pid} of {self.path} is gone")
        if age > STALE:
            raise BridgeError(f"hangs: the process {pid} beat {age:.0f} s ago for the last time ({self.path})")
        return age

    def _read(self) -> tuple[int, float]:
        """Process id and time of the last beat; OSError or ValueError where there is none to be believed."""
        if self._private:
            self._must_be_private()
        found = json.loads(self.path.read_bytes())
        try:
            return int(found["pid"]), float(found["monotonic"])
        except (TypeError, KeyError):
            raise ValueError("is no heartbeat") from None

    def _must_be_private(self) -> None:
        found = self.path.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(f"{self.path.parent} is not a folder of this user's alone (mode 700)")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # it is somebody else's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
