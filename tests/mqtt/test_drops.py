import logging
from collections.abc import Callable

import pytest

from bridge.mqtt.drops import DropReport
from bridge.statistics import Queue, Statistics
from tests.support.clock import FakeClock

FIRST = "call events and other non-retained messages for the broker: 10 are waiting, so the oldest are dropped"


@pytest.fixture
def statistics(clock: FakeClock) -> Statistics:
    return Statistics(clock.clock)


@pytest.fixture
def report(clock: FakeClock) -> DropReport:
    return DropReport(Queue.PUBLISH, 60.0, clock.clock.monotonic)


def test_an_episode_is_reported_at_its_begin_once_a_minute_and_at_its_end(
    clock: FakeClock, report: DropReport, statistics: Statistics, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(130):
        report.dropped(statistics, 10)
        clock.turn(1)
    report.drained()
    report.drained()
    assert [message.rpartition(": ")[2] for message in caplog.messages] == [
        "10 are waiting, so the oldest are dropped",
        "60 more were dropped",
        "60 more were dropped",
        "9 more were dropped",
    ]
    assert statistics.drops == {Queue.PUBLISH: 130, Queue.RECEIVE: 0}


def test_a_single_drop_is_one_line_and_so_is_the_next_after_the_queue_was_empty(
    report: DropReport, statistics: Statistics, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        report.dropped(statistics, 10)
        report.drained()
    assert caplog.messages == [FIRST, FIRST]


def test_a_warning_that_is_itself_dropped_does_not_warn_again(
    report: DropReport, statistics: Statistics, caplog: pytest.LogCaptureFixture
) -> None:
    """Warnings are published, so with a full queue each one drops a message."""
    with handling(lambda: report.dropped(statistics, 10)):
        report.dropped(statistics, 10)
    assert caplog.messages == [FIRST]
    assert statistics.drops[Queue.PUBLISH] == 2


class handling(logging.Handler):  # noqa: N801  # reads as a statement
    """Calls a function for each line of the drops' logger, for the length of a block."""

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__()
        self._function = function

    def emit(self, _record: logging.LogRecord) -> None:
        self._function()

    def __enter__(self) -> None:
        logging.getLogger("bridge.mqtt.drops").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("bridge.mqtt.drops").removeHandler(self)
