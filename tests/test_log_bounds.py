import json
import logging
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from bridge.log import Published, RepeatedFailure
from bridge.log_bounds import MOST_LINES, LogBounds, of_pbx
from tests.support.clock import FakeClock

LOGGER = logging.getLogger("bridge.test_log_bounds")
DAY = 24 * 3600


class Lines(logging.Handler):
    """Collects what passes the bounds."""

    def __init__(self, bounds: LogBounds) -> None:
        super().__init__()
        self.addFilter(bounds)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def shown(clock: FakeClock) -> Iterator[list[str]]:
    ours = logging.getLogger("bridge")
    before, handler = ours.level, Lines(LogBounds(clock.clock.monotonic))
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    yield handler.lines
    ours.removeHandler(handler)
    ours.setLevel(before)


def refuse(topic: str, why: str = "not JSON") -> None:
    LOGGER.warning("%s: %s", topic, why, extra={"subject": topic})


def test_a_topic_is_named_once_for_each_kind_of_trouble_and_again_after_a_day(
    shown: list[str], clock: FakeClock
) -> None:
    for number in range(50):
        refuse("a/set", f"unknown key 'x{number}' at {number}")
        refuse("a/set", "retained")
        refuse("b/set")
    assert shown == ["a/set: unknown key 'x0' at 0", "a/set: retained", "b/set: not JSON"]
    clock.turn(DAY)
    refuse("b/set")
    assert shown[3:] == ["b/set: not JSON"]


def test_beyond_100_topics_only_their_number_is_told(shown: list[str]) -> None:
    for number in range(MOST_LINES + 5000):
        refuse(f"{number}/set")
    assert shown[:MOST_LINES] == [f"{number}/set: not JSON" for number in range(MOST_LINES)]
    assert shown[MOST_LINES:] == [
        "100/set: not JSON; more like this are counted only",
        "109/set: not JSON; 10 like this by now",
        "199/set: not JSON; 100 like this by now",
        "1099/set: not JSON; 1000 like this by now",
    ]


def test_one_place_has_no_say_in_the_bounds_of_another(shown: list[str]) -> None:
    for number in range(1000):
        refuse(f"{number}/set")
    LOGGER.warning("the disk is full")
    assert shown[-1] == "the disk is full"


def test_messages_without_a_subject_have_an_allowance_that_is_filled_up_again(
    shown: list[str], clock: FakeClock
) -> None:
    for number in range(MOST_LINES + 50):
        LOGGER.info("contact lost: %d", number)
    assert len(shown) == MOST_LINES + 2  # and two with numbers
    clock.turn(60)
    LOGGER.info("contact lost for ever")
    assert shown[-1] == "contact lost for ever"
    clock.turn(DAY)
    shown.clear()
    for number in range(MOST_LINES + 1):
        LOGGER.info("contact lost: %d", number)
    assert shown[MOST_LINES - 1 :] == ["contact lost: 99", "contact lost: 100; more like this are counted only"]


def test_a_repeated_failure_is_bounded_with_the_place_that_reports_it(shown: list[str]) -> None:
    failure = RepeatedFailure(LOGGER)
    for number in range(1000):
        failure.failed(f"flapping {number}")
        failure.recovered("back")
    RepeatedFailure(LOGGER).failed("elsewhere")
    assert shown.count("back") == MOST_LINES
    assert sum(line.startswith("flapping") for line in shown) == MOST_LINES + 3
    assert shown[-1] == "elsewhere"


def test_all_handlers_share_one_decision(shown: list[str]) -> None:
    published: list[str] = []
    with Published(published.append, ()):
        for number in range(MOST_LINES * 3):
            LOGGER.warning("oh %d", number)
    lines = [json.loads(line)["message"] for line in published]
    assert lines == shown
    assert len(lines) < MOST_LINES + 5


def test_at_debug_level_nothing_is_held_back_from_the_log_but_from_the_broker(shown: list[str]) -> None:
    logging.getLogger("bridge").setLevel(logging.DEBUG)
    published: list[str] = []
    with Published(published.append, ()):
        for number in range(MOST_LINES * 3):
            LOGGER.warning("ah %d", number)
    assert len(shown) == MOST_LINES * 3
    assert len(published) < MOST_LINES + 5


def test_bridges_in_one_process_have_bounds_of_their_own_and_publish_their_own_lines(shown: list[str]) -> None:
    def warn() -> None:
        LOGGER.warning("a warning")

    def noise() -> list[str]:
        of_pbx.set("noisy")
        with Published((lines := list[str]()).append, ()):
            for _ in range(3 * MOST_LINES):
                warn()
        return lines

    with Published((of_process := list[str]()).append, ()):
        noisy = copy_context().run(noise)
        before = len(shown)
        warn()
    assert shown[before:] == ["a warning"]
    assert (len(noisy) >= MOST_LINES, len(of_process)) == (True, 1)
