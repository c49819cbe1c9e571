"""Two bridges under one base topic: one goes on, the other is silent, and neither fights."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.mqtt.session_state import SessionState
from bridge.mqtt.timing import MqttTiming
from bridge.runtime.about import Identity
from bridge.runtime.bridge import Bridge
from bridge.runtime.process import Process
from bridge.runtime.timing import Timing
from bridge.simulator import SimulatedPbx
from tests.support.beside import beside
from tests.support.bridges import Hasty, read_config, write_config
from tests.support.faults import until
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

TIMING = replace(Timing(), mqtt=MqttTiming(rival_silence=limit(2.0)), health_interval=0.3)
SMALLER, LARGER = "00000001", "ffffffff"


def folder_in(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


@asynccontextmanager
async def started(
    folder: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, instance: str, mqtt: str = ""
) -> AsyncIterator[Bridge]:
    path = write_config(folder, pbx, url, broker.port, mqtt=f"client_id: b{instance}, {mqtt}")
    bridge = Bridge(read_config(path), rng=Hasty(), process=Process(Identity(instance, 0.0)), timing=TIMING)
    async with beside(bridge.run()):
        yield bridge


@pytest.mark.parametrize("mqtt", ["", "protocol: 3.1.1"])
async def test_the_smaller_goes_on_and_the_other_takes_over_when_it_has_ended(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, mqtt: str
) -> None:
    async with started(folder_in(tmp_path, "larger"), pbx, url, broker, LARGER, mqtt) as larger:
        async with started(folder_in(tmp_path, "smaller"), pbx, url, broker, SMALLER, mqtt) as smaller:
            await until(lambda: larger.session.state is SessionState.SILENT)
            assert "this one is silent" in str(larger.session.why_not)
            assert smaller.session.state is SessionState.IN_SYNC
        await until(lambda: larger.session.state is SessionState.IN_SYNC)
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: subscriber.json("3cx/bridge/info")["instance"] == LARGER)


async def test_the_bridge_that_goes_on_says_so(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with started(tmp_path, pbx, url, broker, SMALLER) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        for uptime in (100, 101):
            await subscriber.publish("3cx/bridge/health", json.dumps({"instance": LARGER, "uptime": uptime}))
        await subscriber.publish("3cx/bridge/request/check", json.dumps({"transaction": "1"}))
        await subscriber.until(lambda: subscriber.json("3cx/bridge/response/check")["transaction"] == "1")
        finding = subscriber.json("3cx/bridge/response/check")["data"][0]
        assert (finding["about"], finding["verdict"]) == ("bridge", "FAIL")
        assert "this one goes on: give each bridge its own mqtt.base_topic" in finding["message"]
        assert bridge.session.state is SessionState.IN_SYNC


async def test_what_somebody_replays_silences_nobody(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with started(tmp_path, pbx, url, broker, LARGER) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        info = subscriber.json("3cx/bridge/info") | {"instance": SMALLER}
        for number in range(6):
            await subscriber.publish("3cx/bridge/info", json.dumps(info), retain=True)
            await subscriber.publish(
                "3cx/bridge/health", '{"instance":"00000001","uptime":100}', retain=number % 2 == 0
            )
        await subscriber.until(lambda: subscriber.json("3cx/bridge/info")["instance"] == LARGER)
        await subscriber.publish("3cx/bridge/pbx", "nonsense", retain=True)
        await subscriber.until_latest("3cx/bridge/pbx", "online")
        assert bridge.session.state is SessionState.IN_SYNC
        assert bridge.session.rival is None
