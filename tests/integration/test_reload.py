"""A new configuration while it runs: topics that are gone are cleared, the others stay, on the same connection."""

import asyncio
import signal
from pathlib import Path

import pytest
from aiohttp import web

from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, write_config
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.subscriber import Subscriber

USERS = {"source": "enabled: false", "users_source": "interval: 500ms"}


def discovery(subscriber: Subscriber) -> set[str]:
    return {topic for topic in subscriber.latest if topic.endswith("/config")}


async def test_other_options_apply_without_a_break_in_the_connection(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, **USERS)) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        pbx.change("102", profile="Away")
        await subscriber.until(lambda: subscriber.json("3cx/users/102")["state"] == "away")
        since = subscriber.json("3cx/users/102")["since"]
        seen = len(subscriber.log)
        more = "groups: {all: ['1*']}\ncommands: {queue: true}\nlights: [{name: d, driver: wled, topic: w, group: all}]"
        write_config(
            tmp_path,
            pbx,
            url,
            broker.port,
            users='exclude: ["100"]',
            homeassistant="discovery_prefix: ha",
            more=more,
            **USERS,
        )
        bridge.hang_up()
        await subscriber.until(
            lambda: "3cx/users/100/state" not in subscriber.latest and "3cx/groups/all" in subscriber.latest
        )
        await subscriber.until(lambda: {topic.split("/")[0] for topic in discovery(subscriber)} == {"ha"})
        await subscriber.until(lambda: "3cx/lights/d/state" in subscriber.latest)
        await subscriber.publish("3cx/users/101/set", '{"queue": "logged_in"}')
        await subscriber.until(lambda: subscriber.json("3cx/users/101")["queue"] == "logged_in")
        news = [(topic, payload) for topic, payload, _ in subscriber.log[seen:]]
        assert [payload for topic, payload in news if topic == "3cx/bridge/state"] == ["online"]
        assert not [payload for topic, payload in news if topic == "3cx/users/102/state"]
        assert subscriber.json("3cx/users/102")["since"] == since
        assert bridge.log().count("connected to") == 1
        assert await bridge.signal(signal.SIGTERM) == 0
        await subscriber.until_latest("3cx/bridge/state", "offline")


async def test_verbose_holds_after_a_reload(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    path = write_config(tmp_path, pbx, url, free_port())
    path.write_text(path.read_text().replace("level: debug", "level: error"))
    async with BridgeProcess.start(path, arguments=["-v"]) as bridge:
        await bridge.says("cannot connect to the MQTT broker")
        bridge.hang_up()
        await bridge.says("configuration read again")  # logged at info
        seen = len(bridge.log())
        await bridge.until(lambda log: "DEBUG" in log[seen:])


async def test_topics_of_options_that_are_off_now_are_unsubscribed(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    path = write_config(tmp_path, pbx, url, broker.port, more="commands: {queue: true}", **USERS)
    async with BridgeProcess.start(path) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        write_config(tmp_path, pbx, url, broker.port, **USERS)
        bridge.hang_up()
        await subscriber.until(lambda: not subscriber.json("3cx/bridge/info")["config"]["commands"]["queue"])
        await subscriber.publish("3cx/users/101/set", '{"queue": "logged_in"}')
        await subscriber.publish("3cx/bridge/request/users", "{}")
        await subscriber.until(lambda: "3cx/bridge/response/users" in subscriber.latest)
        assert pbx.users["101"].queue == "LoggedOut"
        assert "3cx/users/101/set" not in bridge.log()


async def test_a_removed_light_gets_its_farewell_and_the_others_none(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    hall, desk, name = (
        f"{{name: {name}, driver: wled, topic: {topic}, users: ['101'], on_exit: 'off'}}"
        for name, topic in (("hall", "wled/hall"), ("desk", "wled/desk"), ("table", "wled/desk"))
    )
    path = write_config(tmp_path, pbx, url, broker.port, more=f"lights: [{hall}, {desk}]", **USERS)
    async with BridgeProcess.start(path) as bridge:
        await subscriber.until(lambda: {"wled/hall/api", "wled/desk/api"} <= subscriber.latest.keys())
        write_config(tmp_path, pbx, url, broker.port, more=f"lights: [{name}]", **USERS)
        seen = len(subscriber.log)
        bridge.hang_up()
        await subscriber.until(lambda: '"on":false' in subscriber.latest["wled/hall/api"].replace(" ", ""))
        await subscriber.until(lambda: "3cx/lights/table/state" in subscriber.latest)
        commands = [payload for topic, payload, _ in subscriber.log[seen:] if topic == "wled/desk/api"]
        assert not [payload for payload in commands if '"on":false' in payload.replace(" ", "")]


@pytest.mark.parametrize("removed_by", [1, 2])
async def test_a_farewell_to_a_light_outlasts_a_second_reload(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, removed_by: int
) -> None:
    """The second one comes before the first is through: the PBX hangs."""
    light = "lights: [{name: hall, driver: wled, topic: wled/hall, users: ['101'], on_exit: 'off'}]"
    hanging = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse | None:
        await hanging.wait()
        return None

    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, more=light, **USERS)) as bridge:
        await subscriber.until(lambda: "wled/hall/api" in subscriber.latest)
        pbx.intercept = hang
        for times in (1, 2):
            write_config(tmp_path, pbx, url, broker.port, more="" if times >= removed_by else light, **USERS)
            bridge.hang_up()
            await bridge.until(lambda log, times=times: log.count("configuration read again") >= times)  # type: ignore[misc]
        await subscriber.until(lambda: '"on":false' in subscriber.latest["wled/hall/api"].replace(" ", ""), 20)
        hanging.set()


async def test_another_broker_gets_everything_and_the_old_one_offline(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port)) as bridge, Mosquitto(folder) as other:
        await subscriber.until_latest("3cx/bridge/state", "online")
        write_config(tmp_path, pbx, url, other.port)
        bridge.hang_up()
        await subscriber.until_latest("3cx/bridge/state", "offline")
        async with Subscriber(other.port) as there:
            await there.until_latest("3cx/bridge/state", "online")
            assert there.latest["3cx/users/100/state"] == "available"


