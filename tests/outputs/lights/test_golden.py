"""The commands for a handful of looks, as users see them with mosquitto_sub. Golden files are edited by hand only."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.domain.light import OFF, Color, Look
from bridge.outputs.lights.table import DRIVERS
from tests.outputs.lights.firmware import CASES

GOLDEN = Path(__file__).parent / "golden"
PAGE = Path(__file__).parents[3] / "docs" / "lights.md"
RED, AMBER, WHITE = Color(255, 0, 0), Color(255, 191, 0), Color(255, 255, 255)
LOOKS: dict[str, tuple[Look, str, float]] = {
    "red at 60 %": (Look(RED, 60), "on_call", 0.0),
    "red, blinking": (Look(RED, 100, blink=True), "ringing", 0.0),
    "off": (OFF, "off", 0.0),
    "white at 10 %": (Look(WHITE, 10), "unknown", 0.0),
    "amber within 1.5 s": (Look(AMBER), "on_hold", 1.5),
    "off within 1.5 s": (OFF, "offline", 1.5),
}
"""Look, what it stands for, and seconds of transition."""


@pytest.mark.parametrize("name", DRIVERS)
def test_messages_are_the_golden_ones(name: str) -> None:
    case = CASES[name][0]
    sent = {}
    for title, (look, shows, transition) in LOOKS.items():
        driver = DRIVERS[name](replace(case.options, transition=transition if case.transition else 0.0))
        sent[title] = [[command.topic, command.payload] for command in driver.commands(look, shows)]
    assert sent == json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", DRIVERS)
def test_the_page_on_lights_has_a_row_for_each_driver(name: str) -> None:
    assert f"\n| `{name}` | " in PAGE.read_text()


def test_every_golden_file_has_a_driver() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == DRIVERS.keys()
