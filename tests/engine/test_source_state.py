"""Which source is believed, for how long, and what its failures do to what is published."""

import pytest

from bridge.domain.model import Calls, CallStatus, FactKind, MonitorRow, Round, SourceDescription, State
from bridge.errors import SourceMissing, SourcePermissionError, SourceUnavailable
from bridge.sources.table import TABLE
from tests.support.clock import FakeClock
from tests.support.world import CALL_CONTROL, MONITOR_STATUS, USERS, World, leg, user

RINGING, ON_CALL = CallStatus.RINGING, CallStatus.ON_CALL
NO_CALL_NEWS = (State.UNKNOWN, "no news about calls")


@pytest.fixture
def world(clock: FakeClock) -> World:
    """One user without calls, whose calls only Call Control could report; it is optional (`enabled: auto`)."""
    made = World(clock, sources=(USERS, CALL_CONTROL))
    made.users(user("101"))
    return made


def shown(world: World) -> tuple[State, str]:
    return world.user("101").state, world.user("101").reason


def test_before_an_optional_source_of_calls_has_reported_states_are_unknown(world: World) -> None:
    assert shown(world) == NO_CALL_NEWS


def test_an_optional_source_of_calls_that_cannot_be_reached_leaves_states_unknown(world: World) -> None:
    world.fail(SourceUnavailable("no"), CALL_CONTROL)
    assert shown(world) == NO_CALL_NEWS


@pytest.mark.parametrize("error", [SourceMissing("404"), SourcePermissionError("403")])
def test_an_optional_source_of_calls_that_the_pbx_denies_is_done_without(world: World, error: Exception) -> None:
    assert isinstance(error, SourceMissing | SourcePermissionError)
    world.fail(error, CALL_CONTROL)
    assert shown(world)[0] is State.AVAILABLE
    world.fail(SourceUnavailable("no"), CALL_CONTROL)  # it may be allowed by now: nobody knows
    assert shown(world) == NO_CALL_NEWS


def test_once_an_optional_source_of_calls_has_worked_its_loss_leaves_states_unknown(world: World) -> None:
    world.fail(SourcePermissionError("403"), CALL_CONTROL)
    world.snapshot({"101"})
    assert shown(world)[0] is State.AVAILABLE
    world.users(user("101"))
    world.wait(136)
    world.users(user("101"))
    assert shown(world) == NO_CALL_NEWS


def test_a_round_that_becomes_complete_says_that_users_have_no_monitor_row(clock: FakeClock) -> None:
    world = World(clock, sources=(MONITOR_STATUS,))
    world.round({"101": State.AVAILABLE, "102": State.AVAILABLE})
    world.round({"101": State.AVAILABLE}, complete=False)
    assert world.wire.retained["3cx/users/102/monitor"] == "null"
    world.round({"101": State.AVAILABLE}, complete=True)
    assert world.wire.retained["3cx/users/102/monitor"] == "{}"
    world.round({"101": State.AVAILABLE}, complete=False)
    assert world.wire.retained["3cx/users/102/monitor"] == "null"


def test_when_one_of_two_pushing_sources_is_lost_the_other_is_preferred_at_once(clock: FakeClock) -> None:
    second = SourceDescription("switchboard", FactKind.CALLS, pushes=True)
    world = World(clock, sources=(USERS, CALL_CONTROL), more_sources=[second])
    world.users(user("101"))
    covered = frozenset({"101"})
    world.engine.apply(Calls("switchboard", {"101": (leg(ON_CALL, "7"),)}, covered, clock.now, 135.0, live=True))
    clock.turn(1)
    world.snapshot(covered, {"101": (leg(RINGING, "7"),)})
    assert world.wire.state("101") == "ringing"
    world.lost()
    assert world.wire.state("101") == "on_call"


def test_of_two_sources_of_people_the_one_with_profiles_names_the_user(clock: FakeClock) -> None:
    """Monitor rows come first in the table, but are only the second choice for a name."""
    assert list(TABLE)[:2] == [MONITOR_STATUS, USERS]
    world = World(clock, sources=(MONITOR_STATUS, USERS))
    world.users(user("101", name="Ada"))
    row = MonitorRow("101", "A. Example (Sales)", State.AVAILABLE, '{"DN":"101"}')
    world.engine.apply(Round(MONITOR_STATUS, {"101": row}, complete=True, total=None, good_for=20.0))
    assert world.user("101").name == "Ada"
