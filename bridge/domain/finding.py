"""What a check found out, one line for each thing that was tried."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_GRAVEST_FIRST = (78, 77, 69, 1)


class Verdict(StrEnum):
    """How it stands: `warn` works, and somebody should look at it."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """`message` says how it stands, and what to do about it where something is wrong."""

    about: str
    verdict: Verdict
    message: str
    exit_code: int = 0
    """Of a command that found this."""

    def __str__(self) -> str:
        return f"{self.verdict:<4}  {self.about}: {self.message}"


def ok(about: str, message: str) -> Finding:
    """All is well."""
    return Finding(about, Verdict.OK, message)


def warn(about: str, message: str) -> Finding:
    """Works, but somebody should look at it."""
    return Finding(about, Verdict.WARN, message)


def fail(about: str, message: str, exit_code: int = 1) -> Finding:
    """Does not work."""
    return Finding(about, Verdict.FAIL, message, exit_code)


def gravest(exit_codes: Iterable[int]) -> int:
    """The exit code of a command that met all of these: what has to be mended first."""
    met = set(exit_codes)
    return next((code for code in _GRAVEST_FIRST if code in met), 0)
