"""The calls of one user over time: what a call is, across polls, pushes and sources; and what happened to it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bridge.domain.model import CallEvent, CallEventType, CallStatus, Direction, Leg, Legs, ShownCall
from bridge.domain.privacy import CallerId, shown_name, shown_number

_IMPORTANCE = (CallStatus.ON_CALL, CallStatus.ON_HOLD, CallStatus.RINGING, CallStatus.DIALING)
"""Connected before held before ringing before dialing."""
_CONNECTED = frozenset({CallStatus.ON_CALL, CallStatus.ON_HOLD})


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one user, followed from its first sight to its end."""

    id: str
    """As published: stays the same when another source, which may number calls otherwise, takes over."""
    key: str
    """The id that the source in charge gives it."""
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
    """Whether it is on hold, or was when a source that sees this told last."""


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened, to which call."""

    event_type: CallEventType
    call: Call


def follow(before: tuple[Call, ...], legs: Legs, now: int, *, other_source: bool) -> tuple[Call, ...]:
    """The calls as they are now. `now` (Unix seconds) dates what the source gives no time for.

    When `other_source` is in charge than before, calls that do not match by id are matched by what they are, so that
    nobody hears of an end and a beginning that never happened.
    """
    by_key = {call.key: call for call in before}
    known = {leg.id: by_key.pop(leg.id) for leg in legs if leg.id in by_key}
    if other_source:
        strangers = [leg for leg in legs if leg.id not in known]
        alone = len(strangers) == len(by_key) == 1  # sources may spell the other side's number differently
        for leg in strangers:
            if (same := _same(leg, by_key, whatever_party=alone)) is not None:
                known[leg.id] = by_key.pop(same)
    calls = (_followed(known.get(leg.id), leg, now) for leg in legs)
    return tuple(call for call in calls if call is not None)


def happenings(before: tuple[Call, ...], after: tuple[Call, ...]) -> Iterator[Happening]:
    """What must have happened in between, ends first."""
    then = {call.id: call for call in before}
    still = {call.id for call in after}
    for call in before:
        if call.id not in still:
            yield Happening(CallEventType.ENDED, call)
    for call in after:
        yield from (Happening(kind, call) for kind in _steps(then.get(call.id), call))


def foremost(calls: tuple[Call, ...]) -> Call | None:
    """The most important call, and of several the oldest."""
    return min(calls, key=lambda call: (importance(call.status), call.since, call.id), default=None)


def importance(status: CallStatus) -> int:
    """The lower, the more a call with this status counts."""
    return _IMPORTANCE.index(status)


def shown(call: Call, mode: CallerId) -> ShownCall:
    """The call as it may be published."""
    return ShownCall(
        status=call.status,
        direction=call.direction,
        party=shown_number(call.party, mode, internal=call.internal),
        name=shown_name(call.name, mode),
        since=call.since,
    )


def event(happening: Happening, now: int, mode: CallerId) -> CallEvent:
    """The happening as it may be published."""
    call = happening.call
    start = call.began if call.answered_at is None else call.answered_at
    return CallEvent(
        event_type=happening.event_type,
        id=call.id,
        answered=call.answered_at is not None,
        direction=call.direction,
        party=shown_number(call.party, mode, internal=call.internal),
        name=shown_name(call.name, mode),
        via=None if mode is CallerId.NONE else call.via,
        duration=max(0, now - start),
    )


def _same(leg: Leg, candidates: dict[str, Call], *, whatever_party: bool) -> str | None:
    """The key of the call that `leg` continues under another id.

    The same party tells, unless the call would go back from connected to ringing; where the party tells nothing, the
    call must be just as far on.
    """
    connected = leg.status in _CONNECTED
    unclear = leg.status is None or leg.keeps
    for key, call in candidates.items():
        was_connected = call.status in _CONNECTED
        if leg.party is not None and leg.party == call.party:
            alike = unclear or connected or not was_connected
        else:
            alike = (unclear or connected is was_connected) and (whatever_party or None in {leg.party, call.party})
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
    told = leg.party is not None
    moved = replace(
        call,
        key=leg.id,
        status=status,
        direction=call.direction or leg.direction,
        party=leg.party if told else call.party,
        internal=leg.internal if told else call.internal,
        name=leg.name if told else call.name,
        via=call.via or leg.via,
        held=status is CallStatus.ON_HOLD or (call.held and leg.hold_unseen),
    )
    if status is call.status:
        return moved
    since = now if leg.since is None else max(call.began, min(leg.since, now))
    answered_at = since if call.answered_at is None and status in _CONNECTED else call.answered_at
    return replace(moved, since=since, answered_at=answered_at)


_FIRST = {
    CallStatus.RINGING: (CallEventType.RINGING,),
    CallStatus.DIALING: (CallEventType.DIALING,),
    CallStatus.ON_CALL: (CallEventType.ANSWERED,),
    CallStatus.ON_HOLD: (CallEventType.ANSWERED, CallEventType.HELD),
}


def _steps(before: Call | None, after: Call) -> tuple[CallEventType, ...]:
    if before is None:
        return _FIRST[after.status]
    if before.status in _CONNECTED and after.status in _CONNECTED:
        if before.held is after.held:
            return ()
        return (CallEventType.HELD,) if after.held else (CallEventType.RESUMED,)
    return () if before.status is after.status else _FIRST[after.status]
