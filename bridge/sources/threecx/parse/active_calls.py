"""Rows of ActiveCalls: a display string for each side, and a status for both."""

from dataclasses import dataclass

from bridge.domain.model import CallStatus, Leg
from bridge.errors import SourceProtocolError
from bridge.sources.threecx.directory import Directory
from bridge.sources.threecx.parse.envelope import as_digits, as_text, unix_time
from bridge.sources.threecx.parse.party import number_in, party_of_side


@dataclass(frozen=True, slots=True)
class ActiveCall:
    """One row of ActiveCalls: a call of each of its two sides, which need not be users.

    Several rows may have one `id`, such as one for each phone of a ring group.
    """

    id: str
    caller: str | None
    callee: str | None
    status: str
    """Casefolded."""
    established: int | None
    changed: int | None
    """When `status` began."""
    now: int | None
    """The PBX's clock. All times are in Unix seconds."""

    @property
    def key(self) -> tuple[str, str | None, str | None]:
        """What tells this row from all others."""
        return self.id, self.caller, self.callee

    def sides(self, directory: Directory) -> list[tuple[str, Leg]]:
        """The call as the number of each side has it."""
        statuses = _CALL_STATUS.get(self.status, _NOT_UNDERSTOOD)
        found = []
        for side, other, status, dialled in (
            (self.caller, self.callee, statuses[0], True),
            (self.callee, self.caller, statuses[1], False),
        ):
            if side is not None:
                found.append((number_in(side), self._leg(status, other, directory, dialled=dialled, keeps=statuses[2])))
        return found

    def _leg(
        self, status: CallStatus | None, other: str | None, directory: Directory, *, dialled: bool, keeps: bool
    ) -> Leg:
        party = party_of_side(other, directory)
        connected_at = self.established if status is CallStatus.ON_CALL else None
        return Leg(
            id=self.id,
            status=status,
            keeps=keeps,
            hold_unseen=True,
            direction=party.direction(dialled=dialled),
            party=party.number,
            internal=party.outside is False,
            name=party.name,
            via=party.via,
            since=self.changed if connected_at is None else connected_at,
            certainty=party.certainty,
        )


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


_NOT_UNDERSTOOD = (None, None, True)


def active_call(raw: object) -> ActiveCall:
    """One row of ActiveCalls; SourceProtocolError says why it is none."""
    if not isinstance(raw, dict):
        raise SourceProtocolError(f"a call that is no JSON object but {type(raw).__name__}")
    call_id = as_digits(raw.get("Id"))
    if call_id is None:
        raise SourceProtocolError("a call without an Id")
    return ActiveCall(
        id=call_id,
        caller=as_text(raw.get("Caller")),
        callee=as_text(raw.get("Callee")),
        status=str(raw.get("Status")).casefold(),
        established=unix_time(raw.get("EstablishedAt")),
        changed=unix_time(raw.get("LastChangeStatus")),
        now=unix_time(raw.get("ServerNow")),
    )


def numbers_in(raw: object) -> tuple[str, ...] | None:
    """Of a row that is no call: whose call it may be. None: anybody's, as a side is missing."""
    sides = [as_text(raw.get(key)) for key in ("Caller", "Callee")] if isinstance(raw, dict) else [None]
    return None if None in sides else tuple(number_in(side) for side in sides if side is not None)
