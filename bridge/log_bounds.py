"""Bounds what others can have written into the log: per place in the code, and there per sender or name."""

import logging
import re
import time
from collections.abc import Callable
from contextvars import ContextVar

from bridge.domain.allowance import Allowance

of_pbx: ContextVar[str | None] = ContextVar("of_pbx", default=None)
"""The `pbx.name` that a task works for, in a process with several bridges: its lines are named and bounded by it."""

MOST_LINES = 100
"""Lines that one place may log at once, and subjects that it may name in `_FORGOTTEN_AFTER`."""
_LINES_PER_SECOND = 1 / 60
"""Lines of one place later on."""
_FORGOTTEN_AFTER = 24 * 3600.0
"""Seconds after which the subjects of a place count as new again."""
_MOST_COMPARED = 200
"""Characters of a subject and of a message by which they are told apart."""

_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""What senders put into a message by what they send: two messages that differ only there are of one kind."""


class LogBounds:
    """Says which records are logged, and which are only details.

    A message that others can provoke, about something that they choose, comes with that as `extra={"subject": topic}`:
    it is logged once for each subject, for 100 of them. All other messages have an allowance, far more than what goes
    wrong by itself takes. What is beyond either is counted, and told at 1, 10, 100 and so on.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._places: dict[tuple[str | None, str, int], _Place] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record; one beyond the bounds is made a debug record.

        All handlers of the process share the decision: the first that asks leaves it with the record.
        """
        within: bool | None = getattr(record, "within_bounds", None)
        if within is None:
            within = record.levelno < logging.INFO or self._decide(record)
            record.__dict__["within_bounds"] = within
            if not within:
                record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return within or logging.getLogger("bridge").isEnabledFor(logging.DEBUG)

    def _decide(self, record: logging.LogRecord) -> bool:
        key = (of_pbx.get(), record.pathname, record.lineno)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = _Place(self._monotonic)
        message = record.getMessage()
        subject: str | None = getattr(record, "subject", None)
        if subject is None:
            granted = place.may_log()
        else:
            kind = _VARYING.sub("", message.replace(subject, "")[:_MOST_COMPARED])
            subject = subject[:_MOST_COMPARED] + kind
            if place.knows(subject):
                return False
            granted = place.may_name(subject)
        if granted:
            return True
        held = place.hold_back()
        more = "more like this are counted only" if held == 1 else f"{held} like this by now"
        record.msg, record.args = f"{message}; {more}", ()
        return _is_power_of_ten(held)


class _Place:
    """What one place in the code has logged."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._subjects: set[str] = set()
        self._held = 0
        self._allowance = Allowance(_LINES_PER_SECOND, MOST_LINES, monotonic)

    def knows(self, subject: str) -> bool:
        """Whether this subject was named."""
        if self._monotonic() - self._began >= _FORGOTTEN_AFTER:
            self._began = self._monotonic()
            self._subjects.clear()
            self._held = 0
        return subject in self._subjects

    def may_name(self, subject: str) -> bool:
        """Whether there is room for another subject, which is remembered."""
        if len(self._subjects) >= MOST_LINES:
            return False
        self._subjects.add(subject)
        return True

    def may_log(self) -> bool:
        """Whether there is an allowance for a line."""
        if self._allowance.is_full:
            self._held = 0
        return not self._allowance.take()

    def hold_back(self) -> int:
        """Count a line that is not logged; returns how many there were."""
        self._held += 1
        return self._held


def _is_power_of_ten(number: int) -> bool:
    return str(number).strip("0") == "1"
