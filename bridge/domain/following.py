"""Follows each call of one user over time, across polls, pushed events and sources."""

import itertools
from collections.abc import Collection
from dataclasses import replace

from bridge.domain.calls import CONNECTED, Call, other_party
from bridge.domain.certainty import Certainty
from bridge.domain.model import CallStatus, Direction, Leg, Legs


def follow(
    before: tuple[Call, ...],
    legs: Legs,
    now: int,
    *,
    other_source: bool,
    interrupted: bool = False,
    open_ids: Collection[str] = (),
) -> tuple[Call, ...]:
    """The calls as they are now. `now` (Unix seconds) is used where the source gives no time.

    With `other_source`, `legs` come from another source than `before`, which may use other ids. Calls whose id is new
    are then matched by party and status, so that no end and new beginning is published for a call that goes on.

    `interrupted`: the source did not answer in between; a call of the same id goes on only without a contradiction.

    `open_ids` have been published and not been said to have ended: no new call gets one of them. A PBX that restarts
    counts its calls from the start again.
    """
    by_key = {call.key: call for call in before}
    known = {
        leg.id: by_key.pop(leg.id)
        for leg in legs
        if leg.id in by_key and not _replaced(by_key[leg.id], leg, strict=other_source or interrupted)
    }
    if other_source:
        unmatched = [leg for leg in legs if leg.id not in known]
        alone = len(unmatched) == len(by_key) == 1  # sources may format the other party's number differently
        for leg in unmatched:
            if (same := _same(leg, by_key, any_party=alone)) is not None:
                known[leg.id] = by_key.pop(same)
    taken = {*open_ids, *(call.id for call in before)}
    calls = []
    for leg in legs:
        call = _continued(known[leg.id], leg, now) if leg.id in known else _begun(leg, now, taken)
        if call is not None:
            taken.add(call.id)
            calls.append(call)
    return tuple(calls)


def _same(leg: Leg, candidates: dict[str, Call], *, any_party: bool) -> str | None:
    """The key of the call that `leg` continues under another id.

    The same party decides, unless the call would go back from connected to ringing. Where the party is not known, or
    may be formatted differently (`any_party`), both must be connected or both not.
    """
    connected = leg.status in CONNECTED
    unclear = leg.status is None or leg.keeps
    for key, call in candidates.items():
        if _contradicts(call, leg):
            continue
        was_connected = call.status in CONNECTED
        if leg.party is not None and leg.party == call.party:
            alike = unclear or connected or not was_connected
        else:
            alike = (unclear or connected is was_connected) and (any_party or None in {leg.party, call.party})
        if alike:
            return key
    return None


def _replaced(call: Call, leg: Leg, *, strict: bool) -> bool:
    """Whether `leg` is another call although it has the id of `call`.

    While one source answers all the time, direction and party may be corrected, and the party changes with a transfer.
    But no call from here becomes a call to here, and none gets another direction or rings again with another party: the
    PBX has restarted then, and counts from the start again.
    """
    if strict:
        return _contradicts(call, leg)
    if _turned(call, leg):
        return None not in {call.direction, leg.direction}
    rings_again = not leg.keeps and leg.status not in CONNECTED and call.status in CONNECTED
    return (rings_again or _other_way(call, leg)) and other_party(call, leg)


def _contradicts(call: Call, leg: Leg) -> bool:
    """Whether both cannot be the same call: by direction, by ringing against dialing, or by the other side."""
    return _other_way(call, leg) or _turned(call, leg) or other_party(call, leg)


def _other_way(call: Call, leg: Leg) -> bool:
    return None not in {call.direction, leg.direction} and call.direction is not leg.direction


def _turned(call: Call, leg: Leg) -> bool:
    return not leg.keeps and {call.status, leg.status} == {CallStatus.RINGING, CallStatus.DIALING}


def _begun(leg: Leg, now: int, taken: Collection[str]) -> Call | None:
    """A new call; None where `leg` does not say that there is one."""
    if leg.status is None:
        return None
    since = now if leg.since is None else min(leg.since, now)
    ids = itertools.chain((leg.id,), (f"{leg.id}-{number}" for number in itertools.count(2)))
    return Call(
        id=next(each for each in ids if each not in taken),
        key=leg.id,
        status=leg.status,
        direction=leg.direction,
        party=leg.party,
        internal=leg.internal,
        name=leg.name,
        via=leg.via,
        since=since,
        began=since,
        answered_at=since if leg.status in CONNECTED else None,
        held=leg.status is CallStatus.ON_HOLD,
        certainty=leg.certainty,
        direction_certainty=leg.certainty,
        dialled=_dialled(leg),
    )


def _continued(call: Call, leg: Leg, now: int) -> Call:
    status = call.status if leg.keeps or leg.status is None else leg.status
    updated = _with_other_side(
        replace(
            call,
            key=leg.id,
            status=status,
            via=call.via or leg.via,
            held=status is CallStatus.ON_HOLD or (call.held and leg.hold_unseen),
            dialled=_dialled(leg) if call.dialled is None else call.dialled,
        ),
        leg,
    )
    if status is call.status:
        return updated
    since = now if leg.since is None else max(call.began, min(leg.since, now))
    answered_at = since if call.answered_at is None and status in CONNECTED else call.answered_at
    return replace(updated, since=since, answered_at=answered_at)


def _with_other_side(call: Call, leg: Leg) -> Call:
    """What `leg` says about the other side, where it knows that as well as what is known of it."""
    if leg.party is not None and (call.party is None or leg.certainty >= call.certainty):
        name = leg.name or (call.name if call.party == leg.party else None)  # not every source names the party
        call = replace(call, party=leg.party, internal=leg.internal, name=name, certainty=leg.certainty)
    if leg.direction is not None and (call.direction is None or leg.certainty >= call.direction_certainty):
        return replace(call, direction=leg.direction, direction_certainty=leg.certainty)
    known = max(call.certainty, leg.certainty) > Certainty.PLACEHOLDER
    if not known or (call.direction is not None and call.internal is (call.direction is Direction.INTERNAL)):
        return call
    # The other side has changed from inside to outside, as by a transfer, or is only now known to be outside.
    outside = None if call.dialled is None else Direction.OUTBOUND if call.dialled else Direction.INBOUND
    return replace(call, direction=Direction.INTERNAL if call.internal else outside, direction_certainty=call.certainty)


def _dialled(leg: Leg) -> bool | None:
    if leg.status in {CallStatus.DIALING, CallStatus.RINGING} and not leg.keeps:
        return leg.status is CallStatus.DIALING
    return {Direction.OUTBOUND: True, Direction.INBOUND: False}.get(leg.direction) if leg.direction else None
