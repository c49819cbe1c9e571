"""A report that cannot be read entirely proves nobody's absence: who may be meant stays as he was, or is unknown."""

import pytest

from bridge.domain.model import CallStatus, Legs, State
from bridge.domain.updates import Calls
from tests.support.clock import FakeClock
from tests.support.world import ACTIVE_CALLS, CALL_CONTROL, USERS, World, leg, user

ON_CALL, RINGING = CallStatus.ON_CALL, CallStatus.RINGING
NOBODY: frozenset[str] = frozenset()


class Polled:
    """Two users, and polled calls of which some cannot be read."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.world = World(clock, sources=(USERS, ACTIVE_CALLS))
        self.calls({"101": (leg(ON_CALL),)})

    def calls(self, legs: dict[str, Legs], unread: frozenset[str] | None = NOBODY) -> None:
        self.clock.turn(2)
        self.world.users(user("101"), user("102"))
        self.world.engine.apply(Calls(ACTIVE_CALLS, legs, None, self.clock.now, 20.0, unread=unread))
        self.world.engine.tick()

    @property
    def states(self) -> tuple[State, State]:
        return self.world.user("101").state, self.world.user("102").state


@pytest.fixture
def polled(clock: FakeClock) -> Polled:
    return Polled(clock)


@pytest.mark.parametrize("unread", [None, frozenset({"101"})])
def test_who_may_be_meant_stays_as_he_was_and_becomes_unknown(polled: Polled, unread: frozenset[str] | None) -> None:
    others = State.UNKNOWN if unread is None else State.AVAILABLE
    for _ in range(10):
        polled.calls({}, unread)
        assert polled.states == (State.ON_CALL, State.AVAILABLE)
    for _ in range(3):
        polled.calls({}, unread)
        assert polled.states == (State.UNKNOWN, others)
    assert not any('"ended"' in payload for _, payload in polled.world.wire.events)
    polled.calls({})
    assert polled.states == (State.AVAILABLE, State.AVAILABLE)


def test_it_is_noticed_between_two_reports(polled: Polled) -> None:
    polled.calls({}, None)
    polled.world.engine.apply(Calls(ACTIVE_CALLS, {}, None, polled.clock.now + 15, 20.0, unread=None))
    polled.world.wait(19)
    assert polled.states == (State.UNKNOWN, State.UNKNOWN)


def test_calls_that_can_be_read_count(polled: Polled) -> None:
    for _ in range(12):
        polled.calls({"102": (leg(RINGING, "2"),)}, None)
    assert polled.states == (State.UNKNOWN, State.RINGING)
    assert polled.world.user("102").calls == 1


def test_a_call_beside_one_that_cannot_be_read_is_not_over(polled: Polled) -> None:
    polled.calls({"101": (leg(RINGING, "2"),)}, frozenset({"101"}))
    assert (polled.world.user("101").state, polled.world.user("101").calls) == (State.ON_CALL, 2)
    for _ in range(12):
        polled.calls({"101": (leg(RINGING, "2"),)}, frozenset({"101"}))
    assert (polled.world.user("101").state, polled.world.user("101").calls) == (State.RINGING, 1)


def test_what_could_never_be_read_is_unknown(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, ACTIVE_CALLS))
    world.users(user("101"), user("102"))
    world.engine.apply(Calls(ACTIVE_CALLS, {"102": (leg(ON_CALL),)}, None, clock.now, 20.0, unread=None))
    assert (world.user("101").state, world.user("102").state) == (State.UNKNOWN, State.ON_CALL)


def test_a_pushing_source_in_doubt_about_a_user_leaves_it_to_another(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, ACTIVE_CALLS, CALL_CONTROL))
    world.users(user("101"))
    world.polled({"101": (leg(ON_CALL),)})
    unread = frozenset({"101"})
    world.engine.apply(Calls(CALL_CONTROL, {}, unread, clock.now, 135.0, live=True, unread=unread))
    assert world.user("101").state is State.ON_CALL
    world.pushed("101", leg(RINGING))
    assert world.user("101").state is State.RINGING
    world.snapshot({"101"}, {"101": (leg(RINGING),)})
    world.polled({"101": (leg(ON_CALL),)})
    world.engine.apply(Calls(CALL_CONTROL, {}, unread, clock.now, 135.0, live=True, unread=unread))
    assert world.user("101").state is State.ON_CALL


def test_a_call_that_is_not_understood_is_not_no_call(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, ACTIVE_CALLS))
    world.users(user("101"))
    world.polled()
    assert world.user("101").state is State.AVAILABLE
    world.polled({"101": (leg(None, keeps=True),)})
    assert (world.user("101").state, world.user("101").reason) == (State.UNKNOWN, "no news about calls")
    world.polled({"101": (leg(None, keeps=True), leg(ON_CALL, "2"))})
    assert (world.user("101").state, world.user("101").calls) == (State.ON_CALL, 1)
    world.polled({"101": (leg(None),)})  # not ringing yet
    assert world.user("101").state is State.AVAILABLE
