"""The connection to the broker fails, or the broker does not do as it should; afterwards it retains what is true.

What other tests show already:

- restarts of a broker with and without persistence, one that comes late, forgets, or speaks 3.1.1; wrong logins, TLS,
  rights that are missing for good, messages that are too long: tests/integration/test_broker.py
- single answers to CONNECT, a cancelled attempt, two bridges with one client id: tests/mqtt/test_connection.py
- any sequence of restarts, outages and changes: tests/integration/test_retained.py
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bridge.simulator import SimulatedPbx
from tests.faults.calls import call_events as told
from tests.faults.conftest import Configure, NameServer, Note
from tests.support.faults import (
    BLACK_HOLE,
    SILENCE,
    TRICKLE,
    Fault,
    Link,
    Log,
    cut,
    living,
    published,
    reset,
    right,
    truth,
    until,
)
from tests.support.mosquitto import Mosquitto, with_rules
from tests.support.subscriber import Subscriber

RIGHT_WITHIN = 6.0
"""Seconds: an attempt that hangs (1 s), the pause to the next one (2 s), reading back (0.1 s); and a busy machine."""

NOTICED = 20.0
KEEPALIVE = 1
"""Seconds; a dead connection is noticed after two of them."""


pytestmark = pytest.mark.usefixtures("impatient")


@pytest_asyncio.fixture
async def way(broker: Mosquitto) -> AsyncIterator[Link]:
    """In front of the broker."""
    async with Link(broker.port) as proxy:
        yield proxy


class Day:
    """Calls before, during and after a fault of the broker: those during it are not told, as nobody was there."""

    def __init__(self, pbx: SimulatedPbx) -> None:
        self._pbx = pbx
        self._talk = pbx.exchange.ring("0301234561", "101")
        pbx.exchange.answer(self._talk)

    def goes_on(self) -> None:
        self._pbx.exchange.end(self._talk)
        self._pbx.change("100", profile="Away")
        self._ring = self._pbx.exchange.ring("0301234562", "102")

    async def is_told_from_here_on(self, subscriber: Subscriber) -> None:
        self._pbx.exchange.answer(self._ring)
        await until(lambda: told(subscriber, "102")[-1:] == ["answered"], RIGHT_WITHIN)
        assert told(subscriber, "102") in (["answered"], ["ringing", "answered"])
        assert told(subscriber, "101") in ([], ["ended"])
        assert told(subscriber, "100") == []


def truth_is_out(subscriber: Subscriber, pbx: SimulatedPbx) -> bool:
    return published(subscriber, pbx) == truth(pbx)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(None, id="refused"),
        pytest.param(reset(), id="reset"),
        pytest.param(cut(), id="closed"),
        pytest.param(cut(3), id="closed within the answer to CONNECT"),
        pytest.param(reset(200), id="reset while it is read back"),
        pytest.param(BLACK_HOLE, id="black hole"),
        pytest.param(SILENCE, id="silence"),
        pytest.param(TRICKLE, id="a byte a second"),
    ],
)
async def test_after_the_way_to_the_broker_failed_all_is_right(
    pbx: SimulatedPbx,
    way: Link,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
    fault: Fault | None,
) -> None:
    day = Day(pbx)
    async with living(configure(way.port), keepalive=KEEPALIVE):
        await right(subscriber, pbx, 10)
        connected = len(log.levels("connected to"))
        if fault is None:
            way.refuse()
        else:
            way.strike(fault)
            way.drop() if fault.after else None
        day.goes_on()
        await until(lambda: bool(log.levels("closed the connection")), NOTICED)
        attempts = way.accepted
        await until(lambda: way.accepted >= attempts + (0 if fault is None else 2), NOTICED)
        rounds = len(pbx.requests_to("/ActiveCalls"))
        await until(lambda: len(pbx.requests_to("/ActiveCalls")) >= rounds + 2)
        await way.heal()
        note("right_after", await right(subscriber, pbx, RIGHT_WITHIN))
        await until(lambda: len(log.levels("connected to")) > connected, RIGHT_WITHIN)
        await day.is_told_from_here_on(subscriber)
        await until(lambda: logging.INFO in log.levels("the broker is back"))
        assert "ringing" not in subscriber.payloads("3cx/users/101/state")
        note("loud", dict(log.loud()))
    assert all(times == 1 for times in log.loud().values()), log.loud()
    assert sum(log.loud().values()) <= 3, log.loud()


async def test_a_broker_that_hangs_for_a_moment_gets_the_latest_values_and_no_older_ones_after_them(
    pbx: SimulatedPbx, way: Link, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    async with living(configure(way.port, call_control="")):
        await right(subscriber, pbx, 10)
        await until(lambda: len(pbx.stream) == 1)
        way.strike(SILENCE)
        for _ in range(300):
            pbx.change("100", profile="Away")
            call = pbx.exchange.ring("0301234561", "101")
            await asyncio.sleep(0)
            pbx.exchange.answer(call)
            pbx.exchange.end(call)
        pbx.change("100", profile="Out of office")
        rounds = len(pbx.requests_to("/Users"))
        await until(lambda: len(pbx.requests_to("/Users")) >= rounds + 2)
        await way.heal()
        await right(subscriber, pbx, RIGHT_WITHIN)
        pbx.change("100", profile="Available")
        await right(subscriber, pbx, RIGHT_WITHIN)
    assert subscriber.payloads("3cx/users/100/state")[-2:] == ["do_not_disturb", "available"]
    assert not log.loud()


async def test_a_stop_while_the_broker_hangs_leaves_nobody_online(
    pbx: SimulatedPbx, way: Link, configure: Configure, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last word does not get through; the will must."""
    monkeypatch.setattr("bridge.mqtt.session.FAREWELL", 0.3)
    for number in range(200, 260):
        pbx.add_user(str(number), f"User {number}")
    async with living(configure(way.port)):
        await right(subscriber, pbx, 10)
        way.strike(SILENCE)
        for dn in pbx.users:
            pbx.change(dn, profile="Away")
        rounds = len(pbx.requests_to("/Users"))
        await until(lambda: len(pbx.requests_to("/Users")) >= rounds + 2)
    await way.heal()
    await subscriber.until_latest("3cx/bridge/state", "offline")


