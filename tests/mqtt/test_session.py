"""The session against a broker that does what the test says: states, subscriptions, and messages that wait."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from bridge.domain.clock import Clock
from bridge.domain.message import Message, Rank
from bridge.mqtt.application import Application, Hooks
from bridge.mqtt.outbox import MOST_EVENTS, Outbox
from bridge.mqtt.retained import RetainedTopics
from bridge.mqtt.session import Session
from bridge.mqtt.session_state import SessionState
from bridge.mqtt.settings import MqttSettings, Protocol, TlsSettings
from bridge.mqtt.timing import MqttTiming
from bridge.runtime.supervision import Pulse
from bridge.statistics import Queue, Statistics
from bridge.topics import Topics
from tests.support.beside import beside
from tests.support.faults import until
from tests.support.mosquitto import free_port
from tests.support.scripted_broker import ScriptedBroker, scripted

QUICK = MqttTiming(retry=(0.05, 0.1), refused_retry=(30.0, 30.0), quiet_after_echo=0.01)
SHORT_FAREWELL = replace(QUICK, farewell=0.05)
"""For brokers that do not acknowledge everything."""

STATE = "3cx/bridge/state"


def settings(port: int, **changes: object) -> MqttSettings:
    plain = TlsSettings(enabled=False, ca=None, cert=None, key=None, insecure=False)
    usual = MqttSettings("127.0.0.1", port, None, None, plain, Protocol.V5, "3cx2mqtt-hq", 30, "3cx", 1, 0)
    return replace(usual, **changes)  # type: ignore[arg-type]  # of the fields' types


@dataclass(eq=False)
class Bridge:
    """An application that remembers how it was called."""

    wanted: tuple[Message, ...] = ()
    received: list[tuple[str, bytes, bool]] = field(default_factory=list)
    may_begin: asyncio.Event = field(default_factory=asyncio.Event)
    prepared: int = 0
    outbox: Outbox = field(default_factory=Outbox)
    statistics: Statistics = field(default_factory=lambda: Statistics(Clock()))

    def __post_init__(self) -> None:
        self.may_begin.set()

    @property
    def application(self) -> Application:
        hooks = Hooks(
            prepare=self._prepare,
            synchronise=self._synchronise,
            current=lambda topics: [each for each in self.wanted if each.topic in topics],
            filters=("homeassistant/status", STATE),
            request_filters=("3cx/bridge/request/+",),
            watched_filters=("homeassistant/device/3cx2mqtt_hq/+/config",),
            receive=lambda *message: self.received.append(message),
            resend_denied=lambda _: None,
            farewell_messages=lambda: (Message("light/set", b"off", Rank.STATE, retain=False),),
        )
        return Application(Topics("3cx", "hq", "homeassistant"), self.outbox, hooks, self.statistics, Pulse(Clock()))

    async def _prepare(self) -> None:
        self.prepared += 1
        await self.may_begin.wait()

    def _synchronise(self, retained: RetainedTopics) -> Iterable[Message]:
        return retained.difference(self.wanted)


@asynccontextmanager
async def running(
    broker: ScriptedBroker, bridge: Bridge, timing: MqttTiming = QUICK, **changes: object
) -> AsyncIterator[Session]:
    session = Session(settings(broker.port, **changes), bridge.application, Clock(), random.Random(1), timing)
    async with beside(session.run()):
        yield session


async def until_in(session: Session, state: SessionState) -> None:
    await until(lambda: session.state is state)


def states(caplog: pytest.LogCaptureFixture) -> list[str]:
    prefix = "MQTT session: "
    return [message.removeprefix(prefix) for message in caplog.messages if message.startswith(prefix)]


async def test_the_states_of_one_life(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(ScriptedBroker()) as broker:
        async with running(broker, Bridge()) as session:
            await broker.until(lambda: b"online" in broker.payloads(STATE))
            assert (session.state, session.why_not) == (SessionState.IN_SYNC, None)
            broker.drop()
            await broker.until(lambda: broker.payloads(STATE).count(b"online") == 2)
        assert session.state is SessionState.STOPPED
        assert broker.payloads("light/set") == [b"off"]
        assert broker.payloads(STATE)[-1] == b"offline"
    once = ["connecting", "reading back", "synchronising", "in sync"]
    assert states(caplog) == [*once, "waiting", *once, "stopping", "stopped"]


async def test_other_tasks_have_their_turn_while_much_is_compared_and_what_they_change_is_not_lost() -> None:
    """Comparing 50,000 users took 22 seconds, in which nobody else was heard."""
    bridge, late = Bridge(), Message("3cx/users/7/state", b"ringing", Rank.STATE)
    bridge.wanted = tuple(Message(f"3cx/users/{number}/state", b"available", Rank.STATE) for number in range(6_000))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while not bridge.outbox.complete:
            if bridge.outbox.in_sync:
                turns += 1
                bridge.outbox.publish(late)
            await asyncio.sleep(0)

    async with scripted(ScriptedBroker()) as broker, beside(other()), running(broker, bridge):
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        assert turns > 5
        assert broker.payloads("3cx/users/7/state")[-1] == b"ringing"


async def test_a_refused_login_is_a_state_of_its_own() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(bytes([0x20, 3, 0, 0x87, 0]))
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        broker = ScriptedBroker(port=server.sockets[0].getsockname()[1])
        async with running(broker, Bridge()) as session:
            await until_in(session, SessionState.REFUSED)
            assert "check mqtt.username" in str(session.why_not)


async def test_no_broker_is_waited_for() -> None:
    async with running(ScriptedBroker(port=free_port()), Bridge(), replace(QUICK, retry=(30.0, 30.0))) as session:
        await until_in(session, SessionState.WAITING)
        assert "cannot connect" in str(session.why_not)


async def test_nothing_is_published_before_the_application_is_prepared() -> None:
    bridge = Bridge(wanted=(Message("3cx/users/100/state", b"available", Rank.STATE),))
    bridge.may_begin.clear()
    async with scripted(ScriptedBroker()) as broker, running(broker, bridge) as session:
        await until_in(session, SessionState.SYNCHRONISING)
        assert {each.topic for each in broker.published} <= {"3cx/bridge/check"}
        bridge.may_begin.set()
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        assert [each.topic for each in broker.published][-2:] == ["3cx/users/100/state", STATE]


async def test_own_topics_are_read_back_at_qos_0_and_all_that_stays_is_subscribed_at_qos_1() -> None:
    """At QoS 1 brokers drop most of what is retained; a command at QoS 0 would be lost with a packet."""
    async with scripted(ScriptedBroker()) as broker, running(broker, Bridge()):
        await broker.until(lambda: b"online" in broker.payloads(STATE))
    lasting = [("homeassistant/status", 1, False), (STATE, 1, False), ("3cx/bridge/request/+", 1, True)]
    assert broker.subscribed[-3:] == lasting
    read_back = broker.subscribed[:-3]
    assert {"3cx/bridge/+", "3cx/bridge/check"} & {topic_filter for topic_filter, _, _ in read_back}
    assert {qos for _, qos, _ in read_back} == {0}


async def test_what_waits_when_the_broker_is_lost_is_not_sent_on_the_next_connection() -> None:
    """An event would be news of something that is over; retained topics are compared anyway."""
    bridge = Bridge()
    broker = ScriptedBroker(announces=b"\x21\0\1")  # Receive Maximum 1
    async with scripted(broker), running(broker, bridge):
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        broker.acknowledges = lambda _topic: False
        for number in range(3):
            bridge.outbox.publish(Message("3cx/users/100/call", b"%d" % number, Rank.STATE, retain=False))
        await broker.until(lambda: bool(broker.payloads("3cx/users/100/call")))
        broker.acknowledges = lambda _topic: True
        broker.drop()
        await broker.until(lambda: broker.payloads(STATE).count(b"online") == 2)
        bridge.outbox.publish(Message("3cx/users/100/call", b"later", Rank.STATE, retain=False))
        await broker.until(lambda: b"later" in broker.payloads("3cx/users/100/call"))
    assert broker.payloads("3cx/users/100/call") == [b"0", b"later"]


async def test_nothing_is_taken_while_the_broker_is_away() -> None:
    bridge = Bridge()
    async with (
        scripted(ScriptedBroker()) as broker,
        running(broker, bridge, replace(QUICK, retry=(30.0, 30.0))) as session,
    ):
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        broker.drop()
        await until_in(session, SessionState.WAITING)
        bridge.outbox.publish(Message("3cx/users/100/state", b"away", Rank.STATE))
        assert not bridge.outbox


def command(payload: bytes) -> Message:
    return Message("light/set", payload, Rank.STATE, retain=False, least_qos=1, newest=True)


async def test_a_light_gets_the_newest_command_although_an_older_one_was_parked() -> None:
    """The acknowledgement is slow, and `max_rate` holds the newest one back when it comes."""
    bridge = Bridge(wanted=tuple(Message(f"3cx/users/{n}", b"x", Rank.STATE) for n in range(500)))
    broker = ScriptedBroker(acknowledges=lambda topic: topic != "light/set")
    async with scripted(broker), running(broker, bridge, SHORT_FAREWELL, max_rate=5):
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        bridge.outbox.publish(command(b"A"))
        await broker.until(lambda: broker.payloads("light/set") == [b"A"])
        bridge.outbox.publish(command(b"B"))
        await until(lambda: not bridge.outbox)
        bridge.outbox.publish(command(b"C"))
        broker.acknowledge(next(each for each in broker.published if each.topic == "light/set"))
        await broker.until(lambda: len(broker.payloads("light/set")) == 2)
        assert broker.payloads("light/set") == [b"A", b"C"]
        assert not bridge.outbox


async def test_requests_before_the_broker_is_in_sync_are_handed_on_afterwards_and_drops_are_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bridge = Bridge()
    bridge.may_begin.clear()
    async with scripted(ScriptedBroker()) as broker, running(broker, bridge) as session:
        await until_in(session, SessionState.SYNCHRONISING)
        for number in range(103):
            broker.publish("3cx/bridge/request/users", b"%d" % number)
        broker.publish("elsewhere", b"not subscribed")
        await until(lambda: bridge.statistics.drops[Queue.RECEIVE] == 3)
        assert bridge.received == []
        bridge.may_begin.set()
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        assert bridge.received == [("3cx/bridge/request/users", b"%d" % number, False) for number in range(3, 103)]
    reported = [record.message for record in caplog.records if "dropped" in record.message]
    assert [message.rpartition(": ")[2] for message in reported] == [
        "100 are waiting, so the oldest are dropped",
        "2 more were dropped",
    ]


async def test_events_that_a_full_outbox_drops_are_counted_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    bridge = Bridge()
    async with scripted(ScriptedBroker()) as broker, running(broker, bridge):
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        for number in range(MOST_EVENTS + 4):
            bridge.outbox.publish(Message("3cx/users/100/call", b"%d" % number, Rank.STATE, retain=False))
        await broker.until(lambda: b"%d" % (MOST_EVENTS + 3) in broker.payloads("3cx/users/100/call"))
        await until(lambda: "3 more were dropped" in caplog.text)
    assert bridge.statistics.drops[Queue.PUBLISH] == 4
    assert len([record for record in caplog.records if "dropped" in record.message]) == 2


async def test_a_reload_serves_another_application_on_the_same_connection() -> None:
    first, second = Bridge(), Bridge(wanted=(Message("3cx/users/100/state", b"away", Rank.STATE),))
    broker = ScriptedBroker(acknowledges=lambda topic: topic != "light/set")
    async with scripted(broker), running(broker, first, SHORT_FAREWELL) as session:
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        first.outbox.publish(command(b"A"))
        await broker.until(lambda: broker.payloads("light/set") == [b"A"])
        first.outbox.publish(command(b"B"))
        await until(lambda: not first.outbox)
        session.serve(second.application)
        await broker.until(lambda: broker.payloads(STATE).count(b"online") == 2)
        broker.acknowledge(next(each for each in broker.published if each.topic == "light/set"))
        second.outbox.publish(Message("3cx/users/100/state", b"available", Rank.STATE))
        await broker.until(lambda: broker.payloads("3cx/users/100/state") == [b"away", b"available"])
        assert broker.payloads("light/set") == [b"A"]  # B was the first application's
        assert (broker.connects, first.prepared, second.prepared) == (1, 1, 1)
        assert second.statistics.reconnects == 0
