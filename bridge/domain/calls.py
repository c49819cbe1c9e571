"""The calls of one user over time: follows each across polls, pushed events and sources, and finds what changed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bridge.domain.model import CallEvent, CallEventType, CallStatus, Direction, Leg, Legs, ShownCall
from bridge.domain.privacy import CallerId, shown_name, shown_number

_IMPORTANCE = (CallStatus.ON_CALL, CallStatus.ON_HOLD, CallStatus.RINGING, CallStatus.DIALING)
"""Most important first."""
_CONNECTED = frozenset({CallStatus.ON_CALL, CallStatus.ON_HOLD})


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


@dataclass(frozen=True, slots=True)
class CallChange:
    """One step of a call, such as that it was answered."""

    event_type: CallEventType
    call: Call


def follow(before: tuple[Call, ...], legs: Legs, now: int, *, other_source: bool) -> tuple[Call, ...]:
    """The calls as they are now. `now` (Unix seconds) is used where the source gives no time.

    With `other_source`, `legs` come from another source than `before`, which may use other ids. Calls whose id is new
    are then matched by party and status, so that no end and new beginning is published for a call that goes on.
    """
    by_key = {call.key: call for call in before}
    known = {leg.id: by_key.pop(leg.id) for leg in legs if leg.id in by_key}
    if other_source:
        unmatched = [leg for leg in legs if leg.id not in known]
        alone = len(unmatched) == len(by_key) == 1  # sources may format the other party's number differently
        for leg in unmatched:
            if (same := _same(leg, by_key, any_party=alone)) is not None:
                known[leg.id] = by_key.pop(same)
    calls = (_followed(known.get(leg.id), leg, now) for leg in legs)
    return tuple(call for call in calls if call is not None)


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
    )


def _same(leg: Leg, candidates: dict[str, Call], *, any_party: bool) -> str | None:
    """The key of the call that `leg` continues under another id.

    The same party decides, unless the call would go back from connected to ringing. Where the party is not known, or
    may be formatted differently (`any_party`), both must be connected or both not.
    """
    connected = leg.status in _CONNECTED
    unclear = leg.status is None or leg.keeps
    for key, call in candidates.items():
        was_connected = call.status in _CONNECTED
        if leg.party is not None and leg.party == call.party:
            alike = unclear or connected or not was_connected
        else:
            alike = (unclear or connected is was_connected) and (any_party or None in {leg.party, call.party})
        if alike:
            return key
    return None


def _followed(call: Call | None, leg: Leg, now: int) -> Call | None:
    if call is None:
        if leg.status is None:
            return None
        since = now if leg.since is None else min(leg.since, now)
        return Call(
            id=leg.id,
            key=leg.id,
            status=leg.status,
            direction=leg.direction,
            party=leg.party,
            internal=leg.internal,
            name=leg.name,
            via=leg.via,
            since=since,
            began=since,
            answered_at=since if leg.status in _CONNECTED else None,
            held=leg.status is CallStatus.ON_HOLD,
        )
    status = call.status if leg.keeps or leg.status is None else leg.status
    named = leg.party is not None  # a source that does not know the party does not know its name either
    updated = replace(
        call,
        key=leg.id,
        status=status,
        direction=call.direction or leg.direction,
        party=leg.party if named else call.party,
        internal=leg.internal if named else call.internal,
        name=leg.name if named else call.name,
        via=call.via or leg.via,
        held=status is CallStatus.ON_HOLD or (call.held and leg.hold_unseen),
    )
    if status is call.status:
        return updated
    since = now if leg.since is None else max(call.began, min(leg.since, now))
    answered_at = since if call.answered_at is None and status in _CONNECTED else call.answered_at
    return replace(updated, since=since, answered_at=answered_at)


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
    if before.status in _CONNECTED and after.status in _CONNECTED:
        if before.held is after.held:
            return ()
        return (CallEventType.HELD,) if after.held else (CallEventType.RESUMED,)
    return () if before.status is after.status else _ON_REACHING[after.status]
