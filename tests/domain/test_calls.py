"""Calls over time: a call stays one call whichever source reports it, and each of its events comes once."""

from dataclasses import replace

import pytest

from bridge.domain.calls import Call, changes, completed, event, joined, most_important, shown
from bridge.domain.certainty import Certainty
from bridge.domain.following import follow
from bridge.domain.model import CallEventType, CallStatus, Direction, Leg
from bridge.domain.privacy import CallerId

ON_CALL, ON_HOLD, RINGING, DIALING = CallStatus.ON_CALL, CallStatus.ON_HOLD, CallStatus.RINGING, CallStatus.DIALING


def leg(status: CallStatus | None, call: str = "1", party: str | None = "0301234567", **more: object) -> Leg:
    fields = {"direction": Direction.INBOUND, "party": party, "certainty": Certainty.PARSED} | more
    return Leg(call, status, **fields)  # type: ignore[arg-type]


def story(*steps: tuple[Leg, ...], other_source: bool = False) -> tuple[tuple[Call, ...], list[str]]:
    """The calls after all steps, ten seconds apart, and what happened on the way."""
    calls: tuple[Call, ...] = ()
    events = []
    for number, legs in enumerate(steps):
        before, calls = calls, follow(calls, legs, 1000 + 10 * number, other_source=other_source)
        events += [f"{change.event_type} {change.call.id}" for change in changes(before, calls)]
    return calls, events


def test_a_call_from_the_first_ring_to_the_end() -> None:
    ringing, talking, held = leg(RINGING), leg(ON_CALL), leg(ON_HOLD)
    _, events = story((ringing,), (ringing,), (talking,), (held,), (held,), (talking,), ())
    assert events == ["ringing 1", "answered 1", "held 1", "resumed 1", "ended 1"]


def test_a_source_that_sees_no_hold_neither_resumes_a_call_nor_makes_it_held_again() -> None:
    talking, held, either = leg(ON_CALL), leg(ON_HOLD), leg(ON_CALL, hold_unseen=True)
    calls, events = story((held,), (either,), (either,))
    assert (calls[0].status, events) == (ON_CALL, ["answered 1", "held 1"])
    assert story((held,), (either,), (held,), (talking,))[1] == ["answered 1", "held 1", "resumed 1"]
    assert story((held,), (either,), (talking,), (held,))[1] == ["answered 1", "held 1", "resumed 1", "held 1"]
    assert story((held,), (either,), ())[1] == ["answered 1", "held 1", "ended 1"]
    assert story((talking,), (either,), (held,))[1] == ["answered 1", "held 1"]


def test_a_call_seen_first_when_it_is_under_way_was_answered() -> None:
    assert story((leg(ON_CALL),), ())[1] == ["answered 1", "ended 1"]
    assert story((leg(ON_HOLD),))[1] == ["answered 1", "held 1"]


def test_a_second_call_is_another_one() -> None:
    both = (leg(ON_CALL), leg(RINGING, "2"))
    assert story((leg(ON_CALL),), both, (leg(ON_CALL),))[1] == ["answered 1", "ringing 2", "ended 2"]


def test_a_status_that_is_not_known_keeps_the_earlier_one() -> None:
    guess = leg(RINGING, keeps=True)
    calls, events = story((leg(ON_CALL),), (guess,))
    assert (calls[0].status, events) == (ON_CALL, ["answered 1"])
    assert story((guess,))[0][0].status is RINGING
    assert story((leg(None),))[0] == ()
    assert story((leg(DIALING),), (leg(None),))[0][0].status is DIALING


def test_what_a_source_no_longer_reports_stays_known() -> None:
    (call,), _ = story((leg(RINGING, name="Ada", via="8000"),), (Leg("1", ON_CALL),))
    assert (call.direction, call.party, call.name, call.via) == (Direction.INBOUND, "0301234567", "Ada", "8000")


def test_another_source_with_other_ids_reports_the_same_call() -> None:
    first, _ = story((leg(RINGING),), (leg(ON_CALL),))
    again = follow(first, (leg(ON_CALL, "4711"),), 2000, other_source=True)
    assert list(changes(first, again)) == []
    assert (again[0].id, again[0].since) == ("1", first[0].since)
    later = follow(again, (leg(ON_CALL, "4711"),), 2000, other_source=False)
    assert later == again
    assert [change.call.id for change in changes(later, follow(later, (), 2001, other_source=False))] == ["1"]


def test_another_source_may_know_that_a_call_ended_and_another_rings() -> None:
    first, _ = story((leg(ON_CALL),))
    now = follow(first, (leg(RINGING, "2", party="0409999999"),), 2000, other_source=True)
    assert [(each.event_type, each.call.id) for each in changes(first, now)] == [
        (CallEventType.ENDED, "1"),
        (CallEventType.RINGING, "2"),
    ]


