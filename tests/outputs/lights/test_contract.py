"""The contract of light drivers: every row of the table against a model of its light's own parser."""

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.domain.light import OFF, Color, Look
from bridge.outputs.lights.protocol import Driver
from bridge.outputs.lights.table import DRIVERS
from tests.outputs.lights.firmware import CASES, Case, Firmware

FASTEST = 1000 / 3
SHOWS = st.sampled_from(["available", "ringing", "override", "unknown"])
CHANNEL = st.integers(0, 255)
COLORS = st.builds(Color, CHANNEL, CHANNEL, CHANNEL).filter(lambda color: color != Color(0, 0, 0))
LIT = st.builds(Look, COLORS, st.integers(1, 100), st.booleans())
LOOKS = st.just(OFF) | LIT
TRANSITIONS = st.integers(0, 100).map(lambda tenths: tenths / 10)
STEPS = st.lists(st.tuples(LOOKS, SHOWS), min_size=1, max_size=4)

EVERY = [
    pytest.param(name, case, id=f"{name}{index or ''}")
    for name in DRIVERS
    for index, case in enumerate(CASES.get(name, ()))
]
every_driver = pytest.mark.parametrize(("name", "case"), EVERY)


def made(name: str, case: Case, transition: float = 0.0) -> Driver:
    return DRIVERS[name](replace(case.options, transition=transition if case.transition else 0.0))


def show(driver: Driver, firmware: Firmware, look: Look, shows: str = "available") -> None:
    for command in driver.commands(look, shows):
        firmware.receive(command.topic, command.payload)


def emitted(color: Color | tuple[int, int, int], brightness: float) -> list[float]:
    channels = color if isinstance(color, tuple) else (color.red, color.green, color.blue)
    return [channel * brightness for channel in channels]


def assert_shows(firmware: Firmware, look: Look, driver: Driver) -> None:
    assert firmware.on is (look.color is not None)
    assert (firmware.period is not None) is (look.blink and driver.blinks)
    if look.color is None:
        return
    assert firmware.period is None or firmware.period >= FASTEST
    wanted = emitted(look.color, look.brightness / 100)
    seen = emitted(firmware.color, firmware.brightness)
    assert seen == pytest.approx(wanted, abs=1.01)
    for before, after in zip(wanted, seen, strict=True):
        assert (before > 0) is (after > 0)


def test_every_driver_has_a_model_of_its_lights_and_every_model_a_driver() -> None:
    assert CASES.keys() == DRIVERS.keys()
    assert all(CASES.values())


@every_driver
@given(look=LOOKS, shows=SHOWS, transition=TRANSITIONS)
def test_one_command_sets_the_whole_look(name: str, case: Case, look: Look, shows: str, transition: float) -> None:
    driver, firmware = made(name, case, transition), case.firmware()
    show(driver, firmware, look, shows)
    assert_shows(firmware, look, driver)


@every_driver
@given(steps=STEPS, transition=TRANSITIONS)
def test_after_any_looks_the_last_one_is_shown(
    name: str, case: Case, steps: list[tuple[Look, str]], transition: float
) -> None:
    driver, firmware = made(name, case, transition), case.firmware()
    for look, shows in steps:
        show(driver, firmware, look, shows)
        assert_shows(firmware, look, driver)


@every_driver
@given(before=LIT, after=LOOKS)
def test_after_a_blink_any_other_look_is_steady(name: str, case: Case, before: Look, after: Look) -> None:
    driver, firmware = made(name, case), case.firmware()
    show(driver, firmware, replace(before, blink=True))
    show(driver, firmware, replace(after, blink=False))
    assert firmware.period is None


@every_driver
@given(look=LOOKS, shows=SHOWS, transition=TRANSITIONS)
def test_commands_are_valid_and_the_same_every_time(
    name: str, case: Case, look: Look, shows: str, transition: float
) -> None:
    driver, again = made(name, case, transition), made(name, case, transition)
    commands = list(driver.commands(look, shows))
    assert commands == list(driver.commands(look, shows)) == list(again.commands(look, shows))
    assert commands
    for command in commands:
        assert command.topic in driver.topics
        assert "\0" not in command.payload
        if case.json:
            assert isinstance(json.loads(command.payload), dict)


@every_driver
def test_the_availability_of_each_make_is_read(name: str, case: Case) -> None:
    availability = made(name, case).availability
    assert (availability and availability.topic) == case.availability
    if availability is not None:
        assert [availability.is_online(payload) for payload in case.online] == [True] * len(case.online)
        assert [availability.is_online(payload) for payload in case.offline] == [False] * len(case.offline)


@every_driver
@given(garbage=st.text() | st.sampled_from(["", "null", "[]", "{}", '{"state":1}', '{"state":null}', "[" * 100_000]))
def test_any_other_availability_payload_is_ignored(name: str, case: Case, garbage: str) -> None:
    availability = made(name, case).availability
    assume(garbage.strip().casefold() not in {"online", "offline", "true", "false"})
    assert availability is None or availability.is_online(garbage) is None
