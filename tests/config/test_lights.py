"""`lights:` and `palette:`: looks, and mistakes with their place."""

import json
from pathlib import Path

import pytest

from bridge.domain.model import State
from bridge.outputs.lights.table import DRIVERS
from tests.config.loading import MINIMAL, loaded, mistakes

LIGHT = 'lights:\n  - name: desk\n    driver: wled\n    topic: wled/1a2b3c\n    users: ["101"]\n'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "lights: {name: desk}\n",
            [
                (
                    "config.yaml:5 lights: expected a list, such as [{name: desk, driver: wled, topic: wled/1a2b3c, "
                    "users: ['101']}], not a mapping"
                )
            ],
        ),
        ("lights: [desk]\n", ["config.yaml:5 lights.0: expected keys and values, not text"]),
        (
            "lights:\n  - name: desk\n    drivre: wled\n",
            [
                "config.yaml:6 lights.0.driver (desk): is required: add driver",
                "config.yaml:6 lights.0.topic (desk): is required: add topic",
                "config.yaml:7 lights.0.drivre (desk): unknown key; did you mean driver?",
            ],
        ),
        (
            LIGHT.replace("wled\n", "hue\n"),
            [
                f"config.yaml:7 lights.0.driver (desk): 'hue' is no driver: there are {', '.join(DRIVERS)}",
            ],
        ),
        (
            LIGHT + "    hours: {from: 8, to: '25:00', days: [monday], tz: Mars/Base, after: dark}\n",
            [
                "config.yaml:10 lights.0.hours.after (desk): 'dark' is not one of off, keep",
                "config.yaml:10 lights.0.hours.days.0 (desk): 'monday' is not one of mon, tue, wed, thu, fri, sat, sun",
                "config.yaml:10 lights.0.hours.from (desk): '8' is no time of day: write 08:00",
                "config.yaml:10 lights.0.hours.to (desk): '25:00' is no time of day: write 08:00",
                (
                    "config.yaml:10 lights.0.hours.tz (desk): 'Mars/Base' is no time zone that this machine knows: "
                    "write one such "
                    "as Europe/Berlin"
                ),
            ],
        ),
        (
            LIGHT + LIGHT.removeprefix("lights:\n"),
            [
                "config.yaml:10 lights.1.name (desk): 'desk' is used twice: give each light a name of its own",
                (
                    "config.yaml:12 lights.1.topic (desk): wled/1a2b3c/api is the topic of the light 'desk' too: "
                    "use another"
                ),
            ],
        ),
        (
            LIGHT + "    group: sales\n",
            ["config.yaml:6 lights.0 (desk): must name whom the light follows: one of users, group and queue"],
        ),
        (
            LIGHT.replace('users: ["101"]', "group: sales"),
            ["config.yaml:9 lights.0.group (desk): 'sales' is not one of groups"],
        ),
        (
            LIGHT + "    effect: Blink\n",
            ["config.yaml:10 lights.0.effect (desk): has no effect with the driver wled, leave it out"],
        ),
        (
            (
                "lights:\n  - name: a/b\n    driver: template\n    topic: signs\n    users: ['*']\n"
                "    payloads:\n      default: $colour\n"
            ),
            ["config.yaml:6 lights.0.name (a/b): 'a/b' '/' has a meaning of its own in MQTT topics"],
        ),
        (
            (
                "lights:\n  - name: sign\n    driver: template\n    topic: signs\n    users: ['*']\n"
                "    payloads:\n      default: $colour\n"
            ),
            [
                (
                    "config.yaml:11 lights.0.payloads.default (sign): $colour is unknown, write $r, $g, $b, $hex, "
                    "$brightness or "
                    "$state, or $$ for a dollar sign"
                )
            ],
        ),
        (
            "palette: {on_call: reddish, busy: red, away: {colour: red}}\n",
            [
                "config.yaml:5 palette.away.color: is required: add color",
                "config.yaml:5 palette.away.colour: unknown key; did you mean color?",
                (
                    "config.yaml:5 palette.busy: 'busy' is not one of available, away, do_not_disturb, ringing, "
                    "dialing, "
                    "on_call, on_hold, offline, unknown, waiting, idle"
                ),
                (
                    "config.yaml:5 palette.on_call: 'reddish' is no colour: write a name (red, green, blue, "
                    "yellow, amber, "
                    "orange, magenta, pink, purple, cyan, turquoise, white), '#rrggbb' or 'r,g,b' from 0 to 255, "
                    "keep, or off"
                ),
            ],
        ),
    ],
)
def test_mistakes_in_lights_are_reported_with_their_line(tmp_path: Path, text: str, problems: list[str]) -> None:
    assert mistakes(tmp_path, MINIMAL + text) == problems


