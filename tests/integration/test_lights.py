"""Lights on a real broker, driven by the real bridge: they follow, come back, are paused, and never stay green."""

import asyncio
import json
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from aiohttp import web

from bridge.commands.light_test import light_test
from bridge.errors import BridgeError
from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, read_config, running, write_config
from tests.support.lights import SimulatedLight
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

RED, GREEN, BLUE, WHITE, MAGENTA = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (255, 0, 255)

LIGHTS = """\
lights:
  - {name: desk, driver: zigbee2mqtt, topic: zigbee2mqtt/desk-ada, users: ["101"], on_exit: off}
  - {name: door, driver: tasmota, topic: desk-ada, users: ["101"]}
  - {name: hall, driver: wled, topic: wled/1a2b3c, group: all, on_exit: keep}
groups: {all: ["10*"]}
"""


def config(folder: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, more: str = LIGHTS) -> Path:
    return write_config(
        folder,
        pbx,
        url,
        broker.port,
        source="enabled: false",
        users_source="interval: 500ms",
        active_calls="interval: 500ms",
        call_control="enabled: true",
        more=more,
    )


def bridge(folder: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto) -> AbstractAsyncContextManager[None]:
    return running(config(folder, pbx, url, broker))


async def test_lights_of_three_makes_follow_a_call(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with (
        SimulatedLight(broker.port, "zigbee2mqtt") as desk,
        SimulatedLight(broker.port, "tasmota") as door,
        SimulatedLight(broker.port, "wled") as hall,
    ):
        async with bridge(tmp_path, pbx, url, broker):
            for light in (desk, door, hall):
                await light.until(on=True, color=GREEN)
            call = pbx.exchange.ring("0301234567", "101")
            await door.until(on=True, color=RED, blinking=True)
            await hall.until(on=True, color=RED, blinking=True)
            bright, dim = len(desk.commands), len(desk.commands) + 1
            await subscriber.until(lambda: len(desk.commands) > dim)
            brightness = [json.loads(payload)["brightness"] for payload, _ in desk.commands[bright - 1 : dim + 1]]
            assert {64, 254} <= set(brightness)
            pbx.exchange.answer(call, "101")
            for light in (desk, door, hall):
                await light.until(on=True, color=RED)
            await subscriber.until(lambda: subscriber.json("3cx/lights/hall/state")["shows"] == "on_call")
            assert subscriber.json("3cx/lights/hall/state") == {
                "shows": "on_call",
                "why": "101 on_call",
                "color": "#ff0000",
                "brightness": 100,
                "blink": False,
                "paused": False,
                "override": None,
                "online": True,
            }
            pbx.exchange.end(call)
            pbx.change("102", profile="Out of office")
            await desk.until(on=True, color=GREEN)
            await hall.until(on=True, color=BLUE)
        await desk.until(on=False)
        await door.until(on=True, color=(26, 26, 26))
        await hall.until(on=True, color=BLUE)
        assert not [payload for light in (desk, door, hall) for payload, retained in light.commands if retained]


async def test_a_light_that_lost_its_power_is_told_when_it_is_back(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with SimulatedLight(broker.port, "zigbee2mqtt") as desk, bridge(tmp_path, pbx, url, broker):
        await desk.until(on=True, color=GREEN)
        await desk.unplug()
        await subscriber.until(lambda: subscriber.json("3cx/lights/desk/state")["online"] is False)
        pbx.change("101", profile="Out of office")
        await subscriber.until_latest("3cx/users/101/state", "do_not_disturb")
        desk.commands.clear()
        await desk.plug_in()
        await desk.until(on=True, color=BLUE)


async def test_after_a_restart_of_the_broker_lights_are_told_again(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    async with SimulatedLight(broker.port, "zigbee2mqtt") as desk, bridge(tmp_path, pbx, url, broker):
        await desk.until(on=True, color=GREEN)
        await desk.unplug()
        await broker.stop()
        pbx.change("101", profile="Out of office")
        await broker.start()
        await desk.plug_in()
        await desk.until(on=True, color=BLUE)


async def test_when_the_pbx_is_silent_nothing_stays_green(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("bridge.engine.engine.SHORTEST_BOUND", "bridge.sources.threecx.poll._LEAST_TRUST"):
        monkeypatch.setattr(bound, 0.5)
    async with SimulatedLight(broker.port, "wled") as hall, bridge(tmp_path, pbx, url, broker):
        await hall.until(on=True, color=GREEN)
        pbx.may_read_users = pbx.may_read_calls = pbx.may_control_calls = False
        await pbx.stream.drop()
        await hall.until(on=True, color=WHITE)
        assert round(hall.firmware.brightness, 2) == 0.1
        pbx.may_read_users = pbx.may_read_calls = pbx.may_control_calls = True
        await refresh(broker)
        await hall.until(on=True, color=GREEN)


async def refresh(broker: Mosquitto) -> None:
    async with Subscriber(broker.port) as subscriber:
        await subscriber.publish("3cx/bridge/request/refresh", "{}")


async def test_pause_and_override_outlive_a_restart_of_the_bridge(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with SimulatedLight(broker.port, "wled") as hall, SimulatedLight(broker.port, "zigbee2mqtt") as desk:
        async with bridge(tmp_path, pbx, url, broker):
            await desk.until(on=True, color=GREEN)
            await subscriber.publish("3cx/lights/desk/set", '{"pause": true}')
            await subscriber.publish("3cx/lights/hall/set", '{"override": {"color": "#ff00ff", "for": "1h"}}')
            await hall.until(on=True, color=MAGENTA)
            await subscriber.until(lambda: subscriber.json("3cx/lights/desk/state")["shows"] == "paused")
        count = len(desk.commands)
        async with bridge(tmp_path, pbx, url, broker):
            await subscriber.until_latest("3cx/bridge/state", "online")
            pbx.change("101", profile="Out of office")
            await subscriber.until_latest("3cx/users/101/state", "do_not_disturb")
            await hall.until(on=True, color=MAGENTA)
            assert subscriber.json("3cx/lights/hall/state")["override"]["color"] == "#ff00ff"
            assert subscriber.json("3cx/lights/desk/state")["paused"] is True
            assert len(desk.commands) == count
            await subscriber.publish("3cx/lights/set", '{"pause": false, "override": null}')
            await desk.until(on=True, color=BLUE)
            await hall.until(on=True, color=BLUE)


async def test_what_makes_no_sense_is_refused_and_said_so(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with BridgeProcess.start(config(tmp_path, pbx, url, broker)) as process:
        await subscriber.until_latest("3cx/bridge/state", "online")
        for topic, payload, retain, message in (
            ("desk/set", '{"override": {"color": "reddish"}}', False, "override.color: 'reddish' is no colour"),
            ("desk/set", '{"override": {"colour": "red"}}', False, "override.colour: unknown key; did you mean color?"),
            ("desk/set", '{"override": 7}', False, "override: keys and values are expected here"),
            ("desk/set", '{"pause": "yes"}', False, "pause is true or false, not 'yes'"),
            ("set", "{}", False, "write {"),
            ("nobody/set", '{"pause": true}', False, "there is no light 'nobody'"),
            ("desk/set", '{"pause": true}', True, "a retained request is refused"),
        ):
            await subscriber.publish(f"3cx/lights/{topic}", payload, retain=retain)
            await process.says(message)
        assert subscriber.json("3cx/lights/desk/state")["shows"] == "available"


async def test_a_light_that_is_configured_no_more_leaves_nothing_behind(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with bridge(tmp_path, pbx, url, broker):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert "homeassistant/device/3cx2mqtt_hq/light_desk/config" in subscriber.latest
        assert "3cx/lights/desk/state" in subscriber.latest
    await subscriber.until_latest("3cx/bridge/state", "offline")
    async with running(config(tmp_path, pbx, url, broker, more="")):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert not [topic for topic in subscriber.latest if "light" in topic]


async def test_light_test_walks_through_the_palette_and_the_running_bridge_waits(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    path = config(tmp_path, pbx, url, broker)
    async with SimulatedLight(broker.port, "wled") as hall, running(path):
        await hall.until(on=True, color=GREEN)
        hall.commands.clear()
        told: list[str] = []
        await light_test(read_config(path), "hall", told.append, seconds=0.6)  # two commands are 0.25 s apart
        assert [line.split()[0] for line in told] == [
            *("available", "away", "do_not_disturb", "ringing", "dialing", "on_call", "on_hold", "offline", "unknown")
        ]
        assert told[3] == "ringing         #ff0000 at 100 %, blinking"
        shown = [json.loads(payload) for payload, _ in hall.commands[:8]]  # dialing looks as on_call does
        assert [look["seg"][0]["col"][0] for look in shown if look["on"]][:3] == [
            [0, 255, 0],
            [255, 255, 0],
            [0, 0, 255],
        ]
        assert [look["on"] for look in shown] == [True] * 6 + [False, True]
        await hall.until(on=True, color=GREEN)
        said = "3cx/lights/hall/state"
        words = [json.loads(payload)["shows"] for payload in subscriber.payloads(said)]
        assert set(words) == {"available", "override"}
        await subscriber.publish("3cx/lights/hall/set", '{"override": {"color": "magenta", "for": "1h"}}')
        await subscriber.until(lambda: (subscriber.json(said)["override"] or {}).get("color") == "#ff00ff")
        await light_test(read_config(path), "hall", told.append, seconds=0.01)
        await hall.until(on=True, color=MAGENTA)
        assert subscriber.json(said)["override"]["until"] is not None
        await subscriber.publish("3cx/lights/hall/set", '{"pause": true}')
        await subscriber.until(lambda: subscriber.json(said)["paused"])
        with pytest.raises(BridgeError, match="is paused: end that first"):
            await light_test(read_config(path), "hall", told.append)
        with pytest.raises(BridgeError, match="there is no light 'roof' in lights: there are desk, door, hall"):
            await light_test(read_config(path), "roof", told.append)
        path = config(tmp_path, pbx, url, broker, more="lights: [{name: roof, driver: wled, topic: r, users: ['101']}]")
        with pytest.raises(BridgeError, match="does not know the light 'roof': reload or restart it first"):
            await light_test(read_config(path), "roof", told.append)


@pytest.mark.parametrize(
    "odd", ['{"color": ["red"]}', '{"color": "red", "blink": []}', '{"color": {}, "for": []}', "[[]]"]
)
async def test_no_message_makes_the_bridge_deaf(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, odd: str
) -> None:
    async with BridgeProcess.start(config(tmp_path, pbx, url, broker)) as process:
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.publish("3cx/lights/desk/set", f'{{"override": {odd}}}')
        await process.says("'3cx/lights/desk/set': override")
        await subscriber.publish("3cx/lights/desk/set", '{"pause": true}')
        await subscriber.until(lambda: subscriber.json("3cx/lights/desk/state")["paused"])
        assert "Traceback" not in process.log()


async def test_after_a_stall_a_light_gets_the_newest_command_and_no_burst_of_them(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    async with SimulatedLight(broker.port, "zigbee2mqtt") as desk, bridge(tmp_path, pbx, url, broker):
        await desk.until(on=True, color=GREEN)
        broker.pause()
        seen = len(desk.commands)
        call = pbx.exchange.ring("0301234567", "101")
        await asyncio.sleep(2)
        pbx.exchange.answer(call, "101")
        await asyncio.sleep(0.5)
        broker.go_on()
        await desk.until(on=True, color=RED)
        async with Subscriber(broker.port) as subscriber:
            await subscriber.until(lambda: '"on_call"' in subscriber.latest.get("3cx/lights/desk/state", ""))
        assert len(desk.commands) - seen <= 2


async def test_a_paused_light_gets_no_farewell_from_a_bridge_that_never_came_so_far(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async def silent(_: web.Request) -> web.StreamResponse | None:
        await asyncio.Event().wait()
        return None

    await subscriber.publish("3cx/bridge/info", '{"pbx":{"name":"hq"}}', retain=True)
    await subscriber.publish("3cx/lights/desk/state", '{"paused":true}', retain=True)
    pbx.intercept = silent
    async with SimulatedLight(broker.port, "zigbee2mqtt") as desk:
        async with BridgeProcess.start(config(tmp_path, pbx, url, broker)) as process:
            await process.says("connected to")
            assert await process.signal(signal.SIGTERM) == 0
        await subscriber.until_latest("3cx/bridge/state", "offline")
        assert desk.commands == []


async def test_a_topic_can_be_home_assistant_s_birth_and_a_light_s_return(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    light = "{name: a, driver: home_assistant, topic: a/set, users: ['101'], availability: homeassistant/status}"
    async with running(config(tmp_path, pbx, url, broker, more=f"lights: [{light}]")):
        await subscriber.until(lambda: "a/set" in subscriber.latest)
        await subscriber.publish("homeassistant/status", "online")
        await subscriber.until(lambda: len(subscriber.payloads("a/set")) == 2)
        topic = "homeassistant/device/3cx2mqtt_hq/light_a/config"
        await subscriber.until(lambda: len(subscriber.payloads(topic)) == 2)