async def test_a_broker_that_stalls_while_it_is_read_back_is_waited_for(
    pbx: SimulatedPbx,
    way: Link,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What an earlier run left is known all the same, and nobody is accused of missing rights."""
    pbx.change("100", profile="Away")
    async with living(configure()):
        await right(subscriber, pbx, 10)
    await subscriber.until_latest("3cx/bridge/state", "offline")
    since = subscriber.json("3cx/users/100")["since"]
    await subscriber.publish("3cx/users/999/state", "available", retain=True)
    way.strike(Fault(SILENCE.kind, after=600))  # behind the first of what is retained
    monkeypatch.setattr("bridge.mqtt.connection.CONNECT_TIMEOUT", 10.0)
    async with living(configure(way.port)):
        await until(lambda: way.accepted == 1)
        await asyncio.sleep(1.5)  # longer than the silence that stands for a missing right
        await way.heal()
        await right(subscriber, pbx, RIGHT_WITHIN)
        await subscriber.until(lambda: "3cx/users/999/state" not in subscriber.latest)
        assert subscriber.json("3cx/users/100")["since"] == since
    assert not log.loud()


async def test_a_broker_that_did_not_answer_once_is_not_taken_for_an_old_one_for_ever(
    pbx: SimulatedPbx, way: Link, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    """A greeting that is not answered may mean MQTT 3.1.1; once that connection is over, 5 is tried again."""
    way.strike(BLACK_HOLE)
    async with living(configure(way.port)):
        await until(lambda: way.accepted == 1, NOTICED)
        way.spare_new()
        await right(subscriber, pbx, RIGHT_WITHIN)
        assert [message[-12:] for _, message in log.records if "connected to" in message] == ["(MQTT 3.1.1)"]
        way.drop()
        await until(lambda: len(log.levels("connected to")) >= 2, NOTICED)
        await right(subscriber, pbx, RIGHT_WITHIN)
        assert [message for _, message in log.records if "connected to" in message][-1].endswith("(MQTT 5)")


async def crowd(port: int) -> list[asyncio.StreamWriter]:
    """Others who connect until nobody is let in any more: brokers count their limits differently."""
    found: list[asyncio.StreamWriter] = []
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        name = f"other{len(found)}".encode()
        writer.write(bytes([0x10, 12 + len(name)]) + b"\x00\x04MQTT\x04\x02\x00\x3c\x00" + bytes([len(name)]) + name)
        with suppress(ConnectionError):
            if await asyncio.wait_for(reader.read(4), 10):
                found.append(writer)
                continue
        writer.close()
        return found


async def test_a_broker_at_its_limit_is_tried_until_there_is_room(
    tmp_path: Path, pbx: SimulatedPbx, configure: Configure, log: Log, note: Note
) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    options = ("allow_anonymous true", "max_connections 2")
    async with Mosquitto(folder, options=options) as broker, Subscriber(broker.port) as subscriber:
        others = await crowd(broker.port)
        async with living(configure(broker.port)):
            await until(lambda: len(log.levels("closed the connection before it answered")) >= 4, NOTICED)
            assert not subscriber.latest
            for writer in others:
                writer.close()
                await writer.wait_closed()
            note("right_after", await right(subscriber, pbx, RIGHT_WITHIN))
    log.is_told_once("closed the connection before it answered")
    assert sum(log.loud().values()) == 1, log.loud()


async def test_rights_that_are_given_later_are_used_without_a_new_connection(
    tmp_path: Path,
    pbx: SimulatedPbx,
    configure: Configure,
    log: Log,
    note: Note,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.mqtt.session._DENIED", (1.0, 1.0))  # 60 s at first, up to 900 s
    monkeypatch.setattr("bridge.mqtt.session._ALLOWED", 0.5)  # 60 s
    folder = tmp_path / "strict"
    watcher = "user watcher\ntopic read #\n\n"
    rules = with_rules(folder, f"{watcher}user bridge\ntopic readwrite 3cx/bridge/#\n")
    async with Mosquitto(folder, options=rules) as broker:
        async with (
            Subscriber(broker.port, login=("watcher", "")) as subscriber,
            living(configure(broker.port, mqtt="username: bridge")),
        ):
            await subscriber.until_latest("3cx/bridge/state", "online")
            await subscriber.until(lambda: subscriber.payloads("3cx/bridge/state").count("online") >= 3)
            assert not [topic for topic in subscriber.latest if "/users/" in topic]
            with_rules(folder, f"{watcher}user bridge\ntopic readwrite #\n")
            broker.reload()
            note("right_after", await right(subscriber, pbx, RIGHT_WITHIN))
            await subscriber.until(lambda: "homeassistant/device/3cx2mqtt_hq/user_100/config" in subscriber.latest)
            pbx.change("100", profile="Away")
            await right(subscriber, pbx, RIGHT_WITHIN)
            await until(lambda: bool(log.levels("lets everything be published now")), 10)
    assert log.levels("does not let 'bridge' publish") == [logging.ERROR]
    assert len(log.levels("connected to")) == 1


async def test_a_light_is_told_nothing_because_of_a_right_that_is_missing_elsewhere(
    tmp_path: Path, pbx: SimulatedPbx, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is forbidden is tried again and again; somebody may have switched the light by hand meanwhile."""
    monkeypatch.setattr("bridge.mqtt.session._DENIED", (0.3, 0.3))
    folder = tmp_path / "strict"
    rules = "user watcher\ntopic read #\n\nuser bridge\ntopic readwrite 3cx/#\ntopic readwrite wled/#\n"
    light = "lights: [{name: desk, driver: wled, topic: wled/desk, users: ['100']}]"
    async with (
        Mosquitto(folder, options=with_rules(folder, rules)) as broker,
        Subscriber(broker.port, login=("watcher", "")) as subscriber,
        living(configure(broker.port, mqtt="username: bridge", more=light)),
    ):
        await subscriber.until(lambda: "wled/desk/api" in subscriber.latest)
        await subscriber.until(lambda: subscriber.payloads("3cx/bridge/state").count("online") >= 4)
        assert len(subscriber.payloads("wled/desk/api")) == 1


async def test_a_light_whose_topic_was_forbidden_is_told_once_it_is_allowed(
    tmp_path: Path, pbx: SimulatedPbx, configure: Configure, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands are not retained, so nothing but the light itself could tell that one is missing."""
    monkeypatch.setattr("bridge.mqtt.session._DENIED", (0.2, 0.2))
    monkeypatch.setattr("bridge.mqtt.session._ALLOWED", 0.2)
    folder = tmp_path / "strict"
    rules = "user watcher\ntopic read #\n\nuser bridge\ntopic readwrite 3cx/#\ntopic readwrite homeassistant/#\n"
    light = "lights: [{name: desk, driver: wled, topic: wled/desk, users: ['100']}]"
    async with (
        Mosquitto(folder, options=with_rules(folder, rules)) as broker,
        Subscriber(broker.port, login=("watcher", "")) as subscriber,
        living(configure(broker.port, mqtt="username: bridge", more=light)),
    ):
        await right(subscriber, pbx, RIGHT_WITHIN)
        await until(lambda: bool(log.levels("does not let 'bridge' publish to 'wled/desk/api'")))
        await subscriber.until(lambda: subscriber.payloads("3cx/bridge/state").count("online") >= 3)
        assert not log.levels("lets everything be published now")
        with_rules(folder, f"{rules}topic write wled/#\n")
        broker.reload()
        await subscriber.until(lambda: "wled/desk/api" in subscriber.latest)
        await until(lambda: bool(log.levels("lets everything be published now")))
    assert sum(log.loud().values()) == 1, log.loud()


async def test_what_happens_while_the_broker_is_away_is_not_told_once_it_is_back(
    pbx: SimulatedPbx, configure: Configure, broker: Mosquitto, subscriber: Subscriber, log: Log
) -> None:
    """A call that rang and ended meanwhile would be news of a phone that is silent."""
    async with living(configure()):
        await right(subscriber, pbx, 10)
        await broker.kill()
        await until(lambda: bool(log.levels("closed the connection")), NOTICED)
        polled = len(pbx.requests_to("/ActiveCalls"))
        call = pbx.exchange.ring("0301234561", "100")
        await until(lambda: len(pbx.requests_to("/ActiveCalls")) >= polled + 2)
        pbx.exchange.end(call)
        await until(lambda: len(pbx.requests_to("/ActiveCalls")) >= polled + 4)
        await broker.start()
        async with Subscriber(broker.port) as later:
            await right(later, pbx, 20)
            pbx.exchange.ring("0301234562", "101")
            await until(lambda: told(later, "101") == ["ringing"], RIGHT_WITHIN)
            assert told(later, "100") == []


async def test_a_subscription_that_is_refused_is_told_and_costs_nothing_else(
    tmp_path: Path, pbx: SimulatedPbx, configure: Configure, log: Log
) -> None:
    folder = tmp_path / "strict"
    folder.mkdir()
    path = folder / "rules.json"
    path.write_text(json.dumps(NO_COMMANDS))
    options = (f"plugin {PLUGIN}", f"plugin_opt_config_file {path}", "allow_anonymous true")
    async with Mosquitto(folder, options=options) as broker:
        async with (
            Subscriber(broker.port) as subscriber,
            living(configure(broker.port, more="commands: {profile: true}")),
        ):
            await right(subscriber, pbx, RIGHT_WITHIN)
            pbx.change("100", profile="Away")
            await right(subscriber, pbx, RIGHT_WITHIN)
    assert log.levels("does not let this login subscribe to 3cx/users/+/set: what") == [logging.WARNING]
    assert sum(log.loud().values()) == 1, log.loud()


PLUGIN = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)
NO_COMMANDS = {
    "defaultACLAccess": dict.fromkeys(("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"), True),
    "roles": [
        {
            "rolename": "watch",
            "acls": [{"acltype": "subscribeLiteral", "topic": "3cx/users/+/set", "priority": 0, "allow": False}],
        }
    ],
    "groups": [{"groupname": "all", "roles": [{"rolename": "watch"}]}],
    "anonymousGroup": "all",
    "clients": [],
}
"""For Mosquitto's plug-in for rights, which refuses subscriptions, as its access list never does."""


async def test_a_session_that_was_taken_over_is_taken_back(
    pbx: SimulatedPbx, configure: Configure, broker: Mosquitto, subscriber: Subscriber, log: Log
) -> None:
    async with living(configure()):
        await right(subscriber, pbx, 10)
        other = Client(CallbackAPIVersion.VERSION2, client_id="3cx2mqtt-hq", protocol=MQTTProtocolVersion.MQTTv5)
        await asyncio.to_thread(other.connect, "127.0.0.1", broker.port)
        pbx.change("100", profile="Away")
        await subscriber.until_latest("3cx/bridge/state", "offline")
        await right(subscriber, pbx, RIGHT_WITHIN)
        other.disconnect()
        assert subscriber.payloads("3cx/bridge/state")[-2:] == ["offline", "online"]
    assert sum(log.loud().values()) == 1, log.loud()


async def test_a_name_that_cannot_be_resolved_is_tried_again_until_it_can(
    pbx: SimulatedPbx,
    configure: Configure,
    broker: Mosquitto,
    subscriber: Subscriber,
    log: Log,
    names: NameServer,
) -> None:
    names.fails = True
    path = configure()
    path.write_text(path.read_text().replace("host: 127.0.0.1", f"host: {names.HOST}"))
    async with living(path):
        await until(lambda: len(log.levels("cannot be resolved")) >= 2, NOTICED)
        names.fails = False
        await right(subscriber, pbx, RIGHT_WITHIN)
    log.is_told_once("cannot be resolved")
