"""Files that people name in the configuration: only regular ones are read, as a pipe would be waited for."""

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path, most: int) -> bytes:
    """What is in a file, up to one byte more than `most`; OSError where it is no regular file that can be read."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        _check(os.fstat(file.fileno()).st_mode, path)
        return file.read(most + 1)


def check_regular(path: Path) -> None:
    """OSError unless `path` is a regular file that exists; for libraries that open it themselves."""
    _check(path.stat().st_mode, path)


def _check(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
