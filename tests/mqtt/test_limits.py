"""What a broker does not take: announced in CONNACK, or found out where it closes the connection."""

import logging
from dataclasses import replace

import pytest

from bridge.domain.message import Message, Rank
from bridge.mqtt.limits import BrokerLimits
from tests.mqtt.test_session import QUICK, STATE, Bridge, running
from tests.support.clock import FakeClock
from tests.support.scripted_broker import ScriptedBroker, scripted

MAXIMUM_QOS_0 = b"\x24\0"
NO_RETAINED_MESSAGES = b"\x25\0"
WILL_QOS, WILL_RETAIN = 0x18, 0x20
QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED = 155, 154
HASTY = replace(QUICK, retry=(0.01, 0.02))


def users(*numbers: str, leaf: str = "") -> tuple[Message, ...]:
    return tuple(Message(f"3cx/users/{number}{leaf}", b"{}", Rank.STATE) for number in numbers)


def problems(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_announced_limits_are_kept_and_their_cost_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    broker = ScriptedBroker(announces=MAXIMUM_QOS_0 + NO_RETAINED_MESSAGES)
    async with scripted(broker), running(broker, Bridge(users("101")), HASTY):
        for connection in (1, 2):
            await broker.until(lambda wanted=connection: broker.payloads(STATE).count(b"online") == wanted)  # type: ignore[misc]
            if connection == 1:
                broker.drop()
    assert {(each.packet, each.retain) for each in broker.published} == {(0, False)}
    assert {qos for _, qos, _ in broker.subscribed} == {0}
    told = [text for text in problems(caplog) if "closed the connection" not in text]
    assert len(told) == 1
    assert "keeps no retained messages" in told[0]
    assert "QoS 0 at most" in told[0]


@pytest.mark.parametrize(
    ("flags", "code"), [(WILL_QOS, QOS_NOT_SUPPORTED), (WILL_RETAIN, RETAIN_NOT_SUPPORTED)], ids=["qos", "retain"]
)
async def test_a_will_that_is_refused_comes_as_the_broker_takes_it(
    caplog: pytest.LogCaptureFixture, flags: int, code: int
) -> None:
    broker = ScriptedBroker(refuses=lambda found: code if found & flags else 0)
    async with scripted(broker), running(broker, Bridge(), replace(QUICK, retry=(30.0, 30.0))):
        await broker.until(lambda: b"online" in broker.payloads(STATE))
    assert broker.connects == 2
    assert problems(caplog) == []


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_topic_at_which_the_broker_closes_the_connection_is_left_out(
    caplog: pytest.LogCaptureFixture, qos: int
) -> None:
    broker = ScriptedBroker(closes=lambda published: published.topic == "3cx/users/102")
    async with scripted(broker), running(broker, Bridge(users("101", "102", "103")), HASTY, qos=qos):
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        connects = broker.connects
    assert {"3cx/users/101", "3cx/users/103"} <= {each.topic for each in broker.published}
    assert connects <= 7
    (told,) = [text for text in problems(caplog) if "whenever '3cx/users/102' is published" in text]
    assert "tried again in an hour" in told
    assert not any("client id" in text for text in problems(caplog))


async def test_after_two_topics_of_a_kind_all_of_the_kind_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    numbers = [str(number) for number in range(100, 130)]
    broker = ScriptedBroker(closes=lambda published: published.topic.endswith("/today"))
    bridge = Bridge((*users(*numbers), *users(*numbers, leaf="/today")))
    async with scripted(broker), running(broker, bridge, HASTY):
        await broker.until(lambda: b"online" in broker.payloads(STATE))
        connects = broker.connects
    assert {f"3cx/users/{number}" for number in numbers} <= {each.topic for each in broker.published}
    assert connects <= 12
    assert len([text for text in problems(caplog) if "the broker closes the connection whenever" in text]) == 2


def closed_upon(limits: BrokerLimits, topic: str, times: int = 1, after: float = 0.0) -> None:
    for _ in range(times):
        limits.closed([Message(topic, b"", Rank.STATE)], one_at_a_time=limits.one_at_a_time, after=after)


def test_a_topic_that_was_left_out_is_tried_again_after_an_hour() -> None:
    clock, message = FakeClock(), Message("a", b"", Rank.STATE)
    limits = BrokerLimits(clock.clock.monotonic)
    closed_upon(limits, "a", times=5)
    assert not limits.takes(message)
    clock.turn(3600)
    assert limits.takes(message)


@pytest.mark.parametrize("after", [0.0, 60.0])
def test_an_outage_puts_no_topic_under_suspicion_for_long(after: float) -> None:
    limits = BrokerLimits(FakeClock().clock.monotonic)
    for _ in range(20):  # each time something else was on its way, or what was had been sent long before
        closed_upon(limits, "a", after=after)
        closed_upon(limits, "b", after=after)
    assert limits.takes(Message("a", b"", Rank.STATE))
    limits.closed([], one_at_a_time=False, after=0.0)
    assert not limits.one_at_a_time


def test_nothing_larger_than_announced_is_sent() -> None:
    class Properties:
        MaximumPacketSize = 100

    limits = BrokerLimits(FakeClock().clock.monotonic)
    limits.announced(Properties())
    assert limits.takes(Message("a", b"x" * 50, Rank.STATE))
    assert not limits.takes(Message("a", b"x" * 100, Rank.STATE))