def test_the_same_source_with_another_id_reports_another_call() -> None:
    first, _ = story((leg(ON_CALL),))
    events = [each.event_type for each in changes(first, follow(first, (leg(ON_CALL, "2"),), 1, other_source=False))]
    assert events == [CallEventType.ENDED, CallEventType.ANSWERED]


def test_the_most_important_call_is_the_connected_one_then_the_oldest() -> None:
    calls, _ = story((leg(RINGING, "1"), leg(ON_HOLD, "2"), leg(DIALING, "3")))
    assert most_important(calls).id == "2"  # type: ignore[union-attr]
    calls, _ = story((leg(RINGING, "9"),), (leg(RINGING, "9"), leg(RINGING, "1")))
    assert most_important(calls).id == "9"  # type: ignore[union-attr]
    assert most_important(()) is None


def test_times_are_the_pbx_s_where_it_gives_them_and_never_in_the_future() -> None:
    (call,), _ = story((leg(RINGING, since=900),), (leg(ON_CALL, since=950),))
    assert (call.began, call.since, call.answered_at) == (900, 950, 950)
    (call,), _ = story((leg(RINGING, since=5000),))
    assert call.since == 1000


def test_an_event_says_whether_the_call_was_answered_and_how_long_it_took() -> None:
    def last(*steps: tuple[Leg, ...]) -> tuple[bool, int]:
        calls, _ = story(*steps)
        (change,) = changes(calls, ())
        published = event(change, 1100, CallerId.FULL)
        return published.answered, published.duration

    assert last((leg(RINGING),)) == (False, 100)
    assert last((leg(RINGING),), (leg(ON_CALL),)) == (True, 90)


def test_privacy_decides_what_is_shown() -> None:
    outside, _ = story((leg(RINGING, name="Bob", via="8000"),))
    inside, _ = story((leg(RINGING, party="102", internal=True, name="Bob"),))
    short, _ = story((leg(RINGING, party="112"),))

    def seen(calls: tuple[Call, ...], mode: CallerId) -> tuple[object, ...]:
        call = shown(calls[0], mode)
        published = event(next(changes((), calls)), 1000, mode)
        assert (published.party, published.name) == (call.party, call.name)
        return call.party, call.name, published.via

    assert seen(outside, CallerId.FULL) == ("0301234567", "Bob", "8000")
    assert seen(outside, CallerId.MASKED) == ("…567", None, "8000")
    assert seen(outside, CallerId.NONE) == (None, None, None)
    assert seen(inside, CallerId.MASKED) == ("102", None, None)
    assert seen(inside, CallerId.NONE) == (None, None, None)
    assert seen(short, CallerId.MASKED) == ("…", None, None)


def test_another_source_may_format_the_number_differently() -> None:
    first, _ = story((leg(ON_CALL, party="+49301234567"),))
    again = follow(first, (leg(ON_CALL, "4711", party="0301234567"),), 2000, other_source=True)
    assert list(changes(first, again)) == []
    two, _ = story((leg(ON_CALL, party="1"), leg(ON_CALL, "2", party="2")))
    switched = follow(two, (leg(ON_CALL, "8", party="2"), leg(ON_CALL, "9", party="3")), 2000, other_source=True)
    assert sorted(each.call.id for each in changes(two, switched)) == ["1", "9"]


def other(status: CallStatus, call: str = "1", **more: object) -> Leg:
    fields = {"direction": Direction.OUTBOUND, "party": "0409999999", "certainty": Certainty.PARSED} | more
    return Leg(call, status, **fields)  # type: ignore[arg-type]


OUTBOUND_LEG = other(DIALING)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (OUTBOUND_LEG, leg(RINGING, "2")),
        (OUTBOUND_LEG, leg(RINGING, "2", party=None)),
        (other(DIALING, direction=None, party=None), leg(RINGING, "2")),
        (other(ON_CALL), leg(ON_CALL, "2", party=None)),
        (other(ON_CALL, direction=Direction.INBOUND), leg(ON_CALL, "2")),
        (
            other(ON_CALL, party="102", internal=True, direction=Direction.INTERNAL),
            other(ON_CALL, "2", party="103", internal=True, direction=Direction.INTERNAL),
        ),
        (OUTBOUND_LEG, leg(RINGING)),
        (other(ON_CALL), leg(ON_CALL)),
    ],
)
def test_another_source_does_not_continue_a_call_that_it_contradicts(before: Leg, after: Leg) -> None:
    first, _ = story((before,))
    now = follow(first, (after,), 2000, other_source=True)
    events = [(each.event_type, each.call.id) for each in changes(first, now)]
    new_id = "2" if after.id == "2" else "1-2"
    assert events[0] == (CallEventType.ENDED, "1")
    assert [call_id for _, call_id in events[1:]] == [new_id]
    assert (now[0].direction, now[0].party) == (after.direction, after.party)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (OUTBOUND_LEG, leg(RINGING), False),
        (other(DIALING, direction=None, party=None), leg(RINGING), True),
        (other(ON_CALL), leg(RINGING), False),
        (other(ON_CALL), leg(ON_CALL), False),
        (other(ON_CALL), other(ON_CALL, party="0401111111"), True),
        (other(ON_CALL), other(RINGING, direction=None), True),
        (OUTBOUND_LEG, leg(RINGING, keeps=True, party=None), True),
    ],
)
def test_a_restarted_pbx_gives_an_id_to_another_call(before: Leg, after: Leg, same: bool) -> None:
    calls, events = story((before,), (after,))
    assert [call.id for call in calls] == (["1"] if same else ["1-2"])
    assert ("ended 1" in events) is not same


