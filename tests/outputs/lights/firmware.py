"""A small model of each make's own parser, as strict as the make or stricter.

Each starts on, in a wrong colour and blinking too fast, so that a command which leaves something out is noticed.
Unknown keys, wrong types and values out of range fail by AssertionError.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from bridge.outputs.lights.protocol import DriverOptions

Rgb = tuple[int, int, int]
TOO_FAST = 200.0


class Firmware(Protocol):
    """A light. `brightness` goes from 0 to 1, `period` is of its blinking, in ms, or None while it is steady."""

    on: bool
    color: Rgb
    brightness: float
    period: float | None

    def receive(self, topic: str, payload: str) -> None:
        """Do what the message says."""


class _Light:
    def __init__(self) -> None:
        self.on = True
        self.color: Rgb = (1, 2, 3)
        self.brightness = 0.5
        self.period: float | None = TOO_FAST


def _document(payload: str) -> dict[str, Any]:
    document = json.loads(payload)
    assert isinstance(document, dict)
    return document


def _keys(document: Mapping[str, Any], required: set[str], optional: frozenset[str] = frozenset()) -> None:
    assert required <= document.keys() <= required | optional, document


def _whole(value: object, least: int, most: int) -> int:
    assert type(value) is int, value
    assert least <= value <= most, value
    return value


def _rgb(value: Mapping[str, object], *keys: str) -> Rgb:
    red, green, blue = (_whole(value[key], 0, 255) for key in keys)
    return red, green, blue


def _list_rgb(value: list[object]) -> Rgb:
    red, green, blue = (_whole(channel, 0, 255) for channel in value)
    return red, green, blue


def _seconds(value: object, least: float = 0) -> None:
    assert type(value) in {int, float}, value
    assert isinstance(value, int | float)
    assert value >= least, value


class Zigbee2Mqtt(_Light):
    """A zigbee light keeps no effect: those of Zigbee end by themselves."""

    def receive(self, topic: str, payload: str) -> None:
        """`zigbee2mqtt/desk-ada/set`."""
        assert topic == "zigbee2mqtt/desk-ada/set"
        message = _document(payload)
        self.period = None
        self.on = {"ON": True, "OFF": False}[message["state"]]
        if not self.on:
            _keys(message, {"state"}, frozenset({"transition"}))
            return
        _keys(message, {"state", "brightness", "color", "transition"})
        _keys(message["color"], {"r", "g", "b"})
        _seconds(message["transition"])
        self.color = _rgb(message["color"], "r", "g", "b")
        self.brightness = _whole(message["brightness"], 1, 254) / 254


class Tasmota(_Light):
    """Power, colour and settings are kept apart, as in Tasmota; its Dimmer is the colour's brightest channel."""

    topic: ClassVar[str] = "cmnd/desk-ada/Backlog0"
    power: ClassVar[str] = "1"

    def __init__(self) -> None:
        super().__init__()
        self.brightness = 1.0
        self._settings = {"Fade": 1, "Speed": 40, "BlinkTime": 2, "BlinkCount": 3}

    def receive(self, topic: str, payload: str) -> None:
        """At most 30 commands, which apply one after the other."""
        assert topic == self.topic
        commands = payload.split(";")
        assert len(commands) <= 30
        for command in commands:
            name, _, value = command.strip().partition(" ")
            if name == "Color1":
                self._color(value)
            elif name == f"Power{self.power}":
                self._power(value)
            else:
                self._setting(name, value)

    def _color(self, value: str) -> None:
        assert re.fullmatch("[0-9A-Fa-f]{6}", value), value
        red, green, blue = bytes.fromhex(value)
        self.color = (red, green, blue)
        self.on = any(self.color)

    def _setting(self, name: str, value: str) -> None:
        ranges = {"Fade": (0, 1), "Speed": (1, 40), "BlinkTime": (2, 3600), "BlinkCount": (0, 32000)}
        self._settings[name] = _whole(int(value), *ranges[name])

    def _power(self, value: str) -> None:
        if value == "BLINK":
            assert self._settings["BlinkCount"] == 0, "it would end"
            assert self._settings["Fade"] == 0, "it would never be dark"
            self.period = 2 * 100 * self._settings["BlinkTime"]
        else:
            self.on = {"ON": True, "OFF": False}[value]
            self.period = None


class TasmotaBehindRelays(Tasmota):
    """One with a FullTopic of its own, and two relays before the light."""

    topic: ClassVar[str] = "home/cmnd/desk-ada/Backlog0"
    power: ClassVar[str] = "3"


