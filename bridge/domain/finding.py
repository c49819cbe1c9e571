"""The results of a check, one for each thing that was tried."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_MOST_SEVERE_FIRST = (78, 77, 69, 1)
"""See bridge.errors. A wrong configuration comes first, as the other failures may follow from it."""


class Verdict(StrEnum):
    """`warn`: it works, but something should be looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. `message` says what was found and, where something is wrong, what to do about it."""

    about: str
    verdict: Verdict
    message: str
    exit_code: int = 0
    """The exit code of a command that found nothing worse; 0 unless the verdict is FAIL."""
    topics: tuple[str, ...] = ()
    """The topics that the broker denies, where that was found."""

    def __str__(self) -> str:
        return f"{self.verdict:<4}  {self.about}: {self.message}"


def ok(about: str, message: str) -> Finding:
    """A result with nothing wrong."""
    return Finding(about, Verdict.OK, message)


def warn(about: str, message: str) -> Finding:
    """It works, but something should be looked at."""
    return Finding(about, Verdict.WARN, message)


def fail(about: str, message: str, exit_code: int = 1) -> Finding:
    """It does not work."""
    return Finding(about, Verdict.FAIL, message, exit_code)


def most_severe(exit_codes: Iterable[int]) -> int:
    """The exit code of a command that met all of these: that of the problem to fix first, 0 where there is none."""
    met = set(exit_codes)
    return next((code for code in _MOST_SEVERE_FIRST if code in met), 0)
