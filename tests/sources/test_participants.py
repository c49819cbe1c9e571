"""Events and answers may overtake each other in every way; in the end the participants are as the PBX has them."""

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bridge.domain.model import CallStatus, Direction
from bridge.sources.threecx.directory import Directory
from bridge.sources.threecx.parse import Extension, Participant
from bridge.sources.threecx.parse.party import Side
from bridge.sources.threecx.participants import Key, Participants

RINGING, ON_CALL = CallStatus.RINGING, CallStatus.ON_CALL


def device(number: int, status: CallStatus | None, call: str = "1", party: str = "0301234567") -> Participant:
    return Participant(number, call, status, Side(type="Wexternalline", dn="10001", caller_id=party))


def known(*devices: Participant) -> Participants:
    participants = Participants(Directory())
    for each in devices:
        participants.store(("101", each.id), each)
    return participants


def statuses(participants: Participants, dn: str = "101") -> list[tuple[str, CallStatus | None]]:
    return [(leg.id, leg.status) for leg in participants.legs(dn)]


def test_an_answer_that_comes_after_the_end_does_not_bring_the_call_back() -> None:
    participants = Participants(Directory())
    participants.changed(("101", 7))
    ticket = participants.requesting(("101", 7))
    assert ticket is not None
    participants.store(("101", 7), None)
    assert not participants.received(("101", 7), ticket, device(7, RINGING))
    assert participants.legs("101") == ()


def test_an_answer_to_an_older_event_is_asked_for_again() -> None:
    participants = Participants(Directory())
    participants.changed(("101", 7))
    first = participants.requesting(("101", 7))
    participants.changed(("101", 7))
    assert first is not None
    assert not participants.received(("101", 7), first, device(7, RINGING))
    second = participants.requesting(("101", 7))
    assert second is not None
    assert participants.received(("101", 7), second, device(7, ON_CALL))
    assert participants.requesting(("101", 7)) is None
    assert statuses(participants) == [("1", ON_CALL)]


def test_an_end_newer_than_the_request_for_all_stays() -> None:
    participants = known(device(7, RINGING))
    participants.requesting_all()
    participants.store(("101", 7), None)
    participants.all_received([Extension("101", (device(7, RINGING),))])
    assert participants.legs("101") == ()


def test_a_beginning_newer_than_the_request_for_all_stays() -> None:
    participants = Participants(Directory())
    participants.requesting_all()
    participants.store(("101", 7), device(7, RINGING))
    participants.all_received([Extension("101", ())])
    assert statuses(participants) == [("1", RINGING)]


def test_the_answer_for_all_adds_what_events_have_missed() -> None:
    participants = known(device(7, RINGING))
    participants.requesting_all()
    participants.all_received([Extension("101", (device(8, ON_CALL, "2"),))])
    assert statuses(participants) == [("2", ON_CALL)]
    assert participants.all_legs().keys() == {"101"}


def test_two_phones_in_one_call_are_one_call_as_far_on_as_the_furthest() -> None:
    participants = known(device(7, RINGING), device(8, RINGING))
    assert statuses(participants) == [("1", RINGING)]
    participants.store(("101", 8), device(8, ON_CALL))
    (leg,) = participants.legs("101")
    assert (leg.status, leg.direction) == (ON_CALL, Direction.INBOUND)
    participants.store(("101", 7), None)
    assert statuses(participants) == [("1", ON_CALL)]
    participants.store(("101", 8), None)
    assert participants.all_legs() == {}


def test_an_unknown_status_is_a_call_nonetheless() -> None:
    (leg,) = known(device(7, None)).legs("101")
    assert (leg.status, leg.keeps) == (None, True)
    assert statuses(known(device(7, None), device(8, RINGING))) == [("1", RINGING)]


def test_a_participant_on_its_way_out_is_no_call() -> None:
    assert known(replace(device(7, None), over=True)).legs("101") == ()


@dataclass
class Question:
    """On its way; `answer` is what the PBX said, once it did."""

    key: Key | None
    ticket: int = 0
    answer: object = None
    answered: bool = False


KEYS = (("101", 1), ("101", 2), ("102", 3))


class Overtaking(RuleBasedStateMachine):
    """Questions are asked, answered by the PBX and delivered at any time; events arrive in order, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.truth: dict[Key, Participant] = {}
        self.events: list[tuple[Key, bool]] = []
        self.questions: list[Question] = []
        self.participants = Participants(Directory())

    @rule(key=st.sampled_from(KEYS), status=st.sampled_from(CallStatus))
    def it_is_new_or_changes(self, key: Key, status: CallStatus) -> None:
        self.truth[key] = device(key[1], status, call=str(key[1]))
        self.events.append((key, False))

    @rule(key=st.sampled_from(KEYS))
    def it_ends(self, key: Key) -> None:
        if self.truth.pop(key, None) is not None:
            self.events.append((key, True))

    @precondition(lambda self: self.events)
    @rule()
    def an_event_arrives(self) -> None:
        key, gone = self.events.pop(0)
        if gone:
            self.participants.store(key, None)
        else:
            self.participants.changed(key)
            self.ask(key)

    def ask(self, key: Key) -> None:
        ticket = self.participants.requesting(key)
        if ticket is not None and all(question.key != key for question in self.questions):
            self.questions.append(Question(key, ticket))

    @precondition(lambda self: all(question.key is not None for question in self.questions))
    @rule()
    def everything_is_asked_for(self) -> None:
        self.participants.requesting_all()
        self.questions.append(Question(None))

    @rule(pick=st.integers(0, 5))
    def the_pbx_answers(self, pick: int) -> None:
        waiting = [question for question in self.questions if not question.answered]
        if waiting:
            question = waiting[pick % len(waiting)]
            question.answered = True
            question.answer = dict(self.truth) if question.key is None else self.truth.get(question.key)

    @rule(pick=st.integers(0, 5))
    def an_answer_arrives(self, pick: int) -> None:
        ready = [question for question in self.questions if question.answered]
        if not ready:
            return
        question = ready[pick % len(ready)]
        self.questions.remove(question)
        if question.key is None:
            assert isinstance(question.answer, dict)
            found = [(key, each) for key, each in question.answer.items()]
            dns = ("101", "102")
            self.participants.all_received(
                [Extension(dn, tuple(each for key, each in found if key[0] == dn)) for dn in dns]
            )
        elif isinstance(question.answer, Participant | None):
            self.participants.received(question.key, question.ticket, question.answer)
            self.ask(question.key)

    def teardown(self) -> None:
        """Everything on its way arrives."""
        while self.events:
            self.an_event_arrives()
        while self.questions:
            self.the_pbx_answers(0)
            self.an_answer_arrives(0)
        for dn in ("101", "102"):
            expected = {(str(key[1]), each.status) for key, each in self.truth.items() if key[0] == dn}
            assert set(statuses(self.participants, dn)) == expected


TestOvertaking = Overtaking.TestCase
TestOvertaking.settings = settings(max_examples=300, stateful_step_count=40)
