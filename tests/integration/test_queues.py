"""Queues and the PBX as a whole, as subscribers see them."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator import SimulatedPbx
from tests.integration.test_oneshot import command
from tests.support.bridges import running, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

WAITING = "3cx/queues/8000/waiting"
LIGHT = "lights: [{name: desk, driver: wled, topic: wled/x, queue: '8000'}]"
SOURCES = {"users_source": "interval: 500ms", "active_calls": "interval: 500ms"}


def everything(folder: Path, pbx: SimulatedPbx, url: str, port: int, *, push: bool, more: str = LIGHT) -> Path:
    call_control = "" if push else "enabled: false"
    path = write_config(
        folder, pbx, url, port, source="enabled: false", call_control=call_control, more=more, **SOURCES
    )
    text = path.read_text()
    for name, options in (("queues", "interval: 1s"), ("system", "interval: 5s")):
        text = text.replace(f"  {name}: {{enabled: false}}", f"  {name}: {{{options}}}")
    path.write_text(text)
    return path


@pytest.mark.parametrize("push", [True, False], ids=["push", "poll"])
async def test_topic_light_and_home_assistant_agree_on_who_waits(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, push: bool
) -> None:
    pbx.version, pbx.lists_services = "20.0.10.51", push

    def shows() -> Any:
        return json.loads(subscriber.latest.get("3cx/lights/desk/state", "{}")).get("shows")

    async with running(everything(tmp_path, pbx, url, broker.port, push=push)):
        await subscriber.until_latest(WAITING, "0")
        await subscriber.until(lambda: shows() == "idle")
        calls = [pbx.exchange.ring(f"030123456{number}", "8000") for number in range(3)]
        await subscriber.until_latest(WAITING, "3")
        await subscriber.until(lambda: shows() == "waiting")
        await subscriber.until(lambda: subscriber.json("3cx/queues/8000")["waiting"] == 3)
        assert subscriber.json("3cx/queues/8000")["longest_since"] is not None
        discovery = subscriber.json("homeassistant/device/3cx2mqtt_hq/queue_8000/config")
        assert discovery["components"]["waiting"]["state_topic"] == WAITING
        pbx.change("101", queue="LoggedIn")
        await subscriber.until(lambda: subscriber.json("3cx/queues/8000")["agents"]["logged_in"] == ["101"])
        for call in calls:
            pbx.exchange.end(call)
        await subscriber.until_latest(WAITING, "0")
        await subscriber.until(lambda: shows() == "idle")
        await subscriber.until(lambda: subscriber.json("3cx/system")["version"] == "20.0.10.51")


async def test_a_source_that_is_switched_off_or_refused_leaves_nothing(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.version = "20.0.10.51"
    config = everything(tmp_path, pbx, url, broker.port, push=True, more="")
    async with running(config):
        await subscriber.until(lambda: {WAITING, "3cx/queues/8000", "3cx/system"} <= subscriber.latest.keys())
        code, output, _ = await command("check", "-c", config)
        assert ("ok    queues: 1 queue\n" in output, "ok    system: works" in output, code) == (True, True, 0)
    pbx.may_read_numbers = pbx.may_read_system = False
    async with running(config):
        await subscriber.until(lambda: not {WAITING, "3cx/queues/8000", "3cx/system"} & subscriber.latest.keys())
        await subscriber.until(lambda: not any("queue_8000" in topic for topic in subscriber.latest))
        code, output, _ = await command("check", "-c", config)
    assert "warn  queues: /Queues: the PBX refuses this API client (HTTP 403, " in output
    assert code == 0


async def test_cleanup_takes_queues_and_system_with_it(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = everything(tmp_path, pbx, url, broker.port, push=True)
    async with running(config):
        await subscriber.until(lambda: {WAITING, "3cx/queues/8000", "3cx/system"} <= subscriber.latest.keys())
    code, _, _ = await command("cleanup", "-c", config, "--yes")
    assert code == 0
    await subscriber.until(
        lambda: not [topic for topic in subscriber.latest if "check" not in topic and "wled" not in topic]
    )
