"""The calls of one user as they are published, what several accounts say about one, and what happened to them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bridge.domain.certainty import Certainty
from bridge.domain.model import CallEvent, CallEventType, CallStatus, Direction, Leg, ShownCall
from bridge.domain.privacy import CallerId, shown_name, shown_number

_IMPORTANCE = (CallStatus.ON_CALL, CallStatus.ON_HOLD, CallStatus.RINGING, CallStatus.DIALING)
"""Most important first."""
CONNECTED = frozenset({CallStatus.ON_CALL, CallStatus.ON_HOLD})


_COMPARED_DIGITS = 7
"""The last digits of an outside number by which it is recognised."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one user, from the first report of it to its end."""

    id: str
    """As published. It stays the same when another source takes over, which may use other ids."""
    key: str
    """The id that the preferred source uses."""
    status: CallStatus
    direction: Direction | None
    party: str | None
    internal: bool
    name: str | None
    via: str | None
    since: int
    """When `status` began, Unix seconds."""
    began: int
    answered_at: int | None
    held: bool
    """Whether it is on hold, or was when last reported by a source that can tell."""
    certainty: Certainty = Certainty.PARSED
    """Of `party`."""
    direction_certainty: Certainty = Certainty.PARSED
    dialled: bool | None = None
    """Whether it began as a call from here rather than to here; None: nobody saw it begin."""


@dataclass(frozen=True, slots=True)
class CallChange:
    """One step of a call, such as that it was answered."""

    event_type: CallEventType
    call: Call


def joined(leg: Leg, other: Leg) -> Leg:
    """Two accounts of one call of one user, such as two phones, as one: the status that is further on counts."""
    if other.status is not None and (leg.status is None or importance(other.status) < importance(leg.status)):
        leg, other = other, leg
    return completed(leg, other)


def completed(leg: Leg, other: Leg) -> Leg:
    """`leg` with what it leaves open about the other side, or knows less well, taken from another account."""
    if other_party(leg, other):
        return leg  # one source still has a call that is over: after a restart the PBX uses its id again
    via = leg.via or other.via
    if other.certainty > leg.certainty and (other.party is not None or other.direction is not None):
        return replace(
            leg,
            direction=other.direction or leg.direction,
            party=other.party,
            internal=other.internal,
            name=other.name,
            via=via,
            certainty=other.certainty,
        )
    fits = leg.internal is (other.direction is Direction.INTERNAL)
    if leg.direction is None and fits and leg.certainty > Certainty.PLACEHOLDER:
        return replace(leg, direction=other.direction, via=via)
    return replace(leg, via=via)


def other_party(one: Call | Leg, other: Call | Leg) -> bool:
    """Whether both parties are known and differ. Sources may write a number with or without its country's code."""
    if one.party is None or other.party is None or one.internal is not other.internal:
        return False  # the direction tells what is internal and what is not
    if one.internal:
        return one.party != other.party
    digits, others = ("".join(filter(str.isdecimal, number)) for number in (one.party, other.party))
    shared = min(len(digits), len(others), _COMPARED_DIGITS)
    return digits[-shared:] != others[-shared:] if shared else one.party != other.party


def changes(before: tuple[Call, ...], after: tuple[Call, ...]) -> Iterator[CallChange]:
    """What happened between the two, ends first."""
    then = {call.id: call for call in before}
    still = {call.id for call in after}
    for call in before:
        if call.id not in still:
            yield CallChange(CallEventType.ENDED, call)
    for call in after:
        yield from (CallChange(event_type, call) for event_type in _steps(then.get(call.id), call))


def most_important(calls: tuple[Call, ...]) -> Call | None:
    """The most important call by status, and of several the oldest; None where there is none."""
    return min(calls, key=lambda call: (importance(call.status), call.since, call.id), default=None)


def importance(status: CallStatus) -> int:
    """A rank to sort by: lower is more important."""
    return _IMPORTANCE.index(status)


def shown(call: Call, mode: CallerId) -> ShownCall:
    """The call as it may be published under `privacy.caller_id`."""
    return ShownCall(
        status=call.status,
        direction=call.direction,
        party=shown_number(call.party, mode, internal=call.internal),
        name=shown_name(call.name, mode),
        since=call.since,
    )


def event(change: CallChange, now: int, mode: CallerId) -> CallEvent:
    """The change as it may be published under `privacy.caller_id`; `now` is in Unix seconds."""
    call = change.call
    start = call.began if call.answered_at is None else call.answered_at
    return CallEvent(
        event_type=change.event_type,
        id=call.id,
        answered=call.answered_at is not None,
        direction=call.direction,
        party=shown_number(call.party, mode, internal=call.internal),
        name=shown_name(call.name, mode),
        via=None if mode is CallerId.NONE else call.via,
        duration=max(0, now - start),
        dialled=call.dialled,
    )


_ON_REACHING = {
    CallStatus.RINGING: (CallEventType.RINGING,),
    CallStatus.DIALING: (CallEventType.DIALING,),
    CallStatus.ON_CALL: (CallEventType.ANSWERED,),
    CallStatus.ON_HOLD: (CallEventType.ANSWERED, CallEventType.HELD),
}
"""The events of a call that reaches a status: between two polls it may have gone through several."""


def _steps(before: Call | None, after: Call) -> tuple[CallEventType, ...]:
    if before is None:
        return _ON_REACHING[after.status]
    if before.status in CONNECTED and after.status in CONNECTED:
        if before.held is after.held:
            return ()
        return (CallEventType.HELD,) if after.held else (CallEventType.RESUMED,)
    return () if before.status is after.status else _ON_REACHING[after.status]
