"""How calls end: a call that a colleague took is not missed, and one that nobody took is not taken for answered."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.model import CallStatus, Direction, Leg
from bridge.domain.privacy import CallerId
from bridge.engine.call_members import CallMembers
from bridge.engine.timing import USUAL
from bridge.sources.threecx.directory import Directory
from bridge.sources.threecx.parse import participant
from bridge.sources.threecx.participants import Participants
from tests.support.clock import FakeClock
from tests.support.world import ACTIVE_CALLS, CALL_CONTROL, USERS, World, leg, user

ON_CALL, RINGING, DIALING = CallStatus.ON_CALL, CallStatus.RINGING, CallStatus.DIALING
INBOUND, OUTBOUND, INTERNAL = Direction.INBOUND, Direction.OUTBOUND, Direction.INTERNAL
OFFICE = ("101", "102", "103", "104")
CALLER = "0301234567"


def office(clock: FakeClock, *sources: str, **options: Any) -> World:
    """Four users without calls, all of them covered by Call Control where that is on."""
    world = World(clock, sources=sources or (USERS, CALL_CONTROL), **options)
    world.users(*map(user, OFFICE))
    if ACTIVE_CALLS in sources:
        world.polled()
    if CALL_CONTROL in sources or not sources:
        world.snapshot(OFFICE)
    return world


@pytest.fixture
def world(clock: FakeClock) -> World:
    return office(clock)


def inbound(status: CallStatus, call: str = "7", **more: Any) -> Leg:
    return leg(status, call, **{"direction": INBOUND, "party": CALLER, **more})


def internal(status: CallStatus, party: str, call: str = "7", **more: Any) -> Leg:
    return leg(status, call, direction=INTERNAL, party=party, internal=True, **more)


def events(world: World, dn: str) -> list[dict[str, Any]]:
    return [json.loads(payload) for topic, payload in world.wire.events if topic == f"3cx/users/{dn}/call"]


def ends(world: World, dn: str) -> list[tuple[str, str | None]]:
    """Outcome and answered_by of each end."""
    found = [(each["outcome"], each["answered_by"]) for each in events(world, dn) if each["event_type"] == "ended"]
    open_calls = [each for each in events(world, dn) if each["event_type"] != "ended"]
    assert all((each["outcome"], each["answered_by"]) == (None, None) for each in open_calls)
    return found


def ring(world: World, *dns: str, **more: Any) -> None:
    for dn in dns:
        world.pushed(dn, inbound(RINGING, **more))


def test_a_call_that_a_colleague_of_the_ring_group_answers_is_not_missed(world: World) -> None:
    ring(world, "101", "102", "103", via="800")
    world.wait(3)
    world.pushed("102", inbound(ON_CALL, via="800"))
    world.pushed("101")
    world.pushed("103")
    assert ends(world, "101") == ends(world, "103") == [("answered_elsewhere", "102")]
    world.wait(5)
    world.pushed("102")
    assert ends(world, "102") == [("completed", None)]
    assert events(world, "101")[-1] == {
        "event_type": "ended",
        "id": "7",
        "answered": False,
        "outcome": "answered_elsewhere",
        "answered_by": "102",
        "direction": "inbound",
        "party": CALLER,
        "name": None,
        "via": "800",
        "duration": 3,
    }


def test_the_phones_may_stop_ringing_before_the_answer_is_reported(world: World) -> None:
    """The states do not wait for it, only the events do."""
    ring(world, "101", "102", "103")
    world.pushed("101")
    world.pushed("103")
    assert world.wire.state("101") == world.wire.state("103") == "available"
    assert ends(world, "101") == ends(world, "103") == []
    world.pushed("102", inbound(ON_CALL))
    assert ends(world, "101") == ends(world, "103") == [("answered_elsewhere", "102")]


def test_the_participants_of_a_ring_group_as_call_control_reports_them(world: World) -> None:
    """They share `callid`, and nothing else says that they belong together."""
    participants = Participants(Directory())

    def report(dn: str, number: int, status: str | None) -> None:
        raw = {
            "id": number,
            "status": status,
            "callid": 4711,
            "party_dn_type": "Wexternalline",
            "party_caller_id": CALLER,
            "originated_by_dn": "ROUTER",
            "originated_by_type": "Wroutepoint",
        }
        participants.store((dn, number), participant(json.dumps(raw).encode()) if status else None)
        world.pushed(dn, *participants.legs(dn))

    report("102", 302, "Ringing")
    report("103", 303, "Ringing")
    world.wait(3)
    report("103", 303, "Connected")
    report("102", 302, None)
    assert ends(world, "102") == [("answered_elsewhere", "103")]
    assert [each["event_type"] for each in events(world, "103")] == ["ringing", "answered"]


def test_when_the_caller_hangs_up_all_have_missed_the_call(world: World) -> None:
    ring(world, "101", "102", "103")
    for dn in ("101", "102", "103"):
        world.pushed(dn)
    world.wait(USUAL.answer_wait)
    assert [ends(world, dn) for dn in ("101", "102", "103")] == [[("missed", None)]] * 3


@pytest.mark.parametrize("others", [(), ("102",)])
def test_the_end_of_the_ringing_waits_a_second_for_an_answer_elsewhere(world: World, others: tuple[str, ...]) -> None:
    """Who picks up need not have rung."""
    ring(world, "101", *others)
    world.wait(3)
    world.pushed("101")
    assert world.engine.next_due == pytest.approx(world.clock.now + USUAL.answer_wait)
    world.clock.turn(USUAL.answer_wait - 0.01)
    world.engine.publish_due()
    assert ends(world, "101") == []
    world.clock.turn(0.02)
    world.engine.publish_due()
    assert ends(world, "101") == [("missed", None)]
    assert (world.engine.next_due, events(world, "101")[-1]["duration"]) == (None, 3)
    world.pushed("102", inbound(ON_CALL))
    assert ends(world, "101") == [("missed", None)]


def test_a_tick_or_any_news_publishes_what_has_waited_long_enough(world: World) -> None:
    ring(world, "101", "102")
    world.pushed("101")
    world.clock.turn(2)
    world.users(*map(user, OFFICE))
    assert ends(world, "101") == [("missed", None)]
    ring(world, "103", "104", call="8")
    world.pushed("103")
    world.wait(2)
    assert ends(world, "103") == [("missed", None)]


def test_a_short_answer_elsewhere_counts_although_it_is_over(world: World) -> None:
    ring(world, "101", "102")
    world.pushed("102", inbound(ON_CALL))
    world.pushed("102")
    world.wait(1)
    world.pushed("101")
    assert ends(world, "101") == [("answered_elsewhere", "102")]


def test_an_internal_call_is_not_answered_for_one_and_missed_by_the_other(world: World) -> None:
    """At once, as nobody can answer when the caller is gone."""
    for call, order in (("7", ("101", "102")), ("8", ("102", "101"))):
        world.pushed("101", internal(DIALING, "102", call))
        world.pushed("102", internal(RINGING, "101", call))
        for dn in order:
            world.pushed(dn)
        assert ends(world, "101")[-1] == ("not_answered", None)
        assert ends(world, "102")[-1] == ("missed", None)
    assert len(ends(world, "101")) == len(ends(world, "102")) == 2


@pytest.mark.parametrize("dialled_seen", [True, False])
def test_the_voicemail_that_answers_the_caller_answers_no_call(world: World, dialled_seen: bool) -> None:
    if dialled_seen:
        world.pushed("101", internal(DIALING, "102"))
    world.pushed("102", internal(RINGING, "101"))
    world.pushed("101", internal(ON_CALL, "666"))
    world.pushed("102")
    world.wait(10)
    world.pushed("101")
    assert ends(world, "102") == [("missed", None)]
    assert ends(world, "101") == [("completed", None)]


def test_a_caller_whom_the_ringing_phones_do_not_name_is_no_answer(world: World) -> None:
    """They name the group as their party, and the caller is connected to it."""
    world.pushed("102", internal(RINGING, "800"))
    world.pushed("101", internal(DIALING, "800"))
    world.pushed("101", internal(ON_CALL, "800"))
    world.pushed("102")
    world.wait(1)
    assert ends(world, "102") == [("missed", None)]


def test_a_colleague_who_called_the_group_is_no_answer_but_the_one_who_took_the_call_is(world: World) -> None:
    world.pushed("101", internal(DIALING, "800"))
    for dn in ("102", "103"):
        world.pushed(dn, internal(RINGING, "101", via="800"))
    world.pushed("102")
    world.pushed("101", internal(ON_CALL, "103"))
    assert ends(world, "102") == []
    world.pushed("103", internal(ON_CALL, "101", via="800"))
    assert ends(world, "102") == [("answered_elsewhere", "103")]


def test_a_call_dialled_to_the_outside_that_nobody_answers(world: World) -> None:
    world.pushed("101", leg(DIALING, "9", direction=OUTBOUND, party=CALLER))
    world.pushed("101")
    assert ends(world, "101") == [("not_answered", None)]


def test_a_transfer_that_nobody_takes_is_missed_though_a_colleague_had_the_call_before(world: World) -> None:
    world.pushed("101", inbound(RINGING))
    world.pushed("101", inbound(ON_CALL))
    world.pushed("101")
    world.pushed("102", inbound(RINGING))
    world.wait(5)
    world.pushed("102")
    world.wait(1)
    assert ends(world, "101") == [("completed", None)]
    assert ends(world, "102") == [("missed", None)]


def test_a_colleague_who_holds_the_call_while_it_rings_for_a_transfer_is_no_answer(world: World) -> None:
    world.pushed("101", inbound(RINGING))
    world.pushed("101", inbound(ON_CALL))
    world.wait(20)
    world.pushed("101", inbound(CallStatus.ON_HOLD))
    world.pushed("102", inbound(RINGING))
    world.wait(5)
    world.pushed("102")
    world.wait(1)
    assert ends(world, "102") == [("missed", None)]


def test_who_was_put_through_later_did_not_answer_first(world: World) -> None:
    ring(world, "101", "102")
    world.pushed("102", inbound(ON_CALL))
    world.wait(0.2)
    world.pushed("102")
    world.pushed("103", inbound(ON_CALL))
    world.pushed("101")
    assert ends(world, "101") == [("answered_elsewhere", "102")]


def test_a_pick_up_is_an_answer_elsewhere_and_the_one_who_picks_up_knows_the_caller(world: World) -> None:
    world.pushed("101", inbound(RINGING, name="Carol", via="800"))
    world.wait(3)
    world.pushed("103", leg(ON_CALL, "7"))
    world.pushed("101")
    assert ends(world, "101") == [("answered_elsewhere", "103")]
    (answered,) = events(world, "103")
    assert (answered["direction"], answered["party"], answered["name"]) == ("inbound", CALLER, "Carol")
    assert answered["via"] == "800"
    call = world.user("103").call
    assert call is not None
    assert (call.direction, call.party) == (INBOUND, CALLER)


def test_a_pick_up_may_be_reported_after_the_end_of_the_ringing(world: World) -> None:
    world.pushed("101", inbound(RINGING))
    world.pushed("101")
    world.clock.turn(0.9)
    world.pushed("103", inbound(ON_CALL, direction=None))
    assert ends(world, "101") == [("answered_elsewhere", "103")]
    assert events(world, "103")[0]["direction"] == "inbound"


def test_a_pick_up_may_be_dialled(world: World) -> None:
    """The one who picks up dials a code, which the PBX may report under the id of the call that rings."""
    world.pushed("101", inbound(RINGING))
    world.pushed("103", leg(DIALING, "7"))
    world.pushed("103", leg(ON_CALL, "7"))
    world.pushed("101")
    assert ends(world, "101") == [("answered_elsewhere", "103")]
    world.pushed("102", internal(RINGING, "101", "8"))
    world.wait(3)
    world.pushed("103", leg(DIALING, "8"))
    world.pushed("103", leg(ON_CALL, "8"))
    world.pushed("102")
    assert ends(world, "102") == [("answered_elsewhere", "103")]
    assert (events(world, "103")[-1]["direction"], events(world, "103")[-1]["party"]) == ("internal", "101")


def test_the_caller_does_not_become_the_party_of_the_own_call(world: World) -> None:
    world.pushed("102", internal(RINGING, "101"))
    world.pushed("101", leg(ON_CALL, "7"))
    assert (events(world, "101")[-1]["direction"], events(world, "101")[-1]["party"]) == (None, None)


def test_an_extension_that_is_no_published_user_can_answer(clock: FakeClock) -> None:
    """201 is seen by Call Control only, 202 is a user of 3CX that the options do not admit."""
    world = World(clock, sources=(USERS, CALL_CONTROL))
    world.users(user("101"), user("202", special=True))
    world.snapshot({"101", "201", "202"})
    for call, colleague in (("7", "201"), ("8", "202")):
        for dn in ("101", colleague):
            world.pushed(dn, inbound(RINGING, call))
        world.pushed(colleague, inbound(ON_CALL, call))
        world.pushed("101")
        assert ends(world, "101")[-1] == ("answered_elsewhere", colleague)
    assert world.wire.dns() == {"101"}


def test_a_call_that_waits_in_a_queue_is_not_answered_by_the_queue_or_the_trunk(clock: FakeClock) -> None:
    world = office(clock, USERS, ACTIVE_CALLS, CALL_CONTROL)
    ring(world, "101", "102", via="800")
    waits = {"10001": (leg(ON_CALL, "7", direction=INTERNAL, party="800"),), "800": (inbound(ON_CALL),)}
    world.polled(waits)
    world.pushed("101")
    world.pushed("102")
    world.wait(1)
    assert ends(world, "101") == ends(world, "102") == [("missed", None)]


def test_polling_alone_sees_that_a_call_is_picked_up_and_that_it_is_not(clock: FakeClock) -> None:
    """A row of ActiveCalls names one callee, or there are several rows with one id."""
    world = office(clock, USERS, ACTIVE_CALLS)
    trunk = {"10001": (leg(ON_CALL, "7", direction=INTERNAL, party="102"),)}
    world.polled({**trunk, "102": (inbound(RINGING),)})
    world.wait(2)
    world.polled({**trunk, "103": (inbound(ON_CALL),)})
    assert ends(world, "102") == [("answered_elsewhere", "103")]
    world.polled()
    assert ends(world, "103") == [("completed", None)]
    world.polled({dn: (inbound(RINGING, "8"),) for dn in ("101", "102", "103")})
    world.wait(2)
    world.polled({"101": (inbound(ON_CALL, "8"),)})
    assert ends(world, "102")[1:] == ends(world, "103")[1:] == [("answered_elsewhere", "101")]
    world.polled({dn: (inbound(RINGING, "9"),) for dn in ("102", "103")})
    world.wait(2)
    world.polled()
    assert ends(world, "102")[2:] == ends(world, "103")[2:] == [("missed", None)]


def test_polling_finds_an_answer_that_only_the_phone_that_rang_was_pushed_of(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, ACTIVE_CALLS, CALL_CONTROL))
    world.users(user("101"), user("102"))
    world.polled()
    world.snapshot({"101"})
    world.pushed("101", inbound(RINGING))
    world.wait(1)
    world.polled({"102": (inbound(ON_CALL),)})
    world.pushed("101")
    assert ends(world, "101") == [("answered_elsewhere", "102")]


@pytest.mark.parametrize(
    ("caller_id", "shown"), [(CallerId.FULL, "102"), (CallerId.MASKED, "102"), (CallerId.NONE, None)]
)
def test_privacy_holds_for_who_answered(clock: FakeClock, caller_id: CallerId, shown: str | None) -> None:
    world = office(clock, caller_id=caller_id)
    ring(world, "101", "102")
    world.pushed("102", inbound(ON_CALL))
    world.pushed("101")
    assert ends(world, "101") == [("answered_elsewhere", shown)]


def test_a_phone_that_rings_again_for_the_call_has_its_end_first(world: World) -> None:
    ring(world, "101", "102")
    world.pushed("101")
    world.pushed("101", inbound(RINGING))
    assert [each["event_type"] for each in events(world, "101")] == ["ringing", "ended", "ringing"]
    world.pushed("102", inbound(ON_CALL))
    world.pushed("101")
    assert ends(world, "101") == [("missed", None), ("answered_elsewhere", "102")]


def test_an_end_that_waits_when_the_source_is_lost_is_published_with_what_is_known(world: World) -> None:
    """The call has ended: its event is not lost with the connection, and nothing is invented about it."""
    ring(world, "101", "102")
    world.pushed("101")
    world.lost()
    assert ends(world, "101") == []
    world.wait(2)
    assert ends(world, "101") == [("missed", None)]
    world.snapshot(OFFICE, {"102": (inbound(ON_CALL),)})
    assert ends(world, "101") == [("missed", None)]


def test_an_answer_that_is_seen_after_a_short_loss_counts(world: World) -> None:
    ring(world, "101", "102")
    world.lost()
    world.wait(3)
    world.snapshot(OFFICE, {"102": (inbound(ON_CALL),)})
    assert ends(world, "101") == [("answered_elsewhere", "102")]


def test_a_restarted_pbx_may_use_the_id_again(world: World) -> None:
    ring(world, "101", "102")
    world.pushed("102", inbound(ON_CALL))
    world.lost()
    world.wait(5)
    world.snapshot(OFFICE, {"103": (inbound(RINGING),)})
    world.wait(2)
    world.pushed("103")
    world.wait(1)
    assert ends(world, "103") == [("missed", None)]


def test_no_end_is_published_of_a_user_who_is_not_published_any_more(clock: FakeClock) -> None:
    world = office(clock, forget_after=0)
    ring(world, "101", "102")
    world.pushed("101")
    for _ in range(2):
        world.users(*map(user, OFFICE[1:]))
    assert "101" not in world.wire.dns()
    world.wait(2)
    assert ends(world, "101") == []


def test_calls_are_forgotten_some_time_after_their_end() -> None:
    members = CallMembers(lambda _: True, 1.0, 30.0)
    members.note({"101": (inbound(RINGING),)}, 0.0)
    members.note({"101": ()}, 10.0)
    members.note({"102": ()}, 39.0)
    assert len(members) == 1
    members.note({"102": ()}, 41.0)
    assert len(members) == 0


def test_a_flood_of_calls_is_forgotten_sooner() -> None:
    members = CallMembers(lambda _: True, 1.0, 30.0)
    for number in range(5000):
        members.note({"101": (inbound(RINGING, str(number)),)}, 0.0)
    members.note({"101": ()}, 0.0)
    assert len(members) == 4096
    assert members.answered_by("0", "101") is None


def test_a_flood_of_waiting_ends_is_published_early(clock: FakeClock) -> None:
    world = office(clock)
    calls = [inbound(RINGING, str(number)) for number in range(1100)]
    for dn in ("101", "102"):
        world.pushed(dn, *calls)
    world.pushed("101")
    assert ends(world, "101") == [("missed", None)] * 76


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[tuple[str, str]], str | None, bool]:
    """What happens in one call of a ring group, as the bridge hears of it; who answers; whether a colleague calls.

    What one phone does is heard in order; what several do at the same time, in any order.
    """
    group = draw(st.lists(st.sampled_from(OFFICE[1:]), min_size=1, unique=True))
    answers = draw(st.none() | st.sampled_from(group))
    called_inside = draw(st.booleans())
    told = {dn: [(dn, "rings"), (dn, "answers" if dn == answers else "gone")] for dn in group}
    if called_inside:
        told["101"] = [
            ("101", "dials"),
            ("101", "connected" if answers else draw(st.sampled_from(["gone", "connected"]))),
        ]
    order = draw(st.permutations([dn for dn, each in told.items() for _ in each]))
    return [told[dn].pop(0) for dn in order], answers, called_inside


@settings(max_examples=300)
@given(life=interleavings(), pauses=st.lists(st.sampled_from([0.0, 0.1]), min_size=8, max_size=8), ended=st.booleans())
def test_every_end_has_one_outcome_in_whatever_order_it_is_heard(
    life: tuple[list[tuple[str, str]], str | None, bool], pauses: list[float], ended: bool
) -> None:
    steps, answers, called_inside = life
    world = office(FakeClock())
    called = [internal(status, "101") if called_inside else inbound(status) for status in (RINGING, ON_CALL)]
    legs: dict[str, Iterable[Leg]] = {
        "rings": called[:1],
        "answers": called[1:],
        "gone": (),
        "dials": (internal(DIALING, "800"),),
        "connected": (internal(ON_CALL, answers or "666"),),
    }
    for (dn, what), pause in zip(steps, pauses, strict=False):
        world.pushed(dn, *legs[what])
        world.clock.turn(pause)
    if ended:
        for dn in OFFICE:
            world.pushed(dn)
    world.wait(2)
    rang = {dn for dn, what in steps if what == "rings"}
    for dn in rang - {answers}:
        assert ends(world, dn) == [("answered_elsewhere", answers) if answers else ("missed", None)]
    if answers:
        assert ends(world, answers) == [("completed", None)] * ended
    counted = Counter((topic, json.loads(payload)["event_type"]) for topic, payload in world.wire.events)
    assert set(counted.values()) == {1}
