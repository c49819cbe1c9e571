import io
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.log import LogFormat, LogLevel, LogSettings, Recurring, Troubles, harmless, redacted, setup
from tests.support.clock import FakeClock

LOGGER = logging.getLogger("bridge.test")


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("bridge")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def logged(form: LogFormat, level: LogLevel = LogLevel.INFO, secrets: tuple[str, ...] = ()) -> io.StringIO:
    stream = io.StringIO()
    setup(LogSettings(level, form), secrets, stream)
    return stream


@pytest.mark.parametrize("form", list(LogFormat))
def test_secrets_never_show_not_even_in_tracebacks(form: LogFormat) -> None:
    stream = logged(form, secrets=("hush", "hush-hush"))
    LOGGER.info("the key is %s", "hush-hush")
    try:
        raise ValueError("hush")
    except ValueError:
        LOGGER.exception("oh")
    assert "hush" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 2


def test_the_journal_gets_priorities_and_no_second_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        setup(LogSettings(LogLevel.DEBUG, LogFormat.TEXT), ("hush-hush",), stream)
        LOGGER.error("two\nlines \x1b[31m")
        LOGGER.warning("with hush-hush")
        LOGGER.info("news")
        LOGGER.debug("details")
        monkeypatch.setenv("JOURNAL_STREAM", "1:1")
        setup(LogSettings(LogLevel.DEBUG, LogFormat.TEXT), (), stream)
        LOGGER.info("elsewhere")
    *lines, other = (tmp_path / "journal").read_text().splitlines()
    assert lines == ["<3>ERROR   two\\nlines \\x1b[31m", "<4>WARNING with ***", "<6>INFO    news", "<7>DEBUG   details"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO    elsewhere", other)


def test_json_lines_can_be_read_by_machines() -> None:
    stream = logged(LogFormat.JSON)
    LOGGER.warning("a %s", "ü")
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"], line["message"]) == ("warning", "bridge.test", "a ü")


def test_the_level_is_ours_and_libraries_only_warn() -> None:
    stream = logged(LogFormat.TEXT, LogLevel.DEBUG)
    LOGGER.debug("ours")
    logging.getLogger("aiohttp").info("theirs")
    assert "ours" in stream.getvalue()
    assert "theirs" not in stream.getvalue()


def test_what_fails_again_and_again_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    trouble = Recurring(LOGGER)
    trouble.recovered("fine")
    for message in ("down", "down", "down", "refused", "down"):
        trouble.failed(message)
    trouble.recovered("fine again")
    trouble.recovered("fine again")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "down"),
        ("DEBUG", "down"),
        ("DEBUG", "down"),
        ("WARNING", "refused"),
        ("DEBUG", "down"),
        ("INFO", "fine again"),
    ]
    trouble.failed("down")
    assert caplog.records[-1].levelname == "WARNING"


def test_what_several_suffer_from_in_turn_is_told_once_and_that_it_is_over_by_the_last_of_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    troubles = Troubles(LOGGER)
    for message in ("down", "slow", "down", "slow"):
        troubles.failed("users", message)
        troubles.failed("calls", message)
    troubles.recovered("users")
    troubles.recovered("users")
    troubles.recovered("calls")
    loud = [(record.levelname, record.message) for record in caplog.records if record.levelno > logging.DEBUG]
    assert loud == [("WARNING", "down"), ("WARNING", "slow"), ("INFO", "calls is read again")]


def test_what_comes_and_goes_is_told_as_that_once_and_is_over_when_it_has_worked_for_long(
    caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    caplog.set_level(logging.INFO)
    trouble = Recurring(LOGGER, 300.0, clock.clock.monotonic)
    for _ in range(50):
        trouble.failed("down")
        clock.turn(5)
        trouble.recovered("fine")
        clock.turn(5)
        trouble.recovered("fine")
    clock.turn(290)
    trouble.recovered("fine")
    clock.turn(5)
    trouble.recovered("fine")
    trouble.failed("down")
    assert [record.message for record in caplog.records] == [
        "down",
        "fine",
        "down; this comes and goes, and is told at debug level from now on",
        "fine",
        "down",
    ]


def test_what_several_suffer_from_now_and_then_is_told_once(caplog: pytest.LogCaptureFixture, clock: FakeClock) -> None:
    caplog.set_level(logging.INFO)
    troubles = Troubles(LOGGER, 300.0, clock.clock.monotonic)
    for _ in range(50):
        for source in ("users", "calls"):
            troubles.failed(source, "down")
        clock.turn(5)
        for source in ("users", "calls"):
            troubles.recovered(source)
        clock.turn(5)
    assert [record.message for record in caplog.records] == [
        "down",
        "calls is read again",
        "down; this comes and goes, and is told at debug level from now on",
    ]


def test_what_one_has_got_over_is_news_of_another(caplog: pytest.LogCaptureFixture, clock: FakeClock) -> None:
    caplog.set_level(logging.INFO)
    troubles = Troubles(LOGGER, 300.0, clock.clock.monotonic)
    troubles.failed("users", "down")
    troubles.recovered("users")
    clock.turn(50)
    troubles.failed("calls", "down")
    assert [record.message for record in caplog.records] == ["down", "users is read again", "down"]


def test_the_memory_of_what_was_told_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    trouble = Recurring(LOGGER)
    for number in range(1000):
        trouble.failed(f"{number}")
    caplog.clear()
    for number in (999, 0):
        trouble.failed(f"{number}")
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == ["0"]


@pytest.mark.parametrize(
    ("secrets", "text", "shown"),
    [
        (("no",), "this 3CX has no such thing, not now: no!", "this 3CX has *** such thing, not now: ***!"),
        (("users",), "8 users; users_busy 1", "8 ***; users_busy 1"),
        (("long-enough",), "xlong-enoughx", "x***x"),
        (('pa"ss\\word',), r'{"message": "pa\"ss\\word"}', '{"message": "***"}'),
        (("gehe\\tim-ü",), r"login 'gehe\\tim-\xfc'", "login '***'"),
        (("long-enough", "long-enough-too"), "long-enough-too", "***"),
        (("a.c",), "abc a.c", "abc ***"),
        (("",), "text", "text"),
    ],
)
def test_short_secrets_are_taken_out_as_words(secrets: tuple[str, ...], text: str, shown: str) -> None:
    assert redacted(text, secrets) == shown


def test_what_a_terminal_would_obey_is_harmless() -> None:
    assert harmless("Łucja \x1b[2J\x9b\u202e\n😀") == "Łucja ?[2J???😀"
