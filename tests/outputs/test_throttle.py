"""Discovery keeps its distance, and what was deleted by hand stays deleted."""

import pytest

from bridge.domain.message import Message, Rank
from bridge.outputs.hass.throttle import APART, DiscoveryThrottle
from bridge.topics import Topics
from tests.support.clock import FakeClock
from tests.support.world import Wire

TOPICS = Topics("3cx", "hq", "homeassistant")
DEVICE = TOPICS.discovery("user_101")


class Door:
    def __init__(self, clock: FakeClock) -> None:
        self.wire = Wire()
        self.gate = DiscoveryThrottle(self.wire, TOPICS, clock.clock.monotonic)

    def publish(self, payload: str, topic: str = DEVICE) -> None:
        self.gate.publish(Message(topic, payload.encode(), Rank.DISCOVERY))

    @property
    def count(self) -> int:
        return len(self.wire.order)


@pytest.fixture
def door(clock: FakeClock) -> Door:
    return Door(clock)


def test_changes_of_one_device_keep_their_distance_and_the_last_one_wins(door: Door, clock: FakeClock) -> None:
    for name in ("Ada", "Ada L", "Ada Lovelace"):
        door.publish(name)
        door.gate.tick()
    assert (door.wire.retained[DEVICE], door.count) == ("Ada", 1)
    clock.turn(APART)
    door.gate.tick()
    assert (door.wire.retained[DEVICE], door.count) == ("Ada Lovelace", 2)
    clock.turn(60)
    door.gate.tick()
    assert door.count == 2


def test_other_devices_and_other_topics_do_not_wait(door: Door) -> None:
    for _ in range(3):
        door.publish("x", "3cx/users/101/state")
    door.publish("a")
    door.publish("b", TOPICS.discovery("user_102"))
    assert door.count == 5


def test_a_removal_goes_at_once_and_a_return_after_a_pause(door: Door, clock: FakeClock) -> None:
    door.publish("Ada")
    door.publish("")
    assert DEVICE not in door.wire.retained
    door.publish("Ada")
    assert DEVICE not in door.wire.retained
    clock.turn(APART)
    door.gate.tick()
    assert door.wire.retained[DEVICE] == "Ada"


def test_a_device_that_was_deleted_stays_deleted_until_it_is_asked_for(door: Door, clock: FakeClock) -> None:
    door.publish("Ada")
    door.gate.received(DEVICE, b"Ada")
    door.gate.received(DEVICE, b"")
    clock.turn(60)
    door.publish("Ada Lovelace")
    assert door.wire.retained[DEVICE] == "Ada"
    wanted = [Message(DEVICE, b"Ada", Rank.DISCOVERY), Message("3cx/users/101", b"{}", Rank.DOCUMENT)]
    assert list(door.gate.allowed(wanted)) == wanted[1:]
    assert door.gate.restore() == {DEVICE}
    door.publish("Ada Lovelace")
    assert door.wire.retained[DEVICE] == "Ada Lovelace"


def test_the_echo_of_our_own_removal_is_no_deletion(door: Door, clock: FakeClock) -> None:
    door.publish("Ada")
    door.publish("")
    door.gate.received(DEVICE, b"")
    assert door.gate.restore() == frozenset()
    assert list(door.gate.passing([Message(DEVICE, b"", Rank.BRIDGE)])) == [Message(DEVICE, b"", Rank.BRIDGE)]
    door.gate.received(DEVICE, b"")
    assert door.gate.restore() == frozenset()
    door.gate.received(DEVICE, b"")
    assert door.gate.restore() == {DEVICE}


def test_after_a_connect_the_same_goes_at_once_and_something_else_after_the_pause(door: Door, clock: FakeClock) -> None:
    door.publish("Ada")
    state = Message("3cx/users/101/state", b"away", Rank.STATE)
    same, other = (Message(DEVICE, payload, Rank.DISCOVERY) for payload in (b"Ada", b"Ada L"))
    assert list(door.gate.passing([same, state])) == [same, state]
    assert list(door.gate.passing([other, state])) == [state]
    clock.turn(APART)
    door.gate.tick()
    assert door.wire.retained[DEVICE] == "Ada L"


def test_nothing_that_waited_is_sent_after_the_broker_was_away(door: Door, clock: FakeClock) -> None:
    door.publish("Ada")
    door.publish("Ada L")
    door.wire.in_step = False
    clock.turn(APART)
    door.gate.tick()
    door.wire.in_step = True
    door.gate.tick()
    assert door.count == 1
