"""Counts messages that a full queue drops, and reports them without flooding the log."""

import logging
from collections.abc import Callable

from bridge.statistics import Queue, Statistics

_logger = logging.getLogger(__name__)


class DropReport:
    """The drops of one queue, by episodes: from a first drop until the queue is empty.

    The first drop is reported at once, the others at most every `interval` seconds, and the rest at the end.
    """

    def __init__(self, queue: Queue, interval: float, monotonic: Callable[[], float]) -> None:
        self._queue = queue
        self._interval = interval
        self._monotonic = monotonic
        self._unreported = 0
        self._next_report: float | None = None
        """None outside an episode."""

    def dropped(self, statistics: Statistics, waiting: int) -> None:
        """The queue was full, with this many messages: its oldest had to go."""
        statistics.dropped(self._queue)
        now = self._monotonic()
        if self._next_report is None:
            # before logging: warnings are published, so this one may itself be dropped and lead here again
            self._next_report = now + self._interval
            _logger.warning("%s: %d are waiting, so the oldest are dropped", self._queue.description, waiting)
            return
        self._unreported += 1
        if now >= self._next_report:
            self._next_report = now + self._interval
            self._report()

    def drained(self) -> None:
        """The queue is empty."""
        if self._next_report is not None:
            self._next_report = None
            self._report()

    def _report(self) -> None:
        count, self._unreported = self._unreported, 0
        if count:
            _logger.warning("%s: %d more were dropped", self._queue.description, count)