async def test_a_reload_while_the_broker_is_away_holds_once_it_is_back(
    tmp_path: Path, pbx: SimulatedPbx, url: str
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Mosquitto(folder)
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port)) as bridge:
        await bridge.says("cannot connect to the MQTT broker")
        write_config(tmp_path, pbx, url, broker.port, users='exclude: ["100"]')
        bridge.hang_up()
        await bridge.says("configuration read again")
        async with broker, Subscriber(broker.port) as subscriber:
            await subscriber.until_latest("3cx/bridge/state", "online")
            await subscriber.until(lambda: "3cx/users/100/state" not in subscriber.latest)
            assert "3cx/users/101/state" in subscriber.latest


async def test_other_credentials_are_tried_at_once(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, client_secret="wrong")) as bridge:
        await bridge.says("refused client_id")
        await subscriber.until_latest("3cx/bridge/pbx", "offline")
        write_config(tmp_path, pbx, url, broker.port)
        bridge.hang_up()
        await subscriber.until_latest("3cx/users/100/state", "available")
        await subscriber.until_latest("3cx/bridge/pbx", "online")
        assert pbx.tokens.refused == 1


async def test_many_hang_ups_in_a_row_end_in_the_last_configuration(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port)) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        for dn in ("100", "101", "102"):
            write_config(tmp_path, pbx, url, broker.port, users=f'exclude: ["{dn}"]')
            bridge.hang_up()
        await subscriber.until(
            lambda: (
                "3cx/users/102" not in subscriber.latest
                and {"3cx/users/100", "3cx/users/101"} <= set(subscriber.latest)
            )
        )
        assert set(subscriber.payloads("3cx/bridge/state")) == {"online"}
        assert await bridge.signal(signal.SIGTERM) == 0


async def test_a_request_during_a_reload_is_answered_after_it(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """The PBX hangs, so that the reload takes its time."""
    hanging = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse | None:
        await hanging.wait()
        return None

    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, **USERS)) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        pbx.intercept = hang
        await subscriber.publish("3cx/bridge/request/users", "{}")
        await subscriber.until(lambda: "3cx/bridge/response/users" in subscriber.latest)
        bridge.hang_up()
        await bridge.says("configuration read again")
        topic = "3cx/bridge/response/users"
        answered = len(subscriber.payloads(topic))
        await subscriber.publish("3cx/bridge/request/users", '{"transaction": "during"}')
        await subscriber.until(lambda: subscriber.json("3cx/bridge/response/users")["transaction"] == "during", 20)
        await subscriber.until(lambda: subscriber.payloads("3cx/bridge/state") == ["online", "online"])
        await subscriber.publish("3cx/bridge/request/users", '{"transaction": "after"}')
        await subscriber.until(lambda: subscriber.json(topic)["transaction"] == "after")
        assert len(subscriber.payloads(topic)) == answered + 2  # each once, whatever is subscribed to meanwhile
        hanging.set()


async def test_it_ends_well_without_a_broker_after_a_reload(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, free_port())) as bridge:
        await bridge.says("cannot connect to the MQTT broker")
        bridge.hang_up()
        await bridge.says("configuration read again")
        assert await bridge.signal(signal.SIGTERM) == 0
