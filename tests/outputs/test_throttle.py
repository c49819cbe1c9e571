"""Discovery of one device changes slowly, and a device that a user deleted stays deleted."""

import pytest

from bridge.domain.message import Message, Rank
from bridge.outputs.hass.throttle import DiscoveryThrottle
from bridge.topics import Topics
from tests.support.clock import FakeClock
from tests.support.world import Wire

TOPICS = Topics("3cx", "hq", "homeassistant")
DEVICE = TOPICS.discovery("user_101")
INTERVAL = 5.0


class Setup:
    def __init__(self, clock: FakeClock) -> None:
        self.wire = Wire()
        self.throttle = DiscoveryThrottle(self.wire, TOPICS, clock.clock.monotonic, INTERVAL, 2 * INTERVAL)

    def publish(self, payload: str, topic: str = DEVICE) -> None:
        self.throttle.publish(Message(topic, payload.encode(), Rank.DISCOVERY))

    @property
    def count(self) -> int:
        return len(self.wire.order)


@pytest.fixture
def setup(clock: FakeClock) -> Setup:
    return Setup(clock)


def test_changes_of_one_device_are_an_interval_apart_and_the_last_one_wins(setup: Setup, clock: FakeClock) -> None:
    for name in ("Ada", "Ada L", "Ada Lovelace"):
        setup.publish(name)
        setup.throttle.tick()
    assert (setup.wire.retained[DEVICE], setup.count) == ("Ada", 1)
    clock.turn(INTERVAL)
    setup.throttle.tick()
    assert (setup.wire.retained[DEVICE], setup.count) == ("Ada Lovelace", 2)
    clock.turn(60)
    setup.throttle.tick()
    assert setup.count == 2


def test_a_group_waits_longer(setup: Setup, clock: FakeClock) -> None:
    group = TOPICS.discovery("group_sales")
    setup.publish("1", group)
    setup.publish("2", group)
    clock.turn(2 * INTERVAL - 0.1)
    setup.throttle.tick()
    assert setup.wire.retained[group] == "1"
    clock.turn(0.1)
    setup.throttle.tick()
    assert setup.wire.retained[group] == "2"


def test_other_devices_and_other_topics_do_not_wait(setup: Setup) -> None:
    for _ in range(3):
        setup.publish("x", "3cx/users/101/state")
    setup.publish("a")
    setup.publish("b", TOPICS.discovery("user_102"))
    assert setup.count == 5


def test_a_removal_is_sent_at_once_and_a_return_after_the_interval(setup: Setup, clock: FakeClock) -> None:
    setup.publish("Ada")
    setup.publish("")
    assert DEVICE not in setup.wire.retained
    setup.publish("Ada")
    assert DEVICE not in setup.wire.retained
    clock.turn(INTERVAL)
    setup.throttle.tick()
    assert setup.wire.retained[DEVICE] == "Ada"


def test_a_device_that_another_client_deleted_is_not_published_until_restored(setup: Setup, clock: FakeClock) -> None:
    setup.publish("Ada")
    setup.throttle.received(DEVICE, b"Ada")
    setup.throttle.received(DEVICE, b"")
    clock.turn(60)
    setup.publish("Ada Lovelace")
    assert setup.wire.retained[DEVICE] == "Ada"
    wanted = [Message(DEVICE, b"Ada", Rank.DISCOVERY), Message("3cx/users/101", b"{}", Rank.DOCUMENT)]
    assert list(setup.throttle.allowed(wanted)) == wanted[1:]
    assert setup.throttle.restore() == {DEVICE}
    setup.publish("Ada Lovelace")
    assert setup.wire.retained[DEVICE] == "Ada Lovelace"


def test_the_echo_of_a_removal_by_the_bridge_is_no_deletion_by_a_user(setup: Setup, clock: FakeClock) -> None:
    setup.publish("Ada")
    setup.publish("")
    setup.throttle.received(DEVICE, b"")
    assert setup.throttle.restore() == frozenset()
    assert list(setup.throttle.passing([Message(DEVICE, b"", Rank.BRIDGE)])) == [Message(DEVICE, b"", Rank.BRIDGE)]
    setup.throttle.received(DEVICE, b"")
    assert setup.throttle.restore() == frozenset()
    setup.throttle.received(DEVICE, b"")
    assert setup.throttle.restore() == {DEVICE}


def test_after_a_connect_the_same_payload_is_sent_at_once_and_another_after_the_interval(
    setup: Setup, clock: FakeClock
) -> None:
    setup.publish("Ada")
    state = Message("3cx/users/101/state", b"away", Rank.STATE)
    same, other = (Message(DEVICE, payload, Rank.DISCOVERY) for payload in (b"Ada", b"Ada L"))
    assert list(setup.throttle.passing([same, state])) == [same, state]
    assert list(setup.throttle.passing([other, state])) == [state]
    clock.turn(INTERVAL)
    setup.throttle.tick()
    assert setup.wire.retained[DEVICE] == "Ada L"


def test_what_waited_is_dropped_when_the_connection_is_lost(setup: Setup, clock: FakeClock) -> None:
    setup.publish("Ada")
    setup.publish("Ada L")
    setup.wire.in_sync = False
    clock.turn(INTERVAL)
    setup.throttle.tick()
    setup.wire.in_sync = True
    setup.throttle.tick()
    assert setup.count == 1


def test_a_deletion_after_a_lost_echo_of_a_removal_is_seen(setup: Setup, clock: FakeClock) -> None:
    setup.publish("Ada")
    setup.publish("")  # the outbox keeps the last message of a topic: the broker may never get this one
    clock.turn(INTERVAL)
    setup.publish("Ada")
    setup.throttle.received(DEVICE, b"Ada")
    setup.throttle.received(DEVICE, b"")
    assert setup.throttle.restore() == {DEVICE}


def test_a_late_echo_from_before_a_removal_does_not_make_it_a_deletion_by_a_user(setup: Setup) -> None:
    setup.publish("Ada")
    setup.publish("")
    setup.throttle.received(DEVICE, b"Ada")
    setup.throttle.received(DEVICE, b"")
    assert setup.throttle.restore() == frozenset()
