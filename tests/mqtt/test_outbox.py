from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.allowance import Allowance
from bridge.domain.message import Message, Rank
from bridge.mqtt.outbox import MOST_EVENTS, MOST_OTHERS, Outbox
from tests.support.clock import FakeClock


def filled(*messages: Message) -> Outbox:
    outbox = Outbox()
    for message in messages:
        outbox.put(message)
    return outbox


def drained(outbox: Outbox) -> list[tuple[str, bytes]]:
    found = []
    while (message := outbox.pop()) is not None:
        found.append((message.topic, message.payload))
    assert not outbox
    return found


def test_the_most_urgent_goes_first_and_equals_in_order() -> None:
    outbox = filled(
        Message("d1", b"", Rank.DISCOVERY),
        Message("s1", b"", Rank.STATE),
        Message("online", b"", Rank.ONLINE),
        Message("s2", b"", Rank.STATE),
    )
    assert [topic for topic, _ in drained(outbox)] == ["s1", "s2", "d1", "online"]


def test_only_the_last_value_of_a_retained_topic_goes_out() -> None:
    outbox = filled(Message("a", b"1", Rank.STATE), Message("b", b"2", Rank.STATE), Message("a", b"3", Rank.STATE))
    assert drained(outbox) == [("a", b"3"), ("b", b"2")]


def test_events_all_go_out_up_to_a_bound() -> None:
    outbox = filled(*(Message("e", str(n).encode(), Rank.STATE, retain=False) for n in range(MOST_EVENTS + 5)))
    assert [payload for _, payload in drained(outbox)] == [str(n).encode() for n in range(5, MOST_EVENTS + 5)]


def test_events_go_ahead_of_answers_and_log_which_push_none_of_them_out() -> None:
    event = Message("call", b"", Rank.STATE, retain=False)
    outbox = filled(
        *(Message("log", str(n).encode(), Rank.DETAIL, retain=False) for n in range(3 * MOST_EVENTS)),
        event,
        *(Message("answer", str(n).encode(), Rank.DOCUMENT, retain=False) for n in range(3 * MOST_EVENTS)),
        Message("state", b"", Rank.STATE),
    )
    topics = [topic for topic, _ in drained(outbox)]
    assert topics == ["state", "call", *["answer"] * MOST_OTHERS, *["log"] * MOST_OTHERS]


def test_an_event_can_be_taken_alone() -> None:
    event = Message("call", b"", Rank.STATE, retain=False)
    outbox = filled(Message("state", b"", Rank.STATE), event)
    assert outbox.pop_event() == event
    assert outbox.pop_event() is None
    assert drained(outbox) == [("state", b"")]


def test_nothing_is_taken_before_the_broker_is_in_sync() -> None:
    outbox, calls = Outbox(), []
    outbox.on_put = lambda: calls.append(1)
    outbox.publish(Message("a", b"1", Rank.STATE))
    assert (bool(outbox), calls) == (False, [])
    outbox.in_sync = True
    outbox.publish(Message("a", b"1", Rank.STATE))
    assert (bool(outbox), calls) == (True, [1])
    outbox.clear()
    assert (bool(outbox), outbox.in_sync) == (False, False)


def test_an_older_value_never_goes_out_after_a_newer_one_of_another_rank() -> None:
    outbox = filled(
        Message("pbx", b"offline", Rank.ONLINE),
        Message("doc", b"1", Rank.DISCOVERY),
        Message("doc", b"", Rank.BRIDGE),
        Message("pbx", b"online", Rank.BRIDGE),
        Message("state", b"x", Rank.STATE),
    )
    assert drained(outbox) == [("doc", b""), ("state", b"x"), ("pbx", b"online")]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=2), st.sampled_from(Rank))))
def test_the_last_value_of_each_topic_arrives_and_no_other(puts: list[tuple[str, bytes, Rank]]) -> None:
    messages = [Message(topic, payload, rank) for topic, payload, rank in puts]
    expected = {message.topic: message.payload for message in messages}
    assert sorted(drained(filled(*messages))) == sorted(expected.items())


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    clock = FakeClock()
    allowance = Allowance(rate=10, burst=3, monotonic=clock.clock.monotonic)
    assert [allowance.take() for _ in range(3)] == [0, 0, 0]
    assert allowance.take() == 0.1
    clock.turn(0.1)
    assert allowance.take() == 0
    assert allowance.take() > 0
    clock.turn(3600)
    assert [allowance.take() for _ in range(4)] == [0, 0, 0, 0.1]


def test_a_rate_of_0_sets_no_limit() -> None:
    allowance = Allowance(rate=0, burst=1, monotonic=FakeClock().clock.monotonic)
    assert {allowance.take() for _ in range(1000)} == {0}


@given(st.lists(st.floats(0, 2), max_size=200))
def test_no_more_than_burst_and_rate_allow(waits: list[float]) -> None:
    clock = FakeClock()
    allowance = Allowance(rate=5, burst=4, monotonic=clock.clock.monotonic)
    granted = 0
    for wait in waits:
        clock.turn(wait)
        granted += allowance.take() == 0
    assert granted <= 4 + 5 * sum(waits) + 1e-6


def test_a_message_that_is_put_back_goes_first_unless_a_newer_one_for_its_topic_waits() -> None:
    outbox = filled(Message("other", b"1", Rank.STATE))
    outbox.in_sync = True
    outbox.put_back(Message("light", b"old", Rank.STATE, retain=False, newest=True))
    assert drained(outbox) == [("light", b"old"), ("other", b"1")]
    outbox.put(Message("light", b"new", Rank.STATE, retain=False, newest=True))
    outbox.put_back(Message("light", b"old", Rank.STATE, retain=False, newest=True))
    assert drained(outbox) == [("light", b"new")]


def test_nothing_is_put_back_once_the_broker_is_out_of_sync() -> None:
    outbox = Outbox()
    outbox.put_back(Message("light", b"old", Rank.STATE, retain=False, newest=True))
    assert not outbox


def test_each_event_that_is_dropped_is_reported() -> None:
    outbox, drops = Outbox(), list[int]()
    outbox.on_drop = drops.append
    for _ in range(MOST_EVENTS):
        outbox.put(Message("e", b"", Rank.STATE, retain=False))
    assert drops == []
    for _ in range(2):
        outbox.put(Message("e", b"", Rank.STATE, retain=False))
    assert drops == [MOST_EVENTS, MOST_EVENTS]