class Wled(_Light):
    """Segment 0; while it is dark or a palette is chosen, the right colour is not seen."""

    def __init__(self) -> None:
        super().__init__()
        self._master = True
        self._segment: dict[str, Any] = {
            "on": False,
            "col": [[9, 9, 9], [9, 9, 9]],
            "fx": 7,
            "sx": 250,
            "ix": 1,
            "pal": 5,
        }

    def receive(self, topic: str, payload: str) -> None:
        """JSON under `/api`."""
        assert topic == "wled/1a2b3c/api"
        message = _document(payload)
        _keys(message, {"on", "transition"}, frozenset({"bri", "seg"}))
        _whole(message["transition"], 0, 65535)
        assert isinstance(message["on"], bool)
        self._master = message["on"]
        if "bri" in message:
            self.brightness = _whole(message["bri"], 1, 255) / 255
        for segment in message.get("seg", []):
            assert segment.keys() <= self._segment.keys()
            self._segment |= segment
        self._show()

    def _show(self) -> None:
        segment = self._segment
        assert isinstance(segment["on"], bool)
        first, second = (_list_rgb(color) for color in segment["col"])
        for key in ("sx", "ix", "fx", "pal"):
            _whole(segment[key], 0, 255)
        self.on = self._master and segment["on"]
        self.color = first
        self.period = None
        if self.on and segment["fx"] == 1:
            assert segment["pal"] == 0
            assert second == (0, 0, 0)
            assert 64 <= segment["ix"] <= 192
            self.period = (255 - segment["sx"]) * 20
        elif self.on:
            assert segment["fx"] == 0


class ShellyGen1(_Light):
    """The mode `color`; effects do not end by themselves."""

    def receive(self, topic: str, payload: str) -> None:
        """`color/0/set`."""
        assert topic == "shellies/shellyrgbw2-1a2b3c/color/0/set"
        message = _document(payload)
        _whole(message["transition"], 0, 5000)
        self.on = {"on": True, "off": False}[message["turn"]]
        if not self.on:
            _keys(message, {"turn", "transition"})
            self.period = None
            return
        _keys(message, {"mode", "turn", "red", "green", "blue", "white", "gain", "effect", "transition"})
        assert message["mode"] == "color"
        assert message["white"] == 0
        self.color = _rgb(message, "red", "green", "blue")
        self.brightness = _whole(message["gain"], 1, 100) / 100
        self.period = None if _whole(message["effect"], 0, 6) == 0 else TOO_FAST


class ShellyGen2(_Light):
    """An output of the component RGB."""

    method: ClassVar[str] = "RGB.Set"
    channel: ClassVar[int] = 0

    def receive(self, topic: str, payload: str) -> None:
        """JSON-RPC; without `src` there is no answer."""
        assert topic == "shellyplusrgbwpm-1a2b3c/rpc"
        call = _document(payload)
        _keys(call, {"id", "src", "method", "params"})
        assert call["src"]
        assert call["method"] == self.method
        params = call["params"]
        assert params["id"] == self.channel
        _seconds(params["transition_duration"], 0.5)
        assert isinstance(params["on"], bool)
        self.on = params["on"]
        self.period = None
        if not self.on:
            _keys(params, {"id", "on", "transition_duration"})
            return
        self._light(params)
        self.color = _list_rgb(params["rgb"])
        self.brightness = _whole(params["brightness"], 1, 100) / 100

    def _light(self, params: Mapping[str, Any]) -> None:
        _keys(params, {"id", "on", "brightness", "rgb", "transition_duration"})


class ShellyGen2White(ShellyGen2):
    """An output of the component RGBW, the second one."""

    method: ClassVar[str] = "RGBW.Set"
    channel: ClassVar[int] = 1

    def _light(self, params: Mapping[str, Any]) -> None:
        _keys(params, {"id", "on", "brightness", "rgb", "white", "transition_duration"})
        assert params["white"] == 0


class ShellyGen3Bulb(ShellyGen2):
    """The component RGBCCT, which is white unless its mode is `rgb`."""

    method: ClassVar[str] = "RGBCCT.Set"

    def _light(self, params: Mapping[str, Any]) -> None:
        _keys(params, {"id", "on", "brightness", "rgb", "mode", "transition_duration"})
        assert params["mode"] == "rgb"


class EspHome(_Light):
    """A light with the effect `Blink`; what light_call.cpp would warn of, fails."""

    topic: ClassVar[str] = "desk/light/lamp/command"
    effects: ClassVar[Mapping[str, float]] = {"Blink": 1000.0}

    def receive(self, topic: str, payload: str) -> None:
        """`state` first, then the rest."""
        assert topic == self.topic
        message = _document(payload)
        if "transition" in message:
            self._transition(message["transition"])
        self.on = {"ON": True, "OFF": False}[message["state"]]
        if not self.on:
            _keys(message, {"state"}, frozenset({"transition", "effect"}))
            self.period = self.period if "effect" in message else None  # an effect here keeps the old one running
            return
        _keys(message, {"state", "brightness", "color"}, frozenset({"transition", "effect"}))
        _keys(message["color"], {"r", "g", "b"})
        self.color = _rgb(message["color"], "r", "g", "b")
        self.brightness = _whole(message["brightness"], 1, 255) / 255
        self._effect(message)

    def _transition(self, value: object) -> None:
        _whole(value, 0, 65535)  # a fraction is not read

    def _effect(self, message: Mapping[str, Any]) -> None:
        if "effect" not in message:
            return
        if message["effect"].casefold() == "none":
            self.period = None
        else:
            assert "transition" not in message, "effect cannot be used with transition"
            self.period = self.effects[message["effect"]]