@pytest.mark.parametrize(
    ("driver", "topic", "problem"),
    [
        ("tasmota", "cmnd/desk", "write the device's Topic alone, desk: the driver adds cmnd/ and the command"),
        ("tasmota", "cmnd/lamp/POWER", "write the device's Topic alone, lamp: the driver adds cmnd/ and the command"),
        ("home_assistant", "light.desk", "light.desk is an entity of Home Assistant: write the light's own MQTT topic"),
        ("esphome", "light.desk", "light.desk is an entity of Home Assistant: write the light's own MQTT topic"),
        ("zigbee2mqtt", "Desk lamp", "write zigbee2mqtt/Desk lamp: Zigbee2MQTT's base topic, and the friendly name"),
        ("shelly_gen2", "shelly-1/command/rgbw:0", "write the device's MQTT prefix alone, shelly-1"),
    ],
)
def test_topics_of_another_kind_are_refused_with_the_right_one(
    tmp_path: Path, driver: str, topic: str, problem: str
) -> None:
    light = f"{{name: desk, driver: {driver}, topic: {topic!r}, users: ['101']}}"
    assert f"config.yaml:5 lights.0.topic (desk): {problem}" in mistakes(tmp_path, f"{MINIMAL}lights: [{light}]\n")


def test_topics_of_devices_may_start_with_a_slash(tmp_path: Path) -> None:
    lights = (
        "{name: a, driver: tasmota, topic: /%prefix%/desk, users: ['101']}",
        "{name: b, driver: zigbee2mqtt, topic: /house/zigbee/desk, users: ['101'], availability: /house/b}",
    )
    found = loaded(tmp_path, f"{MINIMAL}lights: [{', '.join(lights)}]\n").lights
    assert [set(light.driver.topics) for light in found] == [{"/cmnd/desk/Backlog0"}, {"/house/zigbee/desk/set"}]
    assert [light.driver.availability and light.driver.availability.topic for light in found] == [
        "/tele/desk/LWT",
        "/house/b",
    ]


def test_an_empty_colour_is_refused(tmp_path: Path) -> None:
    assert mistakes(tmp_path, MINIMAL + "palette:\n  on_call:\n    color: #ff0000\n    blink: true\n") == [
        "config.yaml:7 palette.on_call.color: is empty, as # begins a comment: put the value in quotes, or write null"
    ]
    (problem,) = mistakes(tmp_path, MINIMAL + "palette: {away: null}\n")
    assert problem.startswith("config.yaml:5 palette.away: must not be empty: a colour that begins with # needs quotes")


def test_a_light_follows_one_queue_with_a_palette_of_its_own(tmp_path: Path) -> None:
    light = "lights: [{name: desk, driver: wled, topic: wled/x, queue: '800', palette: {idle: green}}]\n"
    (found,) = loaded(tmp_path, MINIMAL + light).lights
    assert found.queue == "800"
    assert {word: str(look) for word, look in found.looks.items()} == {
        "waiting": "#ff0000 at 100 %, blinking",
        "unknown": "#ffffff at 10 %",
        "idle": "#00ff00 at 100 %",
    }


def test_a_state_may_leave_the_light_alone(tmp_path: Path) -> None:
    (light,) = loaded(tmp_path, MINIMAL + LIGHT + "palette: {available: keep, away: {color: keep}}\n").lights
    assert (light.looks[State.AVAILABLE], light.looks[State.AWAY]) == (None, None)


def test_hours_are_by_the_common_time_zone_unless_they_have_their_own(tmp_path: Path) -> None:
    def zone(more: str, common: str = "time_zone: Europe/Berlin\n") -> str | None:
        (light,) = loaded(tmp_path, f"{MINIMAL}{LIGHT}    hours: {{from: 08:00, to: '18:00'{more}}}\n{common}").lights
        assert light.hours is not None
        return light.hours.zone.key if light.hours.zone else None

    assert zone("") == "Europe/Berlin"
    assert zone(", tz: Asia/Tokyo") == "Asia/Tokyo"
    assert zone("", common="") is None


def test_a_light_s_palette_overrides_the_common_one(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        MINIMAL
        + LIGHT
        + "    brightness: 60\n    palette: {available: off}\n    cue: blink\n    priority: [offline]\n"
        + "palette: {on_call: '#ff8000', available: cyan, away: {color: '1,2,3', brightness: 5}, dialing: '#000000'}\n",
    )
    (light,) = config.lights
    assert {state: str(look) for state, look in light.looks.items()} == {
        "available": "off",
        "away": "#010203 at 5 %",
        "do_not_disturb": "#0000ff at 60 %, blinking",
        "ringing": "#ff0000 at 60 %, blinking",
        "dialing": "off",
        "on_call": "#ff8000 at 60 %, blinking",
        "on_hold": "#ffff00 at 60 %, blinking",
        "offline": "off",
        "unknown": "#ffffff at 10 %",
    }
    assert (light.priority[0], len(light.priority)) == ("offline", 9)
    json.dumps(config.public())
