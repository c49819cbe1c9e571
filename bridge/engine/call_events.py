"""The events of calls, with the outcome of each that ends, for which other phones may have to be awaited."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from bridge.domain.calls import Call, changes, event
from bridge.domain.clock import Clock
from bridge.domain.model import CallEvent, CallEventType, CallStatus, Direction, Legs, Outcome, User
from bridge.domain.privacy import CallerId, shown_number
from bridge.engine.call_members import CallMembers
from bridge.engine.source_state import SourceStates
from bridge.engine.timing import EngineTiming

_MOST_WAITING = 1024
"""Ends that wait for an answer at another phone; with more, the oldest is published with what is known."""


@dataclass(frozen=True, slots=True)
class _WaitingEnd:
    """The end of a call that rang at `user` and was not answered there."""

    user: User
    call: str
    """The id by which the sources know the call."""
    event: CallEvent
    until: float
    """Monotonic seconds."""


class CallEvents:
    """Finds what happened to the calls of users. Only the event of an unanswered end ever waits, no state does."""

    def __init__(self, states: SourceStates, caller_id: CallerId, timing: EngineTiming, clock: Clock) -> None:
        self._states = states
        self._caller_id = caller_id
        self._timing = timing
        self._clock = clock
        self._members = CallMembers(self._is_extension, timing.answer_wait, timing.remember_call)
        self._waiting: list[_WaitingEnd] = []

    @property
    def next_due(self) -> float | None:
        """When the next waiting end has to be published, in monotonic seconds; None: none waits."""
        return min((each.until for each in self._waiting), default=None)

    def note(self, numbers: Iterable[str] | None = None, *, interrupted: bool = False) -> None:
        """The calls of these numbers have changed, users or not; None: any may have, as another source is preferred.

        `interrupted`: the source has reported nothing for a while, and reports all calls again. Has to come before
        `happened` for any of them, as one phone's end depends on what the others do.
        """
        now = self._clock.monotonic()
        if numbers is None or interrupted:
            numbers = {*self._members, *(dn for each in self._states.preferred for dn in each.legs)}
        self._members.note({dn: self._legs(dn) for dn in numbers}, now, interrupted=interrupted)

    def completed(self, dn: str, calls: tuple[Call, ...]) -> tuple[Call, ...]:
        """The calls, with direction and caller where only other phones that they rang at know these.

        So it is after a pick-up: Call Control does not say of a connected call from outside who began it.
        """
        return tuple(self._completed(dn, call) for call in calls)

    def happened(
        self, user: User, before: tuple[Call, ...], after: tuple[Call, ...], now: int
    ) -> Iterator[tuple[User, CallEvent]]:
        """What is to be published of the step from `before` to `after`; `now` is in Unix seconds."""
        present = {call.key for call in after}
        for end in [each for each in self._waiting if each.user.number == user.number and each.call in present]:
            self._waiting.remove(end)  # rings again: the end comes before the new beginning
            yield self._resolved(end) or self._missed(end)
        for change in changes(before, after):
            happened = event(change, now, self._caller_id)
            if change.event_type is not CallEventType.ENDED:
                yield user, happened
            elif happened.answered:
                yield user, replace(happened, outcome=Outcome.COMPLETED)
            elif change.call.status is CallStatus.DIALING or change.call.direction is Direction.OUTBOUND:
                yield user, replace(happened, outcome=Outcome.NOT_ANSWERED)
            else:
                until = self._clock.monotonic() + self._timing.answer_wait
                yield from self._settle(_WaitingEnd(user, change.call.key, happened, until))

    def due(self) -> Iterator[tuple[User, CallEvent]]:
        """The ends that need not wait any more: answered elsewhere, nobody can answer any more, or it is time."""
        waiting, self._waiting = self._waiting, []
        for end in waiting:
            yield from self._settle(end)

    def _settle(self, end: _WaitingEnd) -> Iterator[tuple[User, CallEvent]]:
        resolved = self._resolved(end)
        if resolved is not None:
            yield resolved
        elif self._clock.monotonic() < end.until and self._may_be_answered(end) and len(self._waiting) < _MOST_WAITING:
            self._waiting.append(end)
        else:
            yield self._missed(end)

    def _may_be_answered(self, end: _WaitingEnd) -> bool:
        """Whether an answer elsewhere may still be reported.

        A source that pushes reports phone by phone, and who picks up need not have rung. A round of a polled source
        has all phones at once: then only those that still ring can answer.
        """
        dn = end.user.number
        if not any(each.live for each in self._states.preferred):
            return self._members.rings_elsewhere(end.call, dn)
        return not self._members.caller_left(end.call, dn)

    def _resolved(self, end: _WaitingEnd) -> tuple[User, CallEvent] | None:
        dn = self._members.answered_by(end.call, end.user.number)
        if dn is None:
            return None
        shown = shown_number(dn, self._caller_id, internal=True)
        return end.user, replace(end.event, outcome=Outcome.ANSWERED_ELSEWHERE, answered_by=shown)

    @staticmethod
    def _missed(end: _WaitingEnd) -> tuple[User, CallEvent]:
        return end.user, replace(end.event, outcome=Outcome.MISSED)

    def _completed(self, dn: str, call: Call) -> Call:
        if call.status is CallStatus.DIALING:  # the caller: what rings elsewhere knows the party as this user
            return call
        for leg in self._members.called_with(call.key, dn):
            if call.direction is None:
                call = replace(call, direction=leg.direction)
            if call.party is None:
                call = replace(call, party=leg.party, internal=leg.internal, name=leg.name)
            if call.via is None:
                call = replace(call, via=leg.via)
        return call

    def _legs(self, dn: str) -> Legs:
        """As the source reports them that is preferred for this number."""
        source = next((each for each in self._states.preferred if each.covers(dn)), None)
        return () if source is None else source.legs.get(dn, ())

    def _is_extension(self, number: str) -> bool:
        """Whether it is an extension, published or not. Queues, groups, trunks and the voicemail have calls too."""
        states = self._states
        return any(number in each.rows for each in states.people.values()) or any(
            number in each.covered for each in states.calls.values() if each.covered is not None
        )
