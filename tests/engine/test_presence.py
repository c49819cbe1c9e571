"""The engine with all sources: facts are merged, the newest news about calls counts, nothing sticks or is guessed."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bridge.domain.certainty import Certainty
from bridge.domain.model import CallStatus, Direction, Leg, State
from bridge.domain.presence import Rules, profile_key
from bridge.domain.privacy import CallerId
from bridge.domain.remembered import Remembered
from bridge.domain.system import System
from bridge.domain.updates import Departments, Labels, Queues, SystemSeen
from bridge.errors import SourceMissing, SourcePermissionError, SourceUnavailable
from tests.support.clock import FakeClock
from tests.support.world import ACTIVE_CALLS, ALL, CALL_CONTROL, MONITOR_STATUS, RULES, USERS, World, leg, user

INBOUND = Direction.INBOUND
BOUND = 20.0
ON_CALL, ON_HOLD, RINGING = CallStatus.ON_CALL, CallStatus.ON_HOLD, CallStatus.RINGING


@pytest.fixture
def world(clock: FakeClock) -> World:
    """Everything on, 101 and 102 known, no calls; Call Control has not reported yet."""
    made = World(clock, sources=ALL)
    made.users(user("101", name="Ada"), user("102", name="Bob"))
    made.polled()
    return made


def events(world: World, dn: str = "101") -> list[dict[str, Any]]:
    return [json.loads(payload) for topic, payload in world.wire.events if topic == f"3cx/users/{dn}/call"]


def kinds(world: World, dn: str = "101") -> list[str]:
    return [event["event_type"] for event in events(world, dn)]


def document(world: World, dn: str = "101") -> dict[str, Any]:
    return dict(json.loads(world.wire.retained[f"3cx/users/{dn}"]))


def test_the_document_has_the_facts_of_all_sources(world: World) -> None:
    world.snapshot({"101", "102"})
    world.round({"101": None, "102": None})
    call = leg(RINGING, "7", direction=Direction.INBOUND, party="0301234567", name="Bob", via="8000")
    world.pushed("101", call)
    assert document(world) == {
        "number": "101",
        "name": "Ada",
        "department": None,
        "state": "ringing",
        "busy": True,
        "since": "2026-11-22T10:00:00Z",
        "reason": "ringing",
        "profile": "Available",
        "registered": True,
        "queue": "logged_out",
        "call": {
            "status": "ringing",
            "direction": "inbound",
            "party": "0301234567",
            "name": "Bob",
            "since": "2026-11-22T10:00:00Z",
        },
        "calls": 1,
        "monitor": {"DN": "101"},
    }


def test_available_needs_news_about_calls(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, ACTIVE_CALLS))
    world.users(user("101"))
    assert (world.user("101").state, world.user("101").reason) == (State.UNKNOWN, "no news about calls")
    world.polled()
    assert world.user("101").state is State.AVAILABLE


def test_without_any_source_of_calls_the_profile_is_enough(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS,))
    world.users(user("101"), user("102", registered=False))
    assert [each.state for each in world.engine.users()] == [State.AVAILABLE, State.OFFLINE]
    assert [each.calls for each in world.engine.users()] == [None, None]


def test_no_call_outlasts_its_source_and_no_light_is_green_without_facts(world: World) -> None:
    world.polled({"101": (leg(ON_CALL),)})
    world.wait(19)
    world.users(user("101", name="Ada"), user("102", name="Bob"))
    assert world.user("101").state is State.ON_CALL
    world.wait(2)
    for dn in ("101", "102"):
        assert (world.user(dn).state, world.user(dn).reason) == (State.UNKNOWN, "no news about calls")
    assert world.user("101").call is None
    world.polled()
    assert world.user("101").state is State.AVAILABLE


def test_a_source_that_is_down_does_not_erase_facts_of_others(world: World) -> None:
    world.wait(15)
    world.polled({"101": (leg(ON_CALL),)})
    world.wait(10)
    world.polled({"101": (leg(ON_CALL),)})
    assert world.user("101").state is State.ON_CALL  # the profile is not known any more, the call is
    assert world.user("101").profile is None
    assert (world.user("102").state, world.user("102").reason) == (State.UNKNOWN, "no news from the PBX")


def test_pushed_calls_beat_polled_ones_while_the_connection_stands(world: World) -> None:
    world.snapshot({"101"})
    world.pushed("101", leg(RINGING))
    world.polled()
    assert world.user("101").state is State.RINGING
    world.polled({"101": (leg(ON_CALL),), "102": (leg(ON_CALL),)})
    assert world.user("101").state is State.RINGING
    assert world.user("102").state is State.ON_CALL  # not covered, so polling counts


def test_after_a_lost_connection_the_last_push_counts_until_a_later_poll(world: World) -> None:
    world.snapshot({"101", "102"})
    world.pushed("101", leg(ON_CALL))
    world.wait(1)
    world.lost()
    assert world.user("101").state is State.ON_CALL
    world.wait(1)
    world.polled()
    assert world.user("101").state is State.AVAILABLE


def test_without_polling_the_last_push_counts_for_20_seconds_at_most(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, CALL_CONTROL), interval=60)
    world.users(user("101"))
    world.snapshot({"101"}, {"101": (leg(ON_CALL),)})
    world.lost()
    world.wait(19)
    assert world.user("101").state is State.ON_CALL
    world.wait(2)
    assert (world.user("101").state, world.user("101").reason) == (State.UNKNOWN, "no news about calls")


def test_what_was_polled_before_the_loss_does_not_outlive_what_was_pushed(world: World) -> None:
    world.good_for = 45.0
    world.polled({"101": (leg(ON_CALL),)})
    world.snapshot({"101", "102"}, {"101": (leg(ON_CALL),)})
    world.wait(1)
    world.lost()
    world.users(user("101"), user("102"))
    world.wait(21)
    assert (world.user("101").state, world.user("101").reason) == (State.UNKNOWN, "no news about calls")


def test_call_control_on_auto_counts_only_where_the_pbx_lets_the_bridge_in(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, CALL_CONTROL))
    world.users(user("101"))
    assert world.user("101").state is State.UNKNOWN
    world.fail(SourcePermissionError("HTTP 403"), CALL_CONTROL)
    world.users(user("101"))
    assert world.user("101").state is State.AVAILABLE
    strict = World(clock, sources=(USERS, CALL_CONTROL), push_required=True)
    strict.users(user("101"))
    strict.fail(SourcePermissionError("HTTP 403"), CALL_CONTROL)
    strict.users(user("101"))
    assert strict.user("101").state is State.UNKNOWN


def test_since_and_reason_are_steady_when_sources_alternate(world: World) -> None:
    party = {"party": "0301234567", "direction": Direction.INBOUND}
    world.snapshot({"101", "102"})
    world.pushed("101", leg(RINGING, "7", **party))
    world.wait(3)
    world.pushed("101", leg(ON_CALL, "7", **party))
    talking = world.user("101")
    for _ in range(2):
        world.wait(1)
        world.lost()
        world.wait(1)
        world.polled({"101": (leg(ON_CALL, "4711", since=FakeClock.START + 4, **party),)})
        assert world.user("101") == talking
        world.wait(1)
        world.snapshot({"101", "102"}, {"101": (leg(ON_CALL, "7", **party),)})
        assert world.user("101") == talking
    assert kinds(world) == ["ringing", "answered"]


def test_since_is_the_pbx_s_own_time_of_the_call(world: World) -> None:
    world.polled({"101": (leg(ON_CALL, since=FakeClock.START - 100),)}, now=FakeClock.START)
    assert world.since("101") == FakeClock.START - 100


def test_a_pbx_whose_clock_is_wrong_dates_by_its_own(world: World) -> None:
    world.polled(now=FakeClock.START + 3600)
    world.snapshot({"101", "102"})
    world.pushed("101", leg(RINGING))
    assert world.since("101") == FakeClock.START + 3600


def test_a_pbx_clock_that_is_years_off_is_ignored(world: World) -> None:
    world.polled(now=253402300799)
    world.snapshot({"101", "102"})
    world.wait(1)
    world.pushed("101", leg(RINGING))
    assert world.since("101") == FakeClock.START + 1


def test_since_survives_a_restart_through_the_retained_document(world: World) -> None:
    world.engine.adopt({"101": Remembered("Ada", State.AVAILABLE, 1_700_000_000)}, same_options=True)
    assert world.since("101") == 1_700_000_000


def test_each_call_event_is_published_once(world: World) -> None:
    world.snapshot({"101", "102"})
    for legs in ((leg(RINGING),), (leg(RINGING),), (leg(ON_CALL),), (leg(ON_HOLD),), (leg(ON_CALL),), ()):
        world.pushed("101", *legs)
        world.wait(2)
    assert kinds(world) == ["ringing", "answered", "held", "resumed", "ended"]
    assert events(world)[-1] == {
        "event_type": "ended",
        "id": "1",
        "answered": True,
        "outcome": "completed",
        "answered_by": None,
        "direction": None,
        "party": None,
        "name": None,
        "via": None,
        "duration": 6,
    }


def test_a_missed_call_can_be_recognised(world: World) -> None:
    world.snapshot({"101", "102"})
    world.pushed("101", leg(RINGING, direction=Direction.INBOUND))
    world.pushed("101")
    world.wait(1)
    assert [(each["event_type"], each["outcome"], each["direction"]) for each in events(world)] == [
        ("ringing", None, "inbound"),
        ("ended", "missed", "inbound"),
    ]


def test_no_call_event_is_invented_at_the_start(clock: FakeClock) -> None:
    world = World(clock, sources=ALL)
    world.polled({"101": (leg(ON_CALL),)})
    world.users(user("101"))
    world.snapshot({"101"}, {"101": (leg(ON_CALL),)})
    assert world.wire.events == []
    world.pushed("101")
    assert kinds(world) == ["ended"]


def test_no_call_event_is_invented_after_an_outage(world: World) -> None:
    world.polled({"101": (leg(ON_CALL, "1"),)})
    assert kinds(world) == ["answered"]
    world.wait(60)
    world.users(user("101"), user("102"))
    world.polled({"101": (leg(ON_CALL, "2"),)})
    assert kinds(world) == ["answered"]


def test_a_call_goes_on_after_an_outage_under_its_id_and_no_other_call_does(world: World) -> None:
    def inbound(status: CallStatus, call: str, party: str) -> Leg:
        return leg(status, call, party=party, direction=INBOUND)

    before = inbound(ON_CALL, "1001", "0301234567")
    world.polled({"101": (before,)})
    world.wait(BOUND + 1)
    world.users(user("101"))
    world.polled({"101": (before,)})
    world.polled({"101": (before, inbound(RINGING, "1002", "0308888888"))})
    assert [(event["event_type"], event["id"]) for event in events(world)] == [
        ("answered", "1001"),
        ("ringing", "1002"),
    ]
    world.wait(BOUND + 1)
    world.polled({"101": (inbound(RINGING, "1001", "0409999999"),)})
    world.polled()
    assert (events(world)[-1]["event_type"], events(world)[-1]["id"]) == ("ended", "1001-2")
    world.polled({"101": (inbound(RINGING, "1002", "0409999999"),)})
    assert (events(world)[-1]["event_type"], events(world)[-1]["id"]) == ("ringing", "1002-2")


def test_what_the_preferred_source_leaves_open_another_may_know(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, ACTIVE_CALLS, CALL_CONTROL))
    world.users(user("101"))
    world.snapshot({"101"}, {"101": (leg(ON_CALL, party="0301234567", certainty=Certainty.TYPED),)})
    assert world.user("101").call.direction is None  # type: ignore[union-attr]
    world.polled({"101": (leg(ON_CALL, party="0301234567", direction=INBOUND),)})
    assert world.user("101").call.direction is INBOUND  # type: ignore[union-attr]


def test_no_call_event_is_published_while_the_broker_is_away(world: World) -> None:
    world.wire.in_sync = False
    world.polled({"101": (leg(ON_CALL),)})
    world.wire.in_sync = True
    world.polled({"101": (leg(ON_CALL),)})
    assert world.wire.events == []


def test_the_state_is_published_before_the_event(world: World) -> None:
    world.polled({"101": (leg(RINGING),)})
    order = [topic for topic in world.wire.order if topic.startswith("3cx/users/101")][-4:]
    assert order == ["3cx/users/101/state", "3cx/users/101/busy", "3cx/users/101", "3cx/users/101/call"]


def test_an_unchanged_user_publishes_nothing(world: World) -> None:
    world.snapshot({"101", "102"})
    world.round({"101": None, "102": None})
    before = len(world.wire.order)
    for _ in range(5):
        world.wait(2)
        world.users(user("101", name="Ada"), user("102", name="Bob"))
        world.polled()
        world.snapshot({"101", "102"})
    assert world.wire.order[before:] == []


def test_profiles_and_registration_decide_where_there_are_no_calls(world: World) -> None:
    rows = [user("101", profile="Away"), user("102", registered=False)]
    world.users(*rows)
    assert [each.state for each in world.engine.users()] == [State.AWAY, State.OFFLINE]


def test_an_unknown_profile_is_logged_once_and_unknown(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.users(user("101", profile="Siesta"), user("102", profile="Siesta"))
    assert world.user("101").reason == "profile: Siesta is not in presence.profiles"
    assert caplog.text.count("'Siesta' is not in presence.profiles") == 1


def test_labels_of_the_pbx_stand_for_its_custom_profiles(clock: FakeClock) -> None:
    rules = replace(RULES, profiles={**RULES.profiles, profile_key("Lunch"): State.AWAY})
    world = World(clock, sources=(USERS,), rules=rules)
    world.users(user("101", profile="Custom 1"))
    assert world.user("101").state is State.AVAILABLE
    world.engine.apply(Labels({"Custom 1": "Lunch"}))
    assert world.user("101").state is State.AWAY


def test_unregistered_users_may_be_taken_for_reachable(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS,), rules=replace(RULES, ignore_unregistered=True))
    world.users(user("101", registered=False))
    assert world.user("101").state is State.AVAILABLE
    assert world.user("101").registered is False


@pytest.mark.parametrize(
    ("registered", "rules", "state", "reason"),
    [
        (True, RULES, State.AVAILABLE, "no profile set"),
        (False, RULES, State.OFFLINE, "not registered"),
        (None, RULES, State.UNKNOWN, "no profile set"),
        (True, replace(RULES, no_profile=State.UNKNOWN), State.UNKNOWN, "no profile set"),
        (False, replace(RULES, ignore_unregistered=True), State.AVAILABLE, "no profile set"),
    ],
)
def test_a_user_without_a_profile_is_what_the_configuration_says(
    clock: FakeClock, registered: bool | None, rules: Rules, state: State, reason: str
) -> None:
    world = World(clock, sources=(USERS,), rules=rules)
    world.users(user("101", None, registered, no_profile=True))
    assert (world.user("101").state, world.user("101").reason) == (state, reason)
    assert world.user("101").profile is None


def test_busy_is_what_the_configuration_says(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS,), rules=replace(RULES, busy=frozenset({State.AWAY})))
    world.users(user("101", profile="Away"), user("102", profile="Out of office"))
    assert [each.busy for each in world.engine.users()] == [True, False]
    assert world.wire.retained["3cx/bridge/users_busy"] == "1"


def test_special_users_are_hidden_unless_asked_for(clock: FakeClock) -> None:
    for special, published in ((False, ["101"]), (True, ["101", "900"])):
        world = World(clock, sources=(USERS, MONITOR_STATUS), special=special)
        world.round({"101": None, "900": None})
        world.users(user("101"), user("900", special=True))
        world.round({"101": None, "900": None})
        assert [each.number for each in world.engine.users()] == published


def test_a_disabled_user_is_removed_and_comes_back(world: World) -> None:
    world.users(user("101"), user("102", special=True))
    assert world.wire.dns() == {"101"}
    world.users(user("101"), user("102"))
    assert world.wire.dns() == {"101", "102"}


def test_a_user_missed_between_two_pages_keeps_the_profile_for_one_round(world: World) -> None:
    world.users(user("101"))
    assert world.user("102").state is State.AVAILABLE
    world.users(user("101"))
    assert (world.user("102").state, world.user("102").reason) == (State.UNKNOWN, "not reported by the PBX")


def test_a_user_whom_one_source_reports_stays(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, MONITOR_STATUS), forget_after=60)
    world.users(user("101"), user("102"))
    for _ in range(20):
        world.round({"101": None})
        world.users(user("101"), user("102"))
        world.wait(5)
    assert world.wire.dns() == {"101", "102"}
    for _ in range(20):
        world.round({"101": None})
        world.users(user("101"))
        world.wait(5)
    assert world.wire.dns() == {"101"}


def test_the_state_of_a_monitor_row_counts_only_where_no_better_source_is_on(clock: FakeClock) -> None:
    world = World(clock, sources=(MONITOR_STATUS, USERS, ACTIVE_CALLS))
    world.users(user("101"))
    world.polled()
    world.round({"101": State.ON_CALL})
    assert world.user("101").state is State.AVAILABLE


def test_call_control_alone_introduces_its_extensions(clock: FakeClock) -> None:
    world = World(clock, sources=(CALL_CONTROL,), forget_after=0)
    world.snapshot({"101", "102"}, {"101": (leg(ON_CALL),)})
    assert [(each.number, each.state) for each in world.engine.users()] == [
        ("101", State.ON_CALL),
        ("102", State.UNKNOWN),
    ]
    world.snapshot({"101"})
    assert world.wire.dns() == {"101"}


def test_extensions_that_are_not_covered_are_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.snapshot({"101"})
    info = json.loads(world.wire.retained["3cx/bridge/info"])["sources"]["call_control"]
    assert info["in_use"]
    assert "does not cover 1 of 2 users (102)" in info["reason"]
    assert caplog.text.count("does not cover 1 of 2 users (102)") == 1
    assert not world.engine.pushed
    world.snapshot({"101", "102"})
    assert json.loads(world.wire.retained["3cx/bridge/info"])["sources"]["call_control"] == {"in_use": True}
    assert world.engine.pushed


def test_calls_are_not_pushed_any_more_when_the_connection_is_lost(world: World) -> None:
    world.snapshot({"101", "102"})
    world.lost()
    assert not world.engine.pushed


def test_every_source_says_whether_it_is_in_use_and_why_not(world: World) -> None:
    world.fail(SourceMissing("gone since 20.0.9"))
    world.fail(SourcePermissionError("not ticked"), CALL_CONTROL)
    waiting = not world.engine.settled
    assert waiting
    world.engine.apply(Queues("queues", {}, 90.0))
    world.engine.apply(SystemSeen("system", System(), 90.0))
    assert world.engine.settled
    assert json.loads(world.wire.retained["3cx/bridge/info"])["sources"] == {
        "monitor_status": {"in_use": False, "reason": "gone since 20.0.9"},
        "users": {"in_use": True},
        "active_calls": {"in_use": True},
        "call_control": {"in_use": False, "reason": "not ticked"},
        "queues": {"in_use": True},
        "system": {"in_use": True},
    }


def test_groups_follow_their_members(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS,), groups={"sales": ["10*"], "night": ["999"]})
    world.engine.apply(Labels({}))
    world.users(user("101", profile="Out of office"), user("102"), user("205"))
    assert world.wire.retained["3cx/groups/sales/busy"] == "ON"
    group = json.loads(world.wire.retained["3cx/groups/sales"])
    assert group["busy"] == group["do_not_disturb"] == ["101"]
    assert (group["available"], group["away"], group["on_call"]) == (["102"], [], [])
    world.users(user("101"), user("102"), user("205"))
    assert world.wire.retained["3cx/groups/sales/busy"] == "OFF"
    world.wait(30)
    assert world.wire.retained["3cx/groups/sales/busy"] == "None"
    snapshot = {message.topic: message.payload.decode() for message in world.engine.snapshot()}
    assert snapshot["3cx/groups/night/busy"] == "None"


def test_privacy_holds_in_documents_and_events(clock: FakeClock) -> None:
    for mode, party, name in (
        (CallerId.FULL, "0301234567", "Bob"),
        (CallerId.MASKED, "…567", None),
        (CallerId.NONE, None, None),
    ):
        world = World(clock, sources=(USERS, ACTIVE_CALLS), caller_id=mode)
        world.users(user("101"))
        world.polled()
        world.polled({"101": (leg(RINGING, party="0301234567", name="Bob", via="8000"),)})
        assert (document(world)["call"]["party"], document(world)["call"]["name"]) == (party, name)
        assert (events(world)[0]["party"], events(world)[0]["name"]) == (party, name)
        assert events(world)[0]["via"] == (None if mode is CallerId.NONE else "8000")


def test_only_calls_of_users_count(world: World) -> None:
    world.polled({"10001": (leg(ON_CALL),), "8000": (leg(ON_CALL),)})
    assert [each.state for each in world.engine.users()] == [State.AVAILABLE, State.AVAILABLE]
    assert world.wire.dns() == {"101", "102"}


def test_a_call_source_that_is_not_reached_yet_is_no_reason_for_green(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, CALL_CONTROL))
    world.users(user("101"))
    world.fail(SourceUnavailable("no answer"), CALL_CONTROL)
    world.users(user("101"))
    assert world.user("101").state is State.UNKNOWN
    world.fail(SourcePermissionError("HTTP 403"), CALL_CONTROL)
    assert world.user("101").state is State.AVAILABLE


def test_a_source_that_is_denied_for_good_keeps_no_user(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, MONITOR_STATUS), forget_after=60)
    world.round({"101": None, "102": None})
    world.users(user("101"), user("102"))
    world.fail(SourceMissing("gone since 20.0.9"))
    for _ in range(20):
        world.wait(5)
        world.users(user("101"))
    assert world.wire.dns() == {"101"}


def test_a_source_that_fails_for_long_keeps_its_users(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, MONITOR_STATUS), forget_after=60)
    world.users(user("101"), user("102"))
    for _ in range(60):
        world.round({"101": None})
        world.fail(SourceUnavailable("HTTP 502"), USERS)
        world.wait(5)
    assert world.wire.dns() == {"101", "102"}


def test_an_extension_that_is_back_starts_again(clock: FakeClock) -> None:
    world = World(clock, sources=(CALL_CONTROL,), forget_after=600)
    world.snapshot({"101", "102"})
    world.snapshot({"101"})
    for _ in range(14):
        world.wait(45)
        world.snapshot({"101", "102"})
    world.snapshot({"101"})
    assert world.wire.dns() == {"101", "102"}


def test_a_department_is_kept_while_none_is_reported_and_across_a_restart(world: World) -> None:
    assert world.user("101").department is None
    world.users(user("101", department=1), user("102", department=9))
    world.engine.apply(Departments({1: "Sales"}))
    assert (world.user("101").department, world.user("102").department) == ("Sales", None)
    world.wait(600)
    assert world.user("101").department == "Sales"
    world.restart()
    world.engine.adopt({"101": Remembered("Ada", State.AVAILABLE, 0, "Sales")}, same_options=True)
    assert world.user("101").department == "Sales"
    world.users(user("101", department=1))
    assert world.user("101").department == "Sales"
    world.engine.apply(Departments({}))
    assert world.user("101").department is None


def test_a_move_to_another_department_is_published_for_the_user_and_in_the_roster(world: World) -> None:
    world.engine.apply(Departments({1: "Sales", 2: "Support"}))
    for number, name in ((1, "Sales"), (2, "Support")):
        world.users(user("101", department=number))
        assert document(world)["department"] == name
        entry, *_ = json.loads(world.wire.retained["3cx/bridge/users"])
        assert entry["department"] == name
    world.engine.apply(Departments(None))
    assert document(world)["department"] == "Support"


def test_what_an_earlier_run_knew_fills_what_a_partial_outage_leaves_open(clock: FakeClock) -> None:
    world = World(clock, sources=(MONITOR_STATUS, USERS))
    world.round({"101": None})
    world.engine.adopt({"101": Remembered("Ada", State.AVAILABLE, 0, "Sales")}, same_options=True)
    assert (world.user("101").name, world.user("101").department) == ("Ada", "Sales")
    world.users(user("101", name="Ada Lovelace", department=2))
    assert (world.user("101").name, world.user("101").department) == ("Ada Lovelace", "Sales")
    world.engine.apply(Departments({2: "Support"}))
    assert world.user("101").department == "Support"


def test_two_calls_in_a_row_with_the_same_party_stay_two_calls(world: World) -> None:
    """As long as one source reports them, an id that is new is another call, however alike the two are."""
    first = leg(ON_CALL, "7", direction=Direction.INBOUND, party="0301234567")
    world.polled({"101": (first,)})
    world.wait(2)
    world.polled({"101": (replace(first, id="8"),)})
    assert kinds(world) == ["answered", "ended", "answered"]
    assert [event["id"] for event in events(world)] == ["7", "7", "8"]
