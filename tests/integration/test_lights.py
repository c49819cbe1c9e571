"""Simulated lights on a real broker, driven by the bridge: calls, power cuts, pauses, overrides, farewell messages."""

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import groupby
from pathlib import Path

import pytest
from aiohttp import web

from bridge.commands.light_test import light_test
from bridge.domain.message import Message
from bridge.errors import BridgeError
from bridge.mqtt.outbox import Outbox
from bridge.runtime.timing import Timing
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.timing import ThreecxTiming
from tests.support.bridges import BridgeProcess, read_config, running, write_config
from tests.support.lights import SimulatedLight
from tests.support.limits import FACTOR, limit
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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(limit(10)):
        while not condition():
            await asyncio.sleep(0.01)


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


async def test_a_light_gets_its_command_again_when_its_power_is_back(
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


async def test_after_a_restart_of_the_broker_lights_get_their_commands_again(
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


async def test_when_the_pbx_does_not_answer_no_light_stays_green(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    timing = Timing(threecx=ThreecxTiming(shortest_trust=0.5))
    async with (
        SimulatedLight(broker.port, "wled") as hall,
        running(config(tmp_path, pbx, url, broker), timing=timing),
    ):
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


async def test_invalid_requests_are_refused_with_a_reason(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with BridgeProcess.start(config(tmp_path, pbx, url, broker)) as process:
        await subscriber.until_latest("3cx/bridge/state", "online")
        for topic, payload, retain, message in (
            ("desk/set", '{"override": {"color": "reddish"}}', False, "override.color: 'reddish' is no colour"),
            ("desk/set", '{"override": {"colour": "red"}}', False, "override.colour: unknown key; did you mean color?"),
            ("desk/set", '{"override": 7}', False, "override: expected keys and values"),
            ("desk/set", '{"pause": "yes"}', False, "pause must be true or false, not 'yes'"),
            ("set", "{}", False, "write {"),
            ("nobody/set", '{"pause": true}', False, "there is no light 'nobody'"),
            ("desk/set", '{"pause": true}', True, "a retained request is refused"),
        ):
            await subscriber.publish(f"3cx/lights/{topic}", payload, retain=retain)
            await process.says(message)
        assert subscriber.json("3cx/lights/desk/state")["shows"] == "available"


async def test_a_light_removed_from_the_configuration_leaves_nothing_retained(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with bridge(tmp_path, pbx, url, broker):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert "homeassistant/device/3cx2mqtt_hq/light_desk/config" in subscriber.latest
        assert "3cx/lights/desk/state" in subscriber.latest
    await subscriber.until_latest("3cx/bridge/state", "offline")
    async with running(config(tmp_path, pbx, url, broker, more="")):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: not [topic for topic in subscriber.latest if "light" in topic])


async def test_light_test_shows_the_palette_while_the_running_bridge_pauses_the_light(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    path = config(tmp_path, pbx, url, broker)
    async with SimulatedLight(broker.port, "wled") as hall, running(path):
        await hall.until(on=True, color=GREEN)
        await subscriber.until_latest("3cx/bridge/state", "online")
        hall.commands.clear()
        lines: list[str] = []
        # Two commands are 0.25 s apart, and more on a busy machine.
        await light_test(read_config(path), "hall", lines.append, seconds=0.6 if FACTOR == 1 else 1.5)
        assert [line.split()[0] for line in lines] == [
            *("available", "away", "do_not_disturb", "ringing", "dialing", "on_call", "on_hold", "offline", "unknown")
        ]
        assert lines[3] == "ringing         #ff0000 at 100 %, blinking"
        commands = [payload for payload, _ in groupby(payload for payload, _ in hall.commands)]
        shown = [json.loads(payload) for payload in commands[:8]]  # dialing looks as on_call does
        assert [look["seg"][0]["col"][0] for look in shown if look["on"]][:3] == [
            [0, 255, 0],
            [255, 255, 0],
            [0, 0, 255],
        ]
        assert [look["on"] for look in shown] == [True] * 6 + [False, True]
        await hall.until(on=True, color=GREEN)
        state = "3cx/lights/hall/state"
        shown_as = [json.loads(payload)["shows"] for payload in subscriber.payloads(state)]
        assert set(shown_as) == {"available", "override"}
        await subscriber.publish("3cx/lights/hall/set", '{"override": {"color": "magenta", "for": "1h"}}')
        await subscriber.until(lambda: (subscriber.json(state)["override"] or {}).get("color") == "#ff00ff")
        await light_test(read_config(path), "hall", lines.append, seconds=0.01)
        await hall.until(on=True, color=MAGENTA)
        assert subscriber.json(state)["override"]["until"] is not None
        await subscriber.publish("3cx/lights/hall/set", '{"pause": true}')
        await subscriber.until(lambda: subscriber.json(state)["paused"])
        with pytest.raises(BridgeError, match="is paused: end that first"):
            await light_test(read_config(path), "hall", lines.append)
        with pytest.raises(BridgeError, match="there is no light 'roof' in lights: there are desk, door, hall"):
            await light_test(read_config(path), "roof", lines.append)
        path = config(tmp_path, pbx, url, broker, more="lights: [{name: roof, driver: wled, topic: r, users: ['101']}]")
        with pytest.raises(BridgeError, match="does not know the light 'roof': reload or restart it first"):
            await light_test(read_config(path), "roof", lines.append)


@pytest.mark.parametrize(
    "odd", ['{"color": ["red"]}', '{"color": "red", "blink": []}', '{"color": {}, "for": []}', "[[]]"]
)
async def test_an_invalid_override_does_not_stop_later_requests(
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
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Message] = []
    """What the bridge gives to its MQTT session: the broker, which is stalled, shows nothing."""
    publish = Outbox.publish

    def noted(self: Outbox, message: Message) -> None:
        published.append(message)
        publish(self, message)

    def commands(after: str = "") -> int:
        """Commands to the light, or those of them behind the user's first state `after`."""
        topics = [(message.topic, message.payload.decode()) for message in published]
        answered = ("3cx/users/101/state", after)
        begin = (topics.index(answered) if answered in topics else len(topics)) if after else 0
        return len([topic for topic, _ in topics[begin:] if topic == "zigbee2mqtt/desk-ada/set"])

    monkeypatch.setattr(Outbox, "publish", noted)
    async with SimulatedLight(broker.port, "zigbee2mqtt") as desk, bridge(tmp_path, pbx, url, broker):
        await desk.until(on=True, color=GREEN)
        broker.pause()
        seen = len(desk.commands)
        before = commands()
        call = pbx.exchange.ring("0301234567", "101")
        await until(lambda: commands() >= before + 4)  # it blinks: bright, dim, bright, dim
        pbx.exchange.answer(call, "101")
        await until(lambda: commands(after="on_call") >= 1)
        broker.go_on()
        await desk.until(on=True, color=RED)
        async with Subscriber(broker.port) as subscriber:
            await subscriber.until(lambda: '"on_call"' in subscriber.latest.get("3cx/lights/desk/state", ""))
        assert len(desk.commands) - seen <= 2


async def test_a_paused_light_gets_no_farewell_message_from_a_bridge_that_never_synchronised(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async def no_answer(_: web.Request) -> web.StreamResponse | None:
        await asyncio.Event().wait()
        return None

    await subscriber.publish("3cx/bridge/info", '{"pbx":{"name":"hq"}}', retain=True)
    await subscriber.publish("3cx/lights/desk/state", '{"paused":true}', retain=True)
    pbx.intercept = no_answer
    async with SimulatedLight(broker.port, "zigbee2mqtt") as desk:
        async with BridgeProcess.start(config(tmp_path, pbx, url, broker)) as process:
            await process.says("connected to")
            assert await process.signal(signal.SIGTERM) == 0
        await subscriber.until_latest("3cx/bridge/state", "offline")
        assert desk.commands == []


async def test_a_topic_can_be_birth_topic_and_availability_topic_of_a_light(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    light = "{name: a, driver: home_assistant, topic: a/set, users: ['101'], availability: homeassistant/status}"
    async with running(config(tmp_path, pbx, url, broker, more=f"lights: [{light}]")):
        await subscriber.until(lambda: "a/set" in subscriber.latest)
        await subscriber.publish("homeassistant/status", "online")
        await subscriber.until(lambda: len(subscriber.payloads("a/set")) == 2)
        topic = "homeassistant/device/3cx2mqtt_hq/light_a/config"
        await subscriber.until(lambda: len(subscriber.payloads(topic)) == 2)
