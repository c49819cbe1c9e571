"""Who is removed and when: the guard against mass removal, and the permission that a refresh gives."""

import logging
from collections.abc import Callable

import pytest

from bridge.domain.model import State
from bridge.domain.remembered import Remembered
from bridge.errors import SourceError, SourceMissing, SourcePermissionError, SourceUnavailable
from tests.support.clock import FakeClock
from tests.support.world import CALL_CONTROL, MONITOR_STATUS, USERS, World, user


def dns(count: int) -> list[str]:
    return [str(100 + number) for number in range(count)]


def monitor(world: World, count: int, *, complete: bool = True) -> None:
    world.round(dict.fromkeys(dns(count)), complete=complete)


def users(world: World, count: int) -> None:
    world.users(*(user(dn) for dn in dns(count)))


def control(world: World, count: int) -> None:
    world.snapshot(dns(count))


Report = Callable[[World, int], None]
SINGLE = pytest.mark.parametrize(
    ("source", "report"), [(MONITOR_STATUS, monitor), (USERS, users), (CALL_CONTROL, control)]
)


def for_minutes(world: World, minutes: int, report: Report, count: int) -> None:
    for _ in range(2 * minutes):
        world.wait(30)
        report(world, count)


@SINGLE
def test_a_refresh_long_ago_does_not_let_a_fault_remove_users(clock: FakeClock, source: str, report: Report) -> None:
    world = World(clock, sources=(source,), forget_after=600)
    report(world, 10)
    world.engine.refresh()
    for_minutes(world, 15, report, 10)
    for_minutes(world, 15, report, 1)
    assert len(world.wire.dns()) == 10


@SINGLE
def test_a_round_that_misses_no_user_uses_up_the_refresh(clock: FakeClock, source: str, report: Report) -> None:
    world = World(clock, sources=(source,), forget_after=0)
    report(world, 10)
    world.engine.refresh()
    report(world, 10)
    report(world, 1)
    assert len(world.wire.dns()) == 10


@SINGLE
def test_a_refresh_removes_those_held_back_and_later_rounds_are_guarded_again(
    clock: FakeClock, source: str, report: Report
) -> None:
    world = World(clock, sources=(source,), forget_after=600)
    report(world, 20)
    for_minutes(world, 15, report, 8)
    assert len(world.wire.dns()) == 20
    world.engine.refresh()
    report(world, 8)
    assert len(world.wire.dns()) == 8
    for_minutes(world, 15, report, 1)
    assert len(world.wire.dns()) == 8


def test_an_incomplete_round_leaves_the_refresh_to_the_next_complete_one(clock: FakeClock) -> None:
    world = World(clock, sources=(MONITOR_STATUS,), forget_after=0)
    monitor(world, 10)
    world.engine.refresh()
    monitor(world, 1, complete=False)
    assert len(world.wire.dns()) == 10
    monitor(world, 1)
    assert len(world.wire.dns()) == 1


def test_a_snapshot_without_extensions_is_no_complete_round(clock: FakeClock) -> None:
    world = World(clock, sources=(CALL_CONTROL,), forget_after=600)
    control(world, 3)
    for_minutes(world, 15, control, 0)
    assert len(world.wire.dns()) == 3
    world.engine.refresh()
    control(world, 0)
    for_minutes(world, 1, control, 3)
    assert len(world.wire.dns()) == 3


@pytest.mark.parametrize("order", [(monitor, users), (users, monitor)])
def test_of_two_sources_each_one_s_next_complete_round_may_remove_users(
    clock: FakeClock, order: tuple[Report, Report]
) -> None:
    world = World(clock, sources=(MONITOR_STATUS, USERS), forget_after=0)
    for report in order:
        report(world, 10)
    world.engine.refresh()
    for report in order:
        assert len(world.wire.dns()) == 10
        report(world, 1)
    assert len(world.wire.dns()) == 1
    for report in order:
        report(world, 10)
    for report in order:
        report(world, 1)
    assert len(world.wire.dns()) == 10


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    held_back = "no longer reports 7 of 10 users"
    return [record.message for record in caplog.records if held_back in record.message and record.levelname != "DEBUG"]


@SINGLE
@pytest.mark.parametrize("refreshed", [True, False])
def test_a_second_mass_removal_of_the_same_size_is_reported_again(
    clock: FakeClock, caplog: pytest.LogCaptureFixture, source: str, report: Report, refreshed: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    world = World(clock, sources=(source,), forget_after=600)
    for episode in (1, 2):
        report(world, 10)
        for_minutes(world, 15, report, 3)
        assert len(warnings(caplog)) == episode
        if refreshed:
            world.engine.refresh()
            report(world, 3)
            assert len(world.wire.dns()) == 3


def test_a_mass_removal_is_reported_once_while_it_lasts(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    world = World(clock, sources=(MONITOR_STATUS,), forget_after=600)
    monitor(world, 10)
    for_minutes(world, 30, monitor, 3)
    for_minutes(world, 1, lambda world, count: monitor(world, count, complete=False), 3)
    for_minutes(world, 30, monitor, 3)
    assert len(warnings(caplog)) == 1


def start_with_other_options(world: World) -> None:
    """An earlier run had published 100 to 104."""
    earlier = {dn: Remembered(None, State.AVAILABLE, 1_795_000_000) for dn in dns(5)}
    world.engine.adopt(earlier, same_options=False)


def test_after_a_start_with_other_options_a_time_out_removes_no_user_that_the_source_reports(clock: FakeClock) -> None:
    world = World(clock, sources=(MONITOR_STATUS, USERS))
    start_with_other_options(world)
    world.fail(SourceUnavailable("no answer within 5 s"), USERS)
    monitor(world, 2)
    assert len(world.wire.dns()) == 5
    users(world, 4)
    assert world.wire.dns() == set(dns(4))


@pytest.mark.parametrize("error", [SourceMissing("404"), SourcePermissionError("403")])
def test_after_a_start_with_other_options_a_source_without_access_is_not_waited_for(
    clock: FakeClock, error: SourceError
) -> None:
    world = World(clock, sources=(MONITOR_STATUS, USERS))
    start_with_other_options(world)
    world.fail(error, USERS)
    monitor(world, 2)
    assert world.wire.dns() == set(dns(2))