def test_no_new_call_takes_an_id_that_is_open() -> None:
    taken = follow((), (leg(RINGING), leg(ON_CALL, "2")), 1000, other_source=False, open_ids={"1", "1-2"})
    assert [call.id for call in taken] == ["1-3", "2"]
    later = follow(taken, (leg(ON_CALL), leg(ON_CALL, "2")), 1000, other_source=False, open_ids={"1", "1-2"})
    assert [call.id for call in later] == ["1-3", "2"]


PLACEHOLDER, TYPED = Certainty.PLACEHOLDER, Certainty.TYPED


def said(*steps: Leg) -> tuple[object, ...]:
    (call,), _ = story(*((step,) for step in steps))
    return call.direction, call.party, call.internal


def test_a_placeholder_fixes_nothing() -> None:
    nobody = Leg("1", DIALING, certainty=PLACEHOLDER)
    outbound = other(DIALING, certainty=TYPED)
    connected = other(ON_CALL, direction=None, certainty=TYPED)
    assert said(nobody) == (None, None, False)
    assert said(nobody, outbound) == (Direction.OUTBOUND, "0409999999", False)
    assert said(nobody, outbound, connected) == (Direction.OUTBOUND, "0409999999", False)
    assert said(nobody, connected) == (Direction.OUTBOUND, "0409999999", False)  # it was seen dialing
    assert said(outbound, replace(nobody, status=ON_CALL)) == (Direction.OUTBOUND, "0409999999", False)
    assert said(Leg("1", ON_CALL, certainty=PLACEHOLDER), connected) == (None, "0409999999", False)


def test_better_knowledge_corrects_and_is_not_corrected_by_worse() -> None:
    inside = other(ON_CALL, direction=Direction.INTERNAL, party="102", internal=True)
    outside = leg(ON_CALL)
    assert said(outside, inside) == (Direction.INTERNAL, "102", True)
    assert said(inside, replace(outside, certainty=TYPED)) == (Direction.INBOUND, "0301234567", False)
    assert said(replace(outside, certainty=TYPED), inside) == (Direction.INBOUND, "0301234567", False)


def test_a_call_that_is_transferred_from_inside_to_outside_is_internal_no_more() -> None:
    rung = Leg("1", RINGING, direction=Direction.INTERNAL, party="102", internal=True, certainty=TYPED)
    outside = other(ON_CALL, direction=None, certainty=TYPED)
    assert said(rung, outside) == (Direction.INBOUND, "0409999999", False)
    assert said(replace(rung, status=DIALING), outside) == (Direction.OUTBOUND, "0409999999", False)
    assert said(replace(rung, status=ON_CALL), outside) == (None, "0409999999", False)


def test_two_accounts_of_a_call_complete_each_other() -> None:
    nobody = Leg("1", ON_CALL, certainty=PLACEHOLDER)
    number = other(ON_CALL, direction=None, certainty=TYPED)
    assert joined(Leg("1", RINGING, certainty=PLACEHOLDER), number) == number
    assert joined(number, Leg("1", None, keeps=True)).status is ON_CALL
    assert completed(nobody, leg(RINGING, name="Bob", via="8000")) == leg(ON_CALL, name="Bob", via="8000")
    same = leg(RINGING, party=number.party)
    assert completed(number, same) == replace(number, direction=Direction.INBOUND)
    assert completed(number, Leg("1", None, direction=Direction.INTERNAL, party="102", internal=True)) == number


def test_another_call_under_the_same_id_completes_nothing() -> None:
    """A PBX that has restarted uses ids again, while a source may still have the calls from before."""
    number = other(ON_CALL, direction=None, certainty=Certainty.TYPED)
    assert completed(number, leg(RINGING, via="8000")) == number
