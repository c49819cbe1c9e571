"""What a user's calls of a day add up to: by outcome, across midnight, restarts and outages of the broker."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.domain.model import CallStatus, Direction
from bridge.domain.privacy import CallerId
from tests.support.clock import FakeClock
from tests.support.world import CALL_CONTROL, USERS, World, leg, user

ON_CALL, RINGING, DIALING = CallStatus.ON_CALL, CallStatus.RINGING, CallStatus.DIALING
INBOUND, OUTBOUND, INTERNAL = Direction.INBOUND, Direction.OUTBOUND, Direction.INTERNAL
CALLER = "0301234567"
COLLEAGUE = {"direction": INTERNAL, "party": "102", "internal": True}
BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600
NOTHING = {
    "date": "2026-11-22",
    "missed": 0,
    "answered": 0,
    "made": 0,
    "talk_time": 0,
    "last_missed": None,
}


def office(clock: FakeClock, **options: Any) -> World:
    world = World(clock, sources=(USERS, CALL_CONTROL), **options)
    world.users(user("101"), user("102"))
    world.snapshot(("101", "102"))
    return world


@pytest.fixture
def world(clock: FakeClock) -> World:
    return office(clock)


def today(world: World, dn: str = "101") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(world.wire.retained[f"3cx/users/{dn}/today"])
    return content


def call(world: World, *statuses: CallStatus, dn: str = "101", seconds: float = 10, **more: Any) -> None:
    """A call that goes through these statuses, each for so many seconds, and ends."""
    for status in statuses:
        world.pushed(dn, leg(status, "7", **{"direction": INBOUND, "party": CALLER, **more}))
        world.wait(seconds)
    world.pushed(dn)
    world.wait(2)


def test_without_a_call_everything_is_zero(world: World) -> None:
    assert today(world) == NOTHING


@pytest.mark.parametrize(
    ("statuses", "more", "counted"),
    [
        ((RINGING, ON_CALL), {}, {"answered": 1, "talk_time": 10}),
        ((DIALING, ON_CALL), {"direction": OUTBOUND}, {"made": 1, "talk_time": 10}),
        ((DIALING,), {"direction": OUTBOUND}, {"made": 1}),
        (
            (RINGING, ON_CALL),
            {"direction": INTERNAL, "party": "102", "internal": True},
            {"answered": 1, "talk_time": 10},
        ),
        ((DIALING, ON_CALL), COLLEAGUE, {"made": 1, "talk_time": 10}),
        ((DIALING,), COLLEAGUE, {"made": 1}),
    ],
)
def test_a_call_counts_once_it_has_ended(
    world: World, statuses: tuple[CallStatus, ...], more: dict[str, Any], counted: dict[str, int]
) -> None:
    for status in statuses:
        world.pushed("101", leg(status, "7", **{"direction": INBOUND, "party": CALLER, **more}))
        world.wait(10)
        assert today(world) == NOTHING
    world.pushed("101")
    world.wait(2)
    assert today(world) == NOTHING | counted
    assert today(world, "102") == NOTHING


def test_a_missed_call_is_named(world: World) -> None:
    call(world, RINGING, seconds=20)
    assert today(world) == NOTHING | {"missed": 1, "last_missed": {"at": "2026-11-22T10:00:22Z", "party": CALLER}}


def test_a_call_that_somebody_else_answered_is_not_missed(world: World) -> None:
    for dn in ("101", "102"):
        world.pushed(dn, leg(RINGING, "7", direction=INBOUND, party=CALLER))
    world.wait(5)
    world.pushed("102", leg(ON_CALL, "7", direction=INBOUND, party=CALLER))
    world.pushed("101")
    world.wait(2)
    assert today(world) == NOTHING


@pytest.mark.parametrize(
    ("caller_id", "party"), [(CallerId.FULL, CALLER), (CallerId.MASKED, "…567"), (CallerId.NONE, None)]
)
def test_the_number_is_as_private_as_everywhere(clock: FakeClock, caller_id: CallerId, party: str | None) -> None:
    world = office(clock, caller_id=caller_id)
    call(world, RINGING)
    assert today(world)["last_missed"]["party"] == party


@pytest.mark.parametrize(
    ("before", "after", "party"),
    [
        (CallerId.FULL, CallerId.MASKED, "…567"),
        (CallerId.FULL, CallerId.NONE, None),
        (CallerId.MASKED, CallerId.MASKED, "…567"),
        (CallerId.MASKED, CallerId.FULL, "…567"),
    ],
)
def test_a_number_of_an_earlier_process_is_no_less_private(
    clock: FakeClock, before: CallerId, after: CallerId, party: str | None
) -> None:
    world = office(clock, caller_id=before)
    call(world, RINGING)
    later = office(clock, caller_id=after)
    later.wire = world.wire
    later.restart()
    later.synchronise()
    assert today(later)["last_missed"]["party"] == party


def test_a_restart_counts_on(world: World) -> None:
    call(world, RINGING)
    world.restart()
    world.users(user("101"), user("102"))
    world.snapshot(("101", "102"))
    call(world, RINGING, ON_CALL)  # counted before the broker is there for the first time
    world.synchronise()
    assert (today(world)["missed"], today(world)["answered"]) == (1, 1)
    assert today(world)["last_missed"]["party"] == CALLER
    call(world, RINGING)
    assert today(world)["missed"] == 2


def test_a_broker_that_lost_everything_gets_it_again(world: World) -> None:
    call(world, RINGING)
    world.wire.in_sync = False
    world.wire.retained.clear()
    call(world, RINGING)
    world.synchronise()
    assert today(world)["missed"] == 2


def test_what_is_retained_is_added_only_once(world: World) -> None:
    world.synchronise()
    call(world, RINGING)
    for _ in range(3):
        world.wire.in_sync = False
        world.synchronise()
    assert today(world)["missed"] == 1


def test_counts_of_another_day_are_not_added(clock: FakeClock, world: World) -> None:
    call(world, RINGING)
    clock.turn(24 * HOUR)
    world.restart()
    world.synchronise()
    assert today(world) == NOTHING | {"date": "2026-11-23"}


@pytest.mark.parametrize("broken", ["", "[]", "{}", '{"date":"2026-11-22","missed":"many"}', '{"date":"soon"}'])
def test_a_broken_document_is_replaced(world: World, broken: str) -> None:
    world.wire.retained["3cx/users/101/today"] = broken
    world.restart()
    world.synchronise()
    assert today(world) == NOTHING


def test_a_day_ends_at_midnight_of_the_time_zone(clock: FakeClock) -> None:
    clock.turn(12 * HOUR + 59 * 60)  # 22:59 UTC, 23:59 in Berlin
    world = office(clock, zone=BERLIN)
    call(world, RINGING, seconds=10)
    assert (today(world)["date"], today(world)["missed"]) == ("2026-11-22", 1)
    world.wait(60)
    assert today(world) == NOTHING | {"date": "2026-11-23"}
    assert today(world, "102") == NOTHING | {"date": "2026-11-23"}


def test_a_call_counts_on_the_day_on_which_it_ends(clock: FakeClock) -> None:
    clock.turn(12 * HOUR + 59 * 60)
    world = office(clock, zone=BERLIN)
    call(world, RINGING, ON_CALL, seconds=45)
    assert today(world) == NOTHING | {"date": "2026-11-23", "answered": 1, "talk_time": 45}


@pytest.mark.parametrize(("days", "hours"), [(126, 23), (343, 25)])  # 28 March and 31 October 2027
def test_the_days_on_which_clocks_change_are_whole_days(clock: FakeClock, days: int, hours: int) -> None:
    clock.turn(days * 24 * HOUR - 11 * HOUR - (days == 343) * HOUR)
    world = office(clock, zone=BERLIN)
    day = today(world)["date"]
    call(world, RINGING, seconds=10)
    world.users(user("101"), user("102"))
    clock.turn(hours * HOUR - 60)
    world.wait(0.1)
    assert (today(world)["date"], today(world)["missed"]) == (day, 1)
    clock.turn(60)
    world.wait(0.1)
    assert (today(world)["date"] > day, today(world)["missed"]) == (True, 0)


def test_a_user_who_is_gone_has_no_counts_and_gets_them_back(clock: FakeClock) -> None:
    world = office(clock, forget_after=0.0)
    call(world, RINGING)
    world.users(user("102"))
    world.users(user("102"))
    assert "3cx/users/101/today" not in world.wire.retained
    world.users(user("101"), user("102"))
    assert today(world)["missed"] == 1


def test_a_new_day_comes_for_thousands_without_one_long_step(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS,))
    many = [user(str(1000 + number)) for number in range(2000)]
    world.users(*many)
    clock.turn(14 * HOUR)
    rounds = 0
    while any(today(world, each.dn)["date"] == "2026-11-22" for each in many):
        before = len(world.wire.order)
        world.engine.tick()
        assert len([each for each in world.wire.order[before:] if each.endswith("/today")]) <= 500
        rounds += 1
    assert rounds == 4


def test_the_sums_count_every_published_user(world: World) -> None:
    call(world, RINGING)
    call(world, RINGING, ON_CALL, dn="102")
    call(world, DIALING, dn="102", direction=OUTBOUND)
    assert world.engine.calls_today() == {"missed": 1, "answered": 1, "made": 1}