class EspHomeWithoutEffects(EspHome):
    """One whose configuration has none."""

    effects: ClassVar[Mapping[str, float]] = {}


class HomeAssistant(EspHome):
    """A light by the JSON schema that takes fractions of a second."""

    topic: ClassVar[str] = "lights/desk-ada/set"

    def _transition(self, value: object) -> None:
        _seconds(value)


class HomeAssistantWithoutEffects(HomeAssistant):
    """One without effects."""

    def __init__(self) -> None:
        super().__init__()
        self.period = None

    def _effect(self, message: Mapping[str, Any]) -> None:
        assert "effect" not in message


class Template(_Light):
    """Understands what the payloads of CASES say."""

    def receive(self, topic: str, payload: str) -> None:
        """`dark`, or `<what it shows>: <r>,<g>,<b> = <rrggbb> at <percent> %`."""
        assert topic == "lights/desk-ada"
        self.on = payload != "dark"
        self.period = None
        if not self.on:
            return
        match = re.fullmatch(r"[a-z_]+: (\d+),(\d+),(\d+) = ([0-9a-f]{6}) at (\d+) %", payload)
        assert match
        red, green, blue = (int(channel) for channel in match.groups()[:3])
        assert bytes((red, green, blue)).hex() == match[4]
        self.color = (red, green, blue)
        self.brightness = _whole(int(match[5]), 1, 100) / 100


@dataclass(frozen=True)
class Case:
    """A light: its options in the configuration, its availability topic and the payloads that it publishes there."""

    options: DriverOptions
    firmware: type[Firmware]
    availability: str | None
    online: tuple[str, ...] = ("online",)
    offline: tuple[str, ...] = ("offline",)
    json: bool = True
    transition: bool = True


_PAYLOADS = {"default": "$state: $r,$g,$b = $hex at $brightness %", "off": "dark"}
_Z2M = "zigbee2mqtt/desk-ada"
_TASMOTA_WORDS = (("Online",), ("Offline",))
_SHELLY = "shellyplusrgbwpm-1a2b3c"
_TRUE = (("true",), ("false",))
_ANY = (("online", "true", "Online"), ("offline", "false", "Offline"))

CASES: Mapping[str, tuple[Case, ...]] = {
    "zigbee2mqtt": (
        Case(
            DriverOptions(_Z2M),
            Zigbee2Mqtt,
            f"{_Z2M}/availability",
            ("online", '{"state":"online"}'),
            ("offline", '{"state": "offline"}'),
        ),
    ),
    "tasmota": (
        Case(DriverOptions("desk-ada"), Tasmota, "tele/desk-ada/LWT", *_TASMOTA_WORDS, json=False),
        Case(
            DriverOptions("home/%prefix%/desk-ada", channel=3),
            TasmotaBehindRelays,
            "home/tele/desk-ada/LWT",
            *_TASMOTA_WORDS,
            json=False,
        ),
    ),
    "wled": (
        Case(DriverOptions("wled/1a2b3c"), Wled, "wled/1a2b3c/status"),
        Case(DriverOptions("wled/1a2b3c", availability="elsewhere"), Wled, "elsewhere"),
    ),
    "shelly_gen1": (
        Case(
            DriverOptions("shellies/shellyrgbw2-1a2b3c"),
            ShellyGen1,
            "shellies/shellyrgbw2-1a2b3c/online",
            *_TRUE,
        ),
    ),
    "shelly_gen2": (
        Case(DriverOptions(_SHELLY), ShellyGen2, f"{_SHELLY}/online", *_TRUE),
        Case(DriverOptions(_SHELLY, component="rgb"), ShellyGen2, f"{_SHELLY}/online", *_TRUE),
        Case(DriverOptions(_SHELLY, component="rgbw", channel=1), ShellyGen2White, f"{_SHELLY}/online", *_TRUE),
        Case(DriverOptions(_SHELLY, component="rgbcct"), ShellyGen3Bulb, f"{_SHELLY}/online", *_TRUE),
    ),
    "esphome": (
        Case(DriverOptions("desk/light/lamp", effect="Blink"), EspHome, "desk/status"),
        Case(DriverOptions("desk/light/lamp"), EspHomeWithoutEffects, "desk/status"),
    ),
    "home_assistant": (
        Case(DriverOptions("lights/desk-ada/set", effect="Blink"), HomeAssistant, None),
        Case(
            DriverOptions("lights/desk-ada/set", availability="lights/desk-ada/alive"),
            HomeAssistantWithoutEffects,
            "lights/desk-ada/alive",
            *_ANY,
        ),
    ),
    "template": (
        Case(
            DriverOptions("lights/desk-ada", payloads=_PAYLOADS, availability="lights/desk-ada/alive"),
            Template,
            "lights/desk-ada/alive",
            *_ANY,
            json=False,
            transition=False,
        ),
    ),
}
"""By the name of the driver, the first with all that its golden file shows."""
