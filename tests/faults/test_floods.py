"""One client, or the PBX, sends far too much: nobody else loses anything by that."""

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from bridge.log_bounds import MOST_LINES
from bridge.simulator import SimulatedPbx
from tests.support import floods
from tests.support.bridges import BridgeProcess, started, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

EVERYTHING = {
    "users_source": "interval: 500ms",
    "active_calls": "interval: 500ms",
    "call_control": "",
}
PARTICIPANT: dict[str, object] = {
    "dn": "102",
    "status": "Connected",
    "party_dn": "10001",
    "party_dn_type": "Wexternalline",
    "party_caller_id": "0301234567",
}


Start = Callable[[Mosquitto, SimulatedPbx], AbstractAsyncContextManager[floods.Flood]]

LEAST = 3000
"""Messages that a flood has sent before the test ends."""


def mqtt(topic: str, payload: str = "") -> Start:
    return lambda broker, _pbx: floods.messages(broker.port, topic, payload)


def websocket(dn: str, participant: Mapping[str, object] | None = None) -> Start:
    return lambda _broker, pbx: floods.events(pbx, dn, participant)


FLOODS = {
    "empty requests": mqtt("3cx/bridge/request/users"),
    "requests": mqtt("3cx/bridge/request/users", '{"transaction":{}}'),
    "unknown requests": mqtt("3cx/bridge/request/x{}", '{"transaction":{}}'),
    "bogus commands": mqtt("3cx/users/{}/set", "x{}"),
    "commands": mqtt("3cx/lights/desk/set", '{"pause":false}'),
    "calls that never end": websocket("102", PARTICIPANT),
    "calls that are not there": websocket("102"),
    "calls of nobody": websocket("{}"),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_holds_up_nobody_else(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, name: str
) -> None:
    more = "commands: {profile: true}\nlights: [{name: desk, driver: wled, topic: wled/x, users: ['101']}]"
    config = write_config(tmp_path, pbx, url, broker.port, **EVERYTHING, more=more)
    calls = 0
    async with BridgeProcess.start(config) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        quiet = floods.resident(bridge.pid)
        async with FLOODS[name](broker, pbx) as flood:
            while flood.sent < LEAST:
                calls += 1
                call = pbx.exchange.ring(f"030{calls}", "101")
                await subscriber.until_latest("3cx/users/101/state", "ringing")
                pbx.exchange.answer(call)
                await subscriber.until_latest("3cx/users/101/state", "on_call")
                pbx.exchange.end(call)
                await subscriber.until_latest("3cx/users/101/state", "available")
            more_memory = floods.resident(bridge.pid) - quiet
            assert await bridge.signal(signal.SIGTERM) == 0
        assert more_memory < 50
        assert len([line for line in bridge.log().splitlines() if " DEBUG " not in line]) < MOST_LINES + 50
        assert len(subscriber.payloads("3cx/bridge/log")) < MOST_LINES + 20
    kinds = [json.loads(event)["event_type"] for event in subscriber.payloads("3cx/users/101/call")]
    assert kinds == ["ringing", "answered", "ended"] * calls


async def test_a_log_that_nobody_reads_stops_nothing(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port, **EVERYTHING, more="commands: {profile: true}")
    async with started("run", "-v", "-c", config) as process:
        await subscriber.until_latest("3cx/bridge/state", "online")
        async with floods.messages(broker.port, "3cx/users/{}/set", "x") as flood:
            while flood.sent < 2 * LEAST:  # each makes a debug line, which is more than a pipe holds
                await asyncio.sleep(0.05)
        call = pbx.exchange.ring("0301234567", "101")
        await subscriber.until_latest("3cx/users/101/state", "ringing")
        pbx.exchange.end(call)
        await subscriber.until_latest("3cx/users/101/state", "available")
        process.send_signal(signal.SIGTERM)
        await subscriber.until_latest("3cx/bridge/state", "offline")
