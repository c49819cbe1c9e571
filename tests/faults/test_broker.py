"""The connection to the broker fails, or the broker misbehaves; afterwards it retains what is true.

Shown by other tests:

- restarts of a broker with and without persistence, one that is late, loses all, or has only 3.1.1; wrong logins, TLS,
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
from tests.faults.calls import call_events as events
from tests.faults.conftest import Configure, NameServer, Note
from tests.support.faults import (
    BLACK_HOLE,
    SILENCE,
    TRICKLE,
    Fault,
    Link,
    Log,
    cut,
    expected_states,
    impatient,
    living,
    published,
    reset,
    until,
    until_correct,
)
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, with_rules
from tests.support.subscriber import Subscriber

RECOVERY_LIMIT = limit(6.0)
"""Seconds: an attempt that hangs (1 s), the pause to the next one (2 s), reading back (0.1 s); and a busy machine."""

NOTICED = limit(20.0)
KEEPALIVE = 1
"""Seconds; a dead connection is noticed after two of them."""


@pytest_asyncio.fixture
async def way(broker: Mosquitto) -> AsyncIterator[Link]:
    """In front of the broker."""
    async with Link(broker.port) as proxy:
        yield proxy


class Day:
    """Calls before, during and after a fault of the broker: events of those during it are never published."""

    def __init__(self, pbx: SimulatedPbx) -> None:
        self._pbx = pbx
        self._talk = pbx.exchange.ring("0301234561", "101")
        pbx.exchange.answer(self._talk)

    def changes_unseen(self) -> None:
        self._pbx.exchange.end(self._talk)
        self._pbx.change("100", profile="Away")
        self._ring = self._pbx.exchange.ring("0301234562", "102")

    async def is_published_from_here_on(self, subscriber: Subscriber) -> None:
        self._pbx.exchange.answer(self._ring)
        await until(lambda: events(subscriber, "102")[-1:] == ["answered"], RECOVERY_LIMIT)
        assert events(subscriber, "102") in (["answered"], ["ringing", "answered"])
        assert events(subscriber, "101") in ([], ["ended"])
        assert events(subscriber, "100") == []


def states_are_published(subscriber: Subscriber, pbx: SimulatedPbx) -> bool:
    return published(subscriber, pbx) == expected_states(pbx)


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
async def test_after_the_connection_to_the_broker_failed_all_states_are_correct(
    pbx: SimulatedPbx,
    way: Link,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
    fault: Fault | None,
) -> None:
    day = Day(pbx)
    async with living(configure(way.port), keepalive=KEEPALIVE, timing=impatient()):
        await until_correct(subscriber, pbx, limit(10))
        connected = len(log.levels("connected to"))
        if fault is None:
            way.refuse()
        else:
            way.strike(fault)
            way.drop() if fault.after else None
        day.changes_unseen()
        await until(lambda: bool(log.levels("closed the connection")), NOTICED)
        attempts = way.accepted
        await until(lambda: way.accepted >= attempts + (0 if fault is None else 2), NOTICED)
        rounds = len(pbx.requests_to("/ActiveCalls"))
        await until(lambda: len(pbx.requests_to("/ActiveCalls")) >= rounds + 2)
        await way.heal()
        note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
        await until(lambda: len(log.levels("connected to")) > connected, RECOVERY_LIMIT)
        await day.is_published_from_here_on(subscriber)
        await until(lambda: logging.INFO in log.levels("the broker is back"))
        assert "ringing" not in subscriber.payloads("3cx/users/101/state")
        note("warnings", dict(log.warnings()))
    assert all(times == 1 for times in log.warnings().values()), log.warnings()
    assert sum(log.warnings().values()) <= 3, log.warnings()


async def test_a_broker_that_hangs_for_a_moment_gets_the_latest_values_and_no_older_ones_after_them(
    pbx: SimulatedPbx, way: Link, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    async with living(configure(way.port, call_control=""), timing=impatient()):
        await until_correct(subscriber, pbx, limit(10))
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
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        pbx.change("100", profile="Available")
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
    assert subscriber.payloads("3cx/users/100/state")[-2:] == ["do_not_disturb", "available"]
    assert not log.warnings()


async def test_a_stop_while_the_broker_hangs_leaves_offline_by_the_will(
    pbx: SimulatedPbx, way: Link, configure: Configure, subscriber: Subscriber
) -> None:
    """The final `offline` does not get through; the will must."""
    for number in range(200, 260):
        pbx.add_user(str(number), f"User {number}")
    async with living(configure(way.port), timing=impatient(farewell=0.3)):
        await until_correct(subscriber, pbx, limit(10))
        way.strike(SILENCE)
        for dn in pbx.users:
            pbx.change(dn, profile="Away")
        rounds = len(pbx.requests_to("/Users"))
        await until(lambda: len(pbx.requests_to("/Users")) >= rounds + 2)
    await way.heal()
    await subscriber.until_latest("3cx/bridge/state", "offline")


async def test_a_broker_that_stalls_while_it_is_read_back_is_waited_for(
    pbx: SimulatedPbx, way: Link, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    """What an earlier run left is known all the same, and no missing rights are reported."""
    pbx.change("100", profile="Away")
    async with living(configure(), timing=impatient()):
        await until_correct(subscriber, pbx, limit(10))
    await subscriber.until_latest("3cx/bridge/state", "offline")
    since = subscriber.json("3cx/users/100")["since"]
    await subscriber.publish("3cx/users/999/state", "available", retain=True)
    way.strike(Fault(SILENCE.kind, after=600))  # behind the first of what is retained
    async with living(configure(way.port), timing=impatient(connect=limit(10.0), quiet=0.1)):
        await until(lambda: "MQTT session: reading back" in [message for _, message in log.records][-50:])
        rounds = len(pbx.requests_to("/Users"))
        # each round takes 0.1 s at least: longer than the silence that stands for a missing right
        await until(lambda: len(pbx.requests_to("/Users")) >= rounds + 4)
        await way.heal()
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        await subscriber.until(lambda: "3cx/users/999/state" not in subscriber.latest)
        assert subscriber.json("3cx/users/100")["since"] == since
    assert not log.warnings()


async def test_a_broker_that_did_not_answer_once_is_not_taken_for_an_old_one_for_ever(
    pbx: SimulatedPbx, way: Link, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    """A greeting that is not answered may mean MQTT 3.1.1; once that connection is over, 5 is tried again."""
    way.strike(BLACK_HOLE)
    async with living(configure(way.port), timing=impatient()):
        await until(lambda: way.accepted == 1, NOTICED)
        way.spare_new()
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        assert [message[-12:] for _, message in log.records if "connected to" in message] == ["(MQTT 3.1.1)"]
        way.drop()
        await until(lambda: len(log.levels("connected to")) >= 2, NOTICED)
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        assert [message for _, message in log.records if "connected to" in message][-1].endswith("(MQTT 5)")


async def crowd(port: int) -> list[asyncio.StreamWriter]:
    """Other clients, as many as the broker accepts: brokers count their limits differently."""
    found: list[asyncio.StreamWriter] = []
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        name = f"other{len(found)}".encode()
        writer.write(bytes([0x10, 12 + len(name)]) + b"\x00\x04MQTT\x04\x02\x00\x3c\x00" + bytes([len(name)]) + name)
        with suppress(ConnectionError):
            if await asyncio.wait_for(reader.read(4), limit(10)):
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
        async with living(configure(broker.port), timing=impatient()):
            await until(lambda: len(log.levels("closed the connection before it answered")) >= 4, NOTICED)
            assert not subscriber.latest
            for writer in others:
                writer.close()
                await writer.wait_closed()
            note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
    assert sum(log.warnings().values()) == 1, log.warnings()


async def test_rights_that_are_given_later_are_used_without_a_new_connection(
    tmp_path: Path,
    pbx: SimulatedPbx,
    configure: Configure,
    log: Log,
    note: Note,
) -> None:
    folder = tmp_path / "strict"
    watcher = "user watcher\ntopic read #\n\n"
    rules = with_rules(folder, f"{watcher}user bridge\ntopic readwrite 3cx/bridge/#\n")
    async with Mosquitto(folder, options=rules) as broker:
        async with (
            Subscriber(broker.port, login=("watcher", "")) as subscriber,
            living(
                configure(broker.port, mqtt="username: bridge"),
                timing=impatient(denied_retry=(1.0, 1.0), all_allowed=0.5),
            ),
        ):
            await subscriber.until_latest("3cx/bridge/state", "online")
            await subscriber.until(lambda: subscriber.payloads("3cx/bridge/state").count("online") >= 3)
            assert not [topic for topic in subscriber.latest if "/users/" in topic]
            with_rules(folder, f"{watcher}user bridge\ntopic readwrite #\n")
            broker.reload()
            note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
            await subscriber.until(lambda: "homeassistant/device/3cx2mqtt_hq/user_100/config" in subscriber.latest)
            pbx.change("100", profile="Away")
            await until_correct(subscriber, pbx, RECOVERY_LIMIT)
            await until(lambda: bool(log.levels("allows every publish now")), limit(10))
    assert log.levels("does not let 'bridge' publish") == [logging.ERROR]
    assert len(log.levels("connected to")) == 1


async def test_a_light_gets_no_command_again_because_of_a_right_that_is_missing_elsewhere(
    tmp_path: Path, pbx: SimulatedPbx, configure: Configure
) -> None:
    """Denied publishes are sent again and again; the light may have been switched by hand meanwhile."""
    folder = tmp_path / "strict"
    rules = "user watcher\ntopic read #\n\nuser bridge\ntopic readwrite 3cx/#\ntopic readwrite wled/#\n"
    light = "lights: [{name: desk, driver: wled, topic: wled/desk, users: ['100']}]"
    async with (
        Mosquitto(folder, options=with_rules(folder, rules)) as broker,
        Subscriber(broker.port, login=("watcher", "")) as subscriber,
        living(configure(broker.port, mqtt="username: bridge", more=light), timing=impatient(denied_retry=(0.3, 0.3))),
    ):
        await subscriber.until(lambda: "wled/desk/api" in subscriber.latest)
        await subscriber.until(lambda: subscriber.payloads("3cx/bridge/state").count("online") >= 4)
        assert len(subscriber.payloads("wled/desk/api")) == 1


async def test_a_light_whose_topic_was_denied_gets_its_command_once_it_is_allowed(
    tmp_path: Path, pbx: SimulatedPbx, configure: Configure, log: Log
) -> None:
    """Commands are not retained, so reading back does not show that one is missing."""
    folder = tmp_path / "strict"
    rules = "user watcher\ntopic read #\n\nuser bridge\ntopic readwrite 3cx/#\ntopic readwrite homeassistant/#\n"
    light = "lights: [{name: desk, driver: wled, topic: wled/desk, users: ['100']}]"
    async with (
        Mosquitto(folder, options=with_rules(folder, rules)) as broker,
        Subscriber(broker.port, login=("watcher", "")) as subscriber,
        living(
            configure(broker.port, mqtt="username: bridge", more=light),
            timing=impatient(denied_retry=(0.2, 0.2), all_allowed=0.2),
        ),
    ):
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        await until(lambda: bool(log.levels("does not let 'bridge' publish to 'wled/desk/api'")))
        await subscriber.until(lambda: subscriber.payloads("3cx/bridge/state").count("online") >= 3)
        assert not log.levels("allows every publish now")
        with_rules(folder, f"{rules}topic write wled/#\n")
        broker.reload()
        await subscriber.until(lambda: "wled/desk/api" in subscriber.latest)
        await until(lambda: bool(log.levels("allows every publish now")))
    assert sum(log.warnings().values()) == 1, log.warnings()


async def test_events_while_the_broker_is_away_are_not_published_once_it_is_back(
    pbx: SimulatedPbx, configure: Configure, broker: Mosquitto, subscriber: Subscriber, log: Log
) -> None:
    """A call that rang and ended meanwhile would be news of a phone that is silent."""
    async with living(configure(), timing=impatient()):
        await until_correct(subscriber, pbx, limit(10))
        await broker.kill()
        await until(lambda: bool(log.levels("closed the connection")), NOTICED)
        polled = len(pbx.requests_to("/ActiveCalls"))
        call = pbx.exchange.ring("0301234561", "100")
        await until(lambda: len(pbx.requests_to("/ActiveCalls")) >= polled + 2)
        pbx.exchange.end(call)
        await until(lambda: len(pbx.requests_to("/ActiveCalls")) >= polled + 4)
        await broker.start()
        async with Subscriber(broker.port) as later:
            await until_correct(later, pbx, limit(20))
            pbx.exchange.ring("0301234562", "101")
            await until(lambda: events(later, "101") == ["ringing"], RECOVERY_LIMIT)
            assert events(later, "100") == []


async def test_a_subscription_that_is_refused_is_reported_and_costs_nothing_else(
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
            living(configure(broker.port, more="commands: {profile: true}"), timing=impatient()),
        ):
            await until_correct(subscriber, pbx, RECOVERY_LIMIT)
            pbx.change("100", profile="Away")
            await until_correct(subscriber, pbx, RECOVERY_LIMIT)
    assert log.levels("does not let this login subscribe to 3cx/users/+/set: messages") == [logging.WARNING]
    assert sum(log.warnings().values()) == 1, log.warnings()


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
    async with living(configure(), timing=impatient()):
        await until_correct(subscriber, pbx, limit(10))
        other = Client(CallbackAPIVersion.VERSION2, client_id="3cx2mqtt-hq", protocol=MQTTProtocolVersion.MQTTv5)
        await asyncio.to_thread(other.connect, "127.0.0.1", broker.port)
        pbx.change("100", profile="Away")
        await subscriber.until_latest("3cx/bridge/state", "offline")
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        other.disconnect()
        assert subscriber.payloads("3cx/bridge/state")[-2:] == ["offline", "online"]
    assert sum(log.warnings().values()) == 1, log.warnings()


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
    async with living(path, timing=impatient()):
        await until(lambda: len(log.levels("cannot be resolved")) >= 2, NOTICED)
        names.fails = False
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
    log.is_logged_once("cannot be resolved")
