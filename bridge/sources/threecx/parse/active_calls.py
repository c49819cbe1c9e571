"""Rows of ActiveCalls: a display string for each side, and a status for both."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.domain.model import CallStatus, Direction, Leg
from bridge.domain.privacy import is_outside
from bridge.errors import SourceProtocolError
from bridge.sources.threecx.parse.envelope import as_text


@dataclass(frozen=True, slots=True)
class ActiveCall:
    """One row of ActiveCalls, as a call of each of its two sides, which need not be users."""

    id: str
    sides: tuple[tuple[str, Leg], ...]
    now: int | None
    """The PBX's clock, Unix seconds."""


@dataclass(frozen=True, slots=True)
class _Side:
    number: str
    name: str | None
    outside: str | None
    """The number in the public network, if the side is a trunk."""


_LONG_AGO = 946_684_800
"""The year 2000. Earlier times mean none: .NET writes 0001-01-01 for what has not happened."""

_OUTSIDE = re.compile(r"\(([^()]*)\)[^()]*$")

# The status of a call → (status for the caller, status for the callee, whether a known call keeps the status it had).
# No status for calls on hold has been seen: 3CX lists them as connected.
_CALL_STATUS: dict[str, tuple[CallStatus | None, CallStatus | None, bool]] = {
    "initiating": (CallStatus.DIALING, None, False),
    "routing": (CallStatus.DIALING, CallStatus.RINGING, False),
    "ringing": (CallStatus.DIALING, CallStatus.RINGING, False),
    "rerouting": (CallStatus.DIALING, CallStatus.RINGING, True),
    "talking": (CallStatus.ON_CALL, CallStatus.ON_CALL, False),
    "connected": (CallStatus.ON_CALL, CallStatus.ON_CALL, False),
    "held": (CallStatus.ON_HOLD, CallStatus.ON_HOLD, False),
    "hold": (CallStatus.ON_HOLD, CallStatus.ON_HOLD, False),
    "transferring": (CallStatus.ON_CALL, None, True),
}


def active_call(raw: object) -> ActiveCall:
    """One row of ActiveCalls; SourceProtocolError says why it is none."""
    if not isinstance(raw, dict):
        raise SourceProtocolError(f"a call that is no JSON object but {type(raw).__name__}")
    call_id = raw.get("Id")
    if not isinstance(call_id, int) or isinstance(call_id, bool):
        raise SourceProtocolError("a call without an Id")
    caller, callee = _side(raw.get("Caller")), _side(raw.get("Callee"))
    statuses = _CALL_STATUS.get(str(raw.get("Status")).casefold(), (None, None, True))
    established, changed = _unix(raw.get("EstablishedAt")), _unix(raw.get("LastChangeStatus"))
    sides = []
    for side, other, status, direction in (
        (caller, callee, statuses[0], Direction.OUTBOUND),
        (callee, caller, statuses[1], Direction.INBOUND),
    ):
        if side is not None:
            since = established if status is CallStatus.ON_CALL and established is not None else changed
            sides.append((side.number, _leg(str(call_id), status, direction, other, since, keeps=statuses[2])))
    return ActiveCall(str(call_id), tuple(sides), _unix(raw.get("ServerNow")))


def _leg(
    call_id: str,
    status: CallStatus | None,
    direction: Direction,
    other: _Side | None,
    since: int | None,
    *,
    keeps: bool,
) -> Leg:
    outside = other is not None and (other.outside is not None or is_outside(other.number))
    return Leg(
        id=call_id,
        status=status,
        keeps=keeps,
        hold_unseen=True,
        direction=direction if outside or other is None else Direction.INTERNAL,
        party=None if other is None else other.outside or other.number,
        internal=not outside,
        name=None if other is None or outside else other.name,
        since=since,
    )


def _side(value: object) -> _Side | None:
    """From `101 Ada Example`, or for a trunk `10001 Trunk (0301234567)`; None for an empty side."""
    text = as_text(value)
    if text is None:
        return None
    number, _, name = text.partition(" ")
    outside = _OUTSIDE.search(name)
    return _Side(number, name.removeprefix("- ").strip() or None, (outside[1].strip() or None) if outside else None)


def _unix(value: object) -> int | None:
    """Unix seconds from `2026-09-01T08:15:04Z`, with or without fractions; UTC if it names no zone."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        seconds = int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > _LONG_AGO else None
