"""Which source is preferred, for how long, and what its failures change in what is published."""

import pytest

from bridge.domain.model import CallStatus, FactKind, MonitorRow, SourceDescription, SourceReport, State
from bridge.domain.updates import Calls, Round
from bridge.errors import SourceMissing, SourcePermissionError, SourceUnavailable
from bridge.sources.table import TABLE
from tests.support.clock import FakeClock
from tests.support.world import ALL, CALL_CONTROL, MONITOR_STATUS, USERS, World, leg, user

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
    world.fail(SourceUnavailable("no"), CALL_CONTROL)  # it may be allowed by now: that is not known
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


@pytest.fixture
def both(clock: FakeClock) -> World:
    """Two users whose calls are polled and pushed."""
    made = World(clock, sources=ALL)
    made.users(user("101"), user("102"))
    made.polled()
    return made


def test_of_two_sources_of_calls_that_are_equally_new_the_one_that_pushed_knows_more(both: World) -> None:
    both.snapshot({"101"}, {"101": (leg(RINGING),)})
    both.polled()
    both.lost()
    assert both.wire.state("101") == "ringing"


def test_a_user_who_is_covered_from_now_on_is_published_at_once(both: World) -> None:
    both.snapshot({"101"})
    both.polled({"102": (leg(RINGING),)})
    assert both.wire.state("102") == "ringing"
    both.snapshot({"101", "102"})
    assert both.wire.state("102") == "available"


def test_polling_is_relaxed_only_while_the_calls_of_all_users_are_pushed(both: World) -> None:
    seen = [both.engine.pushed]
    both.snapshot({"101"})
    seen.append(both.engine.pushed)
    both.snapshot({"101", "102", "103"})
    seen.append(both.engine.pushed)
    both.lost()
    seen.append(both.engine.pushed)
    assert seen == [False, False, True, False]


def report(world: World) -> SourceReport:
    return next(report for report in world.engine.sources() if report.name == CALL_CONTROL)


def test_a_new_user_who_is_not_covered_is_named_at_once(both: World) -> None:
    both.snapshot({"101", "102"})
    assert report(both) == SourceReport(CALL_CONTROL, in_use=True, reason=None)
    both.users(user("101"), user("102"), user("103"))
    assert (report(both).reason or "").startswith("does not cover 1 of 3 users (103): add them to the extensions")


def test_a_new_user_does_not_change_why_a_source_is_not_in_use(both: World) -> None:
    both.fail(SourcePermissionError("403"), CALL_CONTROL)
    both.users(user("101"), user("102"), user("103"))
    assert report(both) == SourceReport(CALL_CONTROL, in_use=False, reason="403")


def test_a_user_missed_by_every_other_round_keeps_the_profile(both: World) -> None:
    for _ in range(3):
        both.users(user("101"), user("102", profile="Away"))
        both.users(user("101"))
    assert both.user("102").profile == "Away"
    both.users(user("101"))
    assert both.user("102").profile is None
