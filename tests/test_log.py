import io
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.log import LogFormat, LogLevel, LogSettings, RepeatedFailure, RepeatedFailures, harmless, redacted, setup
from bridge.log_bounds import of_pbx
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
def test_secrets_are_redacted_in_lines_and_tracebacks(form: LogFormat) -> None:
    stream = logged(form, secrets=("hush", "hush-hush"))
    LOGGER.info("the key is %s", "hush-hush")
    try:
        raise ValueError("hush")
    except ValueError:
        LOGGER.exception("oh")
    assert "hush" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 2


def test_the_journal_gets_priorities_and_no_time_stamps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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


def test_the_json_format_is_one_object_a_line() -> None:
    stream = logged(LogFormat.JSON)
    LOGGER.warning("a %s", "ü")
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"], line["message"]) == ("warning", "bridge.test", "a ü")


def test_the_level_applies_to_the_bridge_and_libraries_only_warn() -> None:
    stream = logged(LogFormat.TEXT, LogLevel.DEBUG)
    LOGGER.debug("ours")
    logging.getLogger("aiohttp").info("theirs")
    assert "ours" in stream.getvalue()
    assert "theirs" not in stream.getvalue()


def test_a_repeated_failure_is_logged_once_and_its_recovery_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    recurring = RepeatedFailure(LOGGER)
    recurring.recovered("fine")
    for message in ("down", "down", "down", "refused", "down"):
        recurring.failed(message)
    recurring.recovered("fine again")
    recurring.recovered("fine again")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "down"),
        ("DEBUG", "down"),
        ("DEBUG", "down"),
        ("WARNING", "refused"),
        ("DEBUG", "down"),
        ("INFO", "fine again"),
    ]
    recurring.failed("down")
    assert caplog.records[-1].levelname == "WARNING"


def test_a_failure_shared_by_sources_is_logged_once_and_its_recovery_by_the_last_of_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    failures = RepeatedFailures(LOGGER)
    for message in ("down", "slow", "down", "slow"):
        failures.failed("users", message)
        failures.failed("calls", message)
    failures.recovered("users")
    failures.recovered("users")
    failures.recovered("calls")
    loud = [(record.levelname, record.message) for record in caplog.records if record.levelno > logging.DEBUG]
    assert loud == [("WARNING", "down"), ("WARNING", "slow"), ("INFO", "calls: reading again")]


def test_an_intermittent_failure_is_logged_once_and_recovers_after_lasting_success(
    caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    caplog.set_level(logging.INFO)
    recurring = RepeatedFailure(LOGGER, 300.0, clock.clock.monotonic)
    for _ in range(50):
        recurring.failed("down")
        clock.turn(5)
        recurring.recovered("fine")
        clock.turn(5)
        recurring.recovered("fine")
    clock.turn(290)
    recurring.recovered("fine")
    clock.turn(5)
    recurring.recovered("fine")
    recurring.failed("down")
    assert [record.message for record in caplog.records] == [
        "down",
        "fine",
        "down; intermittent: logged at debug level from now on",
        "fine",
        "down",
    ]


def test_an_intermittent_failure_shared_by_sources_is_logged_once(
    caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    caplog.set_level(logging.INFO)
    failures = RepeatedFailures(LOGGER, 300.0, clock.clock.monotonic)
    for _ in range(50):
        for source in ("users", "calls"):
            failures.failed(source, "down")
        clock.turn(5)
        for source in ("users", "calls"):
            failures.recovered(source)
        clock.turn(5)
    assert [record.message for record in caplog.records] == [
        "down",
        "calls: reading again",
        "down; intermittent: logged at debug level from now on",
    ]


def test_a_failure_one_source_has_recovered_from_is_logged_again_for_another(
    caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    caplog.set_level(logging.INFO)
    failures = RepeatedFailures(LOGGER, 300.0, clock.clock.monotonic)
    failures.failed("users", "down")
    failures.recovered("users")
    clock.turn(50)
    failures.failed("calls", "down")
    assert [record.message for record in caplog.records] == ["down", "users: reading again", "down"]


def test_the_number_of_remembered_messages_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    recurring = RepeatedFailure(LOGGER)
    for number in range(1000):
        recurring.failed(f"{number}")
    caplog.clear()
    for number in (999, 0):
        recurring.failed(f"{number}")
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
def test_short_secrets_are_redacted_as_whole_words_only(secrets: tuple[str, ...], text: str, shown: str) -> None:
    assert redacted(text, secrets) == shown


def test_control_codes_are_replaced_for_terminals() -> None:
    assert harmless("Łucja \x1b[2J\x9b\u202e\n😀") == "Łucja ?[2J???😀"


@pytest.mark.parametrize("form", list(LogFormat))
def test_a_pipe_that_nobody_reads_holds_up_nobody_and_what_it_does_not_take_is_counted(form: LogFormat) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader:
        with os.fdopen(writing, "w") as writer:
            setup(LogSettings(LogLevel.DEBUG, form), (), writer)
            for number in range(2000):
                LOGGER.debug("%d %s", number, "x" * 100)
            kept = os.read(reading, 1 << 20).count(b"\n")
            LOGGER.debug("long %s", "y" * 10_000)
        *_, loss, last = reader.read().decode().splitlines()
    assert 100 < kept < 2000
    assert f"{2000 - kept} lines of the log were dropped, as nobody read them" in loss
    assert "y" * 10_000 in last


def test_a_process_with_several_bridges_names_the_pbx_in_each_line() -> None:
    text, json_lines = logged(LogFormat.TEXT), None
    before = of_pbx.set("hq")
    try:
        LOGGER.info("a line")
        json_lines = logged(LogFormat.JSON)
        LOGGER.info("a line")
    finally:
        of_pbx.reset(before)
    assert text.getvalue().rstrip().endswith("INFO    [hq] a line")
    assert json.loads(json_lines.getvalue())["pbx"] == "hq"
