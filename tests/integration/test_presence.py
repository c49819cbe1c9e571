"""The whole bridge with all sources: what happens in the PBX is what subscribers see, by push or by polling."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge import __version__
from bridge.commands.check import check
from bridge.runtime.timing import Timing
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.parse import active_call
from bridge.sources.threecx.timing import ThreecxTiming
from tests.support.bridges import BridgeProcess, read_config, running, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

VERSION = "20.0.10.51"


@pytest.fixture
def pbx() -> SimulatedPbx:
    return SimulatedPbx(users=3, version=VERSION)


def full_config(folder: Path, pbx: SimulatedPbx, url: str, port: int, **sections: str) -> Path:
    sections = {"users_source": "interval: 500ms", "active_calls": "interval: 500ms", "call_control": ""} | sections
    return write_config(folder, pbx, url, port, source="enabled: auto", **sections)


def events(subscriber: Subscriber, dn: str) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in subscriber.payloads(f"3cx/users/{dn}/call")]


def kinds(subscriber: Subscriber, dn: str) -> list[str]:
    return [event["event_type"] for event in events(subscriber, dn)]


async def online(subscriber: Subscriber) -> None:
    await subscriber.until_latest("3cx/bridge/state", "online")
    await subscriber.until(lambda: "20.0.10" in subscriber.latest["3cx/bridge/info"])


async def test_a_call_is_seen_from_the_first_ring_to_the_end(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(full_config(tmp_path, pbx, url, broker.port, active_calls="interval: 1h")):
        await online(subscriber)
        assert subscriber.latest["3cx/users/101/state"] == "available"
        call = pbx.exchange.ring("0301234567", "101")
        await subscriber.until_latest("3cx/users/101/state", "ringing")
        pbx.exchange.answer(call)
        await subscriber.until_latest("3cx/users/101/state", "on_call")
        await subscriber.until(lambda: subscriber.json("3cx/users/101")["call"]["status"] == "on_call")
        assert subscriber.json("3cx/users/101")["call"]["party"] == "…567"
        pbx.exchange.end(call)
        await subscriber.until_latest("3cx/users/101/state", "available")
        await subscriber.until(lambda: kinds(subscriber, "101") == ["ringing", "answered", "ended"])
        assert "0301234567" not in str(subscriber.log)


async def test_profile_registration_and_queue_are_seen(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(full_config(tmp_path, pbx, url, broker.port)):
        await online(subscriber)
        pbx.change("100", profile="Away")
        pbx.change("101", registered=False)
        pbx.change("102", profile="Out of office", queue="LoggedIn")
        await subscriber.until_latest("3cx/users/100/state", "away")
        await subscriber.until_latest("3cx/users/101/state", "offline")
        await subscriber.until_latest("3cx/users/102/state", "do_not_disturb")
        await subscriber.until(lambda: subscriber.json("3cx/users/102")["queue"] == "logged_in")
        assert subscriber.latest["3cx/users/102/busy"] == "ON"


async def test_without_the_right_to_call_control_polling_does_it(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.may_control_calls = False
    async with running(full_config(tmp_path, pbx, url, broker.port)):
        await online(subscriber)
        sources = subscriber.json("3cx/bridge/info")["sources"]
        assert "tick 'Call Control API Access'" in sources["call_control"]["reason"]
        assert not sources["call_control"]["in_use"]
        assert not sources["monitor_status"]["in_use"]
        assert sources["users"] == sources["active_calls"] == {"in_use": True}
        call = pbx.exchange.ring("0301234567", "101")
        await subscriber.until_latest("3cx/users/101/state", "ringing")
        pbx.exchange.answer(call)
        await subscriber.until_latest("3cx/users/101/state", "on_call")
        pbx.exchange.end(call)
        await subscriber.until_latest("3cx/users/101/state", "available")
        await subscriber.until(lambda: kinds(subscriber, "101") == ["ringing", "answered", "ended"])


async def test_users_that_call_control_does_not_cover_are_polled_and_named(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.peers = {"100"}
    async with running(full_config(tmp_path, pbx, url, broker.port)):
        await online(subscriber)
        reason = subscriber.json("3cx/bridge/info")["sources"]["call_control"]["reason"]
        assert "does not cover 2 of 3 users (101, 102)" in reason
        pbx.exchange.ring("100", "101")
        await subscriber.until_latest("3cx/users/100/state", "dialing")
        await subscriber.until_latest("3cx/users/101/state", "ringing")


async def test_while_all_calls_are_pushed_polling_is_relaxed(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(full_config(tmp_path, pbx, url, broker.port)):
        await online(subscriber)
        while len(pbx.requests_to("/Users")) < 4:
            await asyncio.sleep(0.01)
        relaxed = len(pbx.requests_to("/ActiveCalls"))
        assert relaxed <= 2
        pbx.may_control_calls = False
        await pbx.stream.drop()
        while len(pbx.requests_to("/ActiveCalls")) < relaxed + 3:
            await asyncio.sleep(0.01)


async def test_after_an_outage_of_the_pbx_states_are_right_and_no_call_is_invented(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    first = pbx.exchange.ring("0301234567", "101")
    pbx.exchange.answer(first)
    config = full_config(tmp_path, pbx, url, broker.port)
    async with running(config):
        await online(subscriber)
        assert subscriber.latest["3cx/users/101/state"] == "on_call"

        async def down(_: web.Request) -> web.Response:
            return web.Response(status=502)

        pbx.intercept = down
        await pbx.stream.drop()
        pbx.exchange.end(first)
        pbx.exchange.answer(pbx.exchange.ring("0301234568", "102"))
        pbx.change("100", profile="Away")
        while len([request for request in pbx.requests if request.path.endswith("/Users")]) < 3:
            await asyncio.sleep(0.01)
        assert subscriber.latest["3cx/users/101/state"] == "on_call"
        pbx.intercept = None
        await subscriber.until_latest("3cx/users/101/state", "available")
        await subscriber.until_latest("3cx/users/102/state", "on_call")
        await subscriber.until_latest("3cx/users/100/state", "away")
        await subscriber.until(lambda: kinds(subscriber, "101") == ["ended"])
        await subscriber.until(lambda: kinds(subscriber, "102") == ["answered"])


async def test_a_restart_of_the_bridge_makes_up_no_calls_and_keeps_since(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.exchange.answer(pbx.exchange.ring("0301234567", "101"))
    config = full_config(tmp_path, pbx, url, broker.port)
    async with running(config):
        await online(subscriber)
        since = subscriber.json("3cx/users/101")["since"]
    await subscriber.until_latest("3cx/bridge/state", "offline")
    async with running(config):
        await online(subscriber)
        assert subscriber.latest["3cx/users/101/state"] == "on_call"
        assert subscriber.json("3cx/users/101")["since"] == since
    assert subscriber.payloads("3cx/users/101/state") == ["on_call"]
    assert events(subscriber, "101") == []


async def test_it_ends_at_once_though_the_pbx_does_not_say_goodbye(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    forever, opened = asyncio.Event(), asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/callcontrol/ws":
            return None
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        opened.set()
        await forever.wait()
        return socket

    pbx.intercept = silent
    async with BridgeProcess.start(full_config(tmp_path, pbx, url, broker.port)) as bridge:
        await online(subscriber)
        await asyncio.wait_for(opened.wait(), limit(5))
        async with asyncio.timeout(limit(4)):
            assert await bridge.signal(signal.SIGTERM) == 0
    forever.set()


async def test_an_internal_error_does_not_end_the_server(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = [KeyError("nobody thought of this")]

    def faulty(raw: object) -> object:
        if faults:
            raise faults.pop()
        return active_call(raw)

    monkeypatch.setattr("bridge.sources.threecx.parse.active_call", faulty)
    pbx.exchange.answer(pbx.exchange.ring("0301234567", "101"))
    async with running(
        full_config(tmp_path, pbx, url, broker.port, call_control="enabled: false"),
        timing=Timing(threecx=ThreecxTiming(restart=0.01)),
    ):
        await online(subscriber)
        await subscriber.until_latest("3cx/users/101/state", "on_call")
    assert "active_calls: internal error, please report it" in caplog.text


async def test_an_upgrade_while_running_is_noticed(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.version = "20.0.8.1109"
    async with running(full_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: subscriber.json("3cx/bridge/info")["sources"]["monitor_status"]["in_use"])
        assert subscriber.json("3cx/users/100/monitor")["DN"] == "100"
        pbx.version = VERSION
        await subscriber.publish("3cx/bridge/request/refresh", "")
        await subscriber.until(lambda: not subscriber.json("3cx/bridge/info")["sources"]["monitor_status"]["in_use"])
        await subscriber.until(lambda: subscriber.json("3cx/bridge/info")["pbx_version"] == VERSION)


async def test_groups_are_published_and_go_with_the_configuration(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(
        full_config(tmp_path, pbx, url, broker.port, more='groups: {sales: ["10*"], "Büro 1": ["100"]}')
    ):
        await online(subscriber)
        assert subscriber.latest["3cx/groups/sales/busy"] == "OFF"
        assert subscriber.json("3cx/groups/Büro 1")["available"] == ["100"]
        pbx.exchange.ring("0301234567", "102")
        await subscriber.until_latest("3cx/groups/sales/busy", "ON")
        assert "homeassistant/device/3cx2mqtt_hq/group_B_c3_bcro_201/config" in subscriber.latest
    await subscriber.until_latest("3cx/bridge/state", "offline")
    async with running(full_config(tmp_path, pbx, url, broker.port)):
        await online(subscriber)
        await subscriber.until(lambda: not any("groups" in each or "/group_" in each for each in subscriber.latest))


async def test_commands_change_the_pbx_and_its_answer_is_published(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    commands = "commands: {profile: true, queue: true}"
    async with running(full_config(tmp_path, pbx, url, broker.port, more=commands)):
        await online(subscriber)
        await subscriber.publish("3cx/users/101/set", '{"profile": "Away", "queue": "logged_in"}')
        await subscriber.until_latest("3cx/users/101/state", "away")
        await subscriber.until(lambda: subscriber.json("3cx/users/101")["queue"] == "logged_in")
        assert (pbx.users["101"].profile, pbx.users["101"].queue) == ("Away", "LoggedIn")


async def test_commands_that_are_off_retained_or_malformed_are_refused(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    await subscriber.publish("3cx/users/102/set", '{"queue": "logged_in"}', retain=True)
    config = full_config(tmp_path, pbx, url, broker.port, more="commands: {queue: true}")
    async with BridgeProcess.start(config) as bridge:
        await online(subscriber)
        await bridge.says("3cx/users/102/set': a retained request is refused")
        await subscriber.publish("3cx/users/101/set", '{"profile": "Away"}')
        await bridge.says("changing the profile is switched off")
        await subscriber.publish("3cx/users/100/set", '{"queue": "logged_in"}', retain=True)
        await bridge.says("3cx/users/100/set': a retained request is refused")
        await subscriber.publish("3cx/users/101/set", "Away")
        await bridge.says("the request is not JSON")
        await subscriber.publish("3cx/users/999/set", '{"queue": "logged_in"}')
        await bridge.says("there is no user '999'")
    assert not [request for request in pbx.requests if request.method == "PATCH"]


async def test_the_sources_in_use_are_logged_in_one_line(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with BridgeProcess.start(full_config(tmp_path, pbx, url, broker.port)) as bridge:
        await online(subscriber)
        await bridge.says("3 users from users, active_calls, call_control; not in use: monitor_status")
        assert bridge.log().count("has no GetMonitorStatus()") == 1
        assert f"3cx2mqtt {__version__}, with {tmp_path}/config.yaml" in bridge.log()


async def test_options_that_admit_no_user_are_reported(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    sources = {"source": "enabled: false", "users_source": "interval: 500ms"}
    path = write_config(tmp_path, pbx, url, broker.port, users='include: ["9*"]', **sources)
    async with BridgeProcess.start(path) as bridge:
        await online(subscriber)
        nobody = f"{path}:9 users: of 3 users that the PBX reports, include, exclude and special admit none"
        await bridge.says(nobody)
        findings = [finding async for finding in check(read_config(path))]
        assert nobody in [finding.message for finding in findings]
