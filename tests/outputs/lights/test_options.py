"""Options that a driver cannot work with are refused with what to write instead; the others take effect."""

import re

import pytest

from bridge.domain.light import OFF, Color, Look
from bridge.domain.model import State
from bridge.outputs.lights.protocol import DriverOptions
from bridge.outputs.lights.table import DRIVERS

WRONG = {
    "two prefixes": (
        "tasmota",
        DriverOptions("%prefix%/%prefix%/desk"),
        "topic: write %prefix% once, as in Tasmota's FullTopic",
    ),
    "a placeholder left in a FullTopic": (
        "tasmota",
        DriverOptions("%prefix%/%topic%"),
        "topic: replace %topic% by the device's Topic; of Tasmota's placeholders only %prefix% may stay",
    ),
    "the topic of commands to Zigbee2MQTT": (
        "zigbee2mqtt",
        DriverOptions("zigbee2mqtt/desk/set"),
        "topic: the driver adds /set, write zigbee2mqtt/desk",
    ),
    "the topic of commands to WLED": ("wled", DriverOptions("wled/a/api"), "topic: the driver adds /api, write wled/a"),
    "the topic of commands to ESPHome": (
        "esphome",
        DriverOptions("desk/light/lamp/command"),
        "topic: the driver adds /command, write desk/light/lamp",
    ),
    "the topic of calls to Shelly": (
        "shelly_gen2",
        DriverOptions("desk/rpc"),
        "topic: the driver adds /rpc, write desk",
    ),
    "the topic of commands to Shelly": (
        "shelly_gen1",
        DriverOptions("shellies/desk/color/0/set"),
        "topic: write shellies/<device> alone, the driver adds /color/ and the rest",
    ),
    "an effect of Zigbee": (
        "zigbee2mqtt",
        DriverOptions("zigbee2mqtt/desk", effect="blink"),
        "effect: leave it out, Zigbee's effects end by themselves, so the bridge alternates bright and dim",
    ),
    "an empty effect": (
        "esphome",
        DriverOptions("desk/light/lamp", effect=" "),
        "effect: write the name that the light has for an effect that blinks, or leave it out",
    ),
    "the effect that is none": (
        "home_assistant",
        DriverOptions("desk/set", effect="none"),
        "effect: write the name that the light has for an effect that blinks, or leave it out",
    ),
    "an unknown component": (
        "shelly_gen2",
        DriverOptions("desk", component="light"),
        "component: write one of rgb, rgbw, rgbcct, as the device or its profile is",
    ),
    "no default payload": (
        "template",
        DriverOptions("desk", payloads={"off": "0"}),
        "payloads.default: is missing, add what to send where no other payload applies",
    ),
    "a payload for an unknown state": (
        "template",
        DriverOptions("desk", payloads={"default": "1", "rining": "2"}),
        f"payloads.rining: is no state, write one of {', '.join(State)}, off, override, default",
    ),
    "an unknown name in a payload": (
        "template",
        DriverOptions("desk", payloads={"default": "$colour"}),
        "payloads.default: $colour is unknown, write $r, $g, $b, $hex, $brightness or $state, or $$ for a dollar sign",
    ),
    "a dollar sign without a name": (
        "template",
        DriverOptions("desk", payloads={"default": "1", "on_call": "5 $"}),
        "payloads.on_call: a $ has no name after it, write $$ for a dollar sign",
    ),
    "an option without effect": (
        "wled",
        DriverOptions("desk", payloads={"default": "1"}),
        "payloads: has no effect with the driver wled, leave it out",
    ),
    "a channel where there are none": (
        "esphome",
        DriverOptions("desk/light/lamp", channel=1),
        "channel: has no effect with the driver esphome, leave it out",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_reported_with_what_to_write(mistake: str) -> None:
    name, options, sentence = WRONG[mistake]
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        DRIVERS[name](options)


def sent(name: str, options: DriverOptions, look: Look, shows: str = "on_call") -> str:
    (command,) = DRIVERS[name](options).commands(look, shows)
    return command.payload


@pytest.mark.parametrize(
    ("name", "effect", "blinks"),
    [
        ("zigbee2mqtt", None, False),
        ("tasmota", None, True),
        ("wled", None, True),
        ("shelly_gen1", None, False),
        ("shelly_gen2", None, False),
        ("esphome", None, False),
        ("esphome", "Blink", True),
        ("home_assistant", None, False),
        ("home_assistant", "Blink", True),
    ],
)
def test_a_driver_blinks_by_itself_where_its_effect_does_not_end(name: str, effect: str | None, blinks: bool) -> None:
    assert DRIVERS[name](DriverOptions("desk/light/lamp", effect=effect)).blinks is blinks


def test_a_light_of_any_other_make_is_made_to_blink_by_the_bridge() -> None:
    assert not DRIVERS["template"](DriverOptions("desk", payloads={"default": ""})).blinks


@pytest.mark.parametrize(
    ("topic", "status"),
    [
        ("desk/light/lamp", "desk/status"),
        ("home/light/desk/light/lamp", "home/light/desk/status"),
        ("lamps/desk", None),
        ("/light/lamp", None),
    ],
)
def test_the_node_of_an_esphome_light_is_the_part_before_light(topic: str, status: str | None) -> None:
    availability = DRIVERS["esphome"](DriverOptions(topic)).availability
    assert (availability and availability.topic) == status


@pytest.mark.parametrize(
    ("name", "transition", "written"),
    [
        ("zigbee2mqtt", 2.0, '"transition":2}'),
        ("zigbee2mqtt", 0.1, '"transition":0.1}'),
        ("tasmota", 0.1, "Fade 1; Speed 1;"),
        ("tasmota", 1.2, "Fade 1; Speed 2;"),
        ("tasmota", 60.0, "Fade 1; Speed 40;"),
        ("wled", 0.25, '"transition":3,'),
        ("shelly_gen1", 10.0, '"transition":5000}'),
        ("shelly_gen2", 0.0, '"transition_duration":0.5}'),
        ("shelly_gen2", 2.0, '"transition_duration":2}'),
        ("esphome", 0.4, '"transition":0}'),
        ("esphome", 0.5, '"transition":1}'),
        ("home_assistant", 0.5, '"transition":0.5}'),
    ],
)
def test_a_transition_is_written_in_the_units_of_the_make(name: str, transition: float, written: str) -> None:
    assert written in sent(name, DriverOptions("office/desk", transition=transition), Look(Color(1, 2, 3)))


def test_a_template_payload_is_chosen_by_what_is_shown_then_off_then_the_default() -> None:
    payloads = {"on_call": "busy", "off": "dark", "default": "$state $hex $r $g $b $brightness $$"}
    options = DriverOptions("desk", payloads=payloads)
    assert sent("template", options, Look(Color(255, 0, 0))) == "busy"
    assert sent("template", options, OFF, "offline") == "dark"
    assert sent("template", options, Look(Color(255, 16, 0), 40), "away") == "away ff1000 255 16 0 40 $"
    assert sent("template", DriverOptions("desk", payloads={"default": "$hex $brightness"}), OFF) == "000000 0"
