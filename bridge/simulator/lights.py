"""Simulated lights: from the commands of the bridge to what each light shows."""

import json
import re
from collections.abc import Callable, Mapping

from bridge.domain.light import Color, color

Look = tuple[Color | None, bool]
"""The colour, None while it is off; and whether it blinks by itself."""


def _zigbee2mqtt(payload: str) -> Look:
    message = json.loads(payload)
    rgb = message.get("color", {})
    return (Color(rgb["r"], rgb["g"], rgb["b"]) if message["state"] == "ON" else None), False


def _tasmota(payload: str) -> Look:
    commands = dict(command.strip().split(" ", 1) for command in payload.split(";"))
    power = commands["Power1"]
    return (None if power == "OFF" else color(f"#{commands['Color1']}")), power == "BLINK"


def _wled(payload: str) -> Look:
    message = json.loads(payload)
    if not message["on"]:
        return None, False
    (segment,) = message["seg"]
    return Color(*segment["col"][0]), segment["fx"] == 1


_MAKES: Mapping[str, Callable[[str], Look]] = {
    "zigbee2mqtt/([^/]+)/set": _zigbee2mqtt,
    "cmnd/([^/]+)/Backlog0": _tasmota,
    "wled/([^/]+)/api": _wled,
}

COMMAND_FILTERS = tuple(topic.replace("([^/]+)", "+") for topic in _MAKES)
"""Topic filters of the commands for these lights."""


class SimulatedLights:
    """Any number of lights of three makes; each keeps its look."""

    def __init__(self) -> None:
        self._looks: dict[str, Look] = {}

    def obey(self, topic: str, payload: str) -> tuple[str, Look] | None:
        """The light's name and its look, where this command changes its colour or its blinking; None otherwise."""
        for pattern, understand in _MAKES.items():
            if match := re.fullmatch(pattern, topic):
                look = understand(payload)
                if self._looks.get(match[1]) == look:
                    return None
                self._looks[match[1]] = look
                return match[1], look
        return None
