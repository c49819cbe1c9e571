"""Call Control: extensions with their participants, and the events of the websocket."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import unquote

from bridge.domain.model import CallStatus, Leg
from bridge.errors import SourceProtocolError
from bridge.sources.threecx.directory import Directory, Kind
from bridge.sources.threecx.parse.envelope import as_digits, as_text, load
from bridge.sources.threecx.parse.party import Side, dialled, kind_of_type, party_of_participant, via_of


@dataclass(frozen=True, slots=True)
class Participant:
    """One device of an extension in one call."""

    id: int
    call: str
    status: CallStatus | None
    """None: a status that the bridge does not know."""
    other: Side
    over: bool = False
    """It has left the call, and is still listed."""

    def leg(self, own: str, directory: Directory) -> Leg:
        """The call as the extension `own` has it."""
        party = party_of_participant(self.other, own, directory)
        started_here = dialled(self.status, self.other, own)
        own_call_rings = started_here is True and self.status is CallStatus.RINGING
        return Leg(
            id=self.call,
            status=CallStatus.DIALING if own_call_rings else self.status,
            keeps=self.status is None,
            direction=party.direction(dialled=started_here),
            party=party.number,
            internal=party.outside is False,
            name=party.name,
            via=party.via or via_of(self.other, directory),
            certainty=party.certainty,
        )


@dataclass(frozen=True, slots=True)
class Extension:
    """What the API client sees of one user's extension."""

    dn: str
    participants: tuple[Participant, ...]
    unread: bool = False
    """There are participants besides these, which cannot be read."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The answer to GET /callcontrol: what it lists are not only people."""

    extensions: list[Extension]
    """Of users, where it says something about their calls."""
    queues: list[Extension]
    """The queues, where it says something about their callers."""
    numbers: Mapping[str, Kind]
    """Every DN that has a type."""


class EventType(IntEnum):
    """What a Call Control event says about its participant; other numbers exist."""

    UPSERT = 0
    REMOVE = 1


@dataclass(frozen=True, slots=True)
class Event:
    """A message of the websocket about the participant `id` of the extension `dn`."""

    sequence: int | None
    type: EventType | None
    """None: another kind of event, which is ignored."""
    dn: str
    id: int
    participant: Participant | None
    """The participant itself, on builds that send it along."""


_PARTICIPANT_STATUS = {
    "dialing": CallStatus.DIALING,
    "ringing": CallStatus.RINGING,
    "connected": CallStatus.ON_CALL,
    "hold": CallStatus.ON_HOLD,
    "held": CallStatus.ON_HOLD,
}
_PARTICIPANT_PATH = re.compile(r"/callcontrol/([^/]+)/participants/([0-9]{1,18})")
_OVER = frozenset({"terminated", "failed", "notified", "disconnected"})
"""Participants that are on their way out; others' code expects such words."""
_ROLES = ("on_behalf_of", "referred_by", "originated_by")


def snapshot(body: bytes) -> Snapshot:
    """The answer to GET /callcontrol: every DN that the API client may see."""
    rows = load(body)
    if not isinstance(rows, list):
        raise SourceProtocolError("/callcontrol sent no list")
    found: dict[Kind, list[Extension]] = {Kind.USER: [], Kind.QUEUE: []}
    numbers = {}
    for row in rows:
        dn = as_text(row.get("dn")) if isinstance(row, dict) else None
        if dn is None:
            continue
        kind = kind_of_type(row.get("type"))
        if kind is not None:
            numbers[dn] = kind
        inside = row.get("participants")
        if kind in found and isinstance(inside, list):
            found[kind].append(_extension(dn, inside))
    return Snapshot(found[Kind.USER], found[Kind.QUEUE], numbers)


def _extension(dn: str, rows: list[object]) -> Extension:
    read = [_participant(raw) for raw in rows]
    participants = tuple(each for each in read if each is not None)
    return Extension(dn, participants, unread=len(participants) < len(read))


def participant(body: bytes) -> Participant:
    """The answer to GET /callcontrol/{dn}/participants/{id}."""
    found = _participant(load(body))
    if found is None:
        raise SourceProtocolError("/callcontrol sent a participant without an id")
    return found


def event(text: str) -> Event:
    """A text message of the websocket. Unknown types and paths are not errors."""
    message = load(text.encode("utf-8", "replace"))
    inner = message.get("event") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(inner, dict):
        raise SourceProtocolError("a message without an event")
    sequence, kind = message.get("sequence"), inner.get("event_type")
    path = _PARTICIPANT_PATH.fullmatch(str(inner.get("entity")))
    attached = inner.get("attached_data")
    if isinstance(attached, dict) and "status" not in attached:
        attached = attached.get("Response")  # wrapped as an answer: {"StatusCode": 200, "Response": {…}}
    return Event(
        sequence=sequence if isinstance(sequence, int) and not isinstance(sequence, bool) else None,
        type=EventType(kind) if path and kind in tuple(EventType) and not isinstance(kind, bool) else None,
        dn=unquote(path[1]) if path else "",
        id=int(path[2]) if path else 0,
        participant=_participant(attached) if isinstance(attached, dict) and "status" in attached else None,
    )


def _participant(raw: object) -> Participant | None:
    if not isinstance(raw, dict):
        return None
    number = as_digits(raw.get("id"))
    if number is None:
        return None
    word = str(raw.get("status")).casefold()
    roles = {role: (str(raw.get(f"{role}_type")), as_text(raw.get(f"{role}_dn"))) for role in _ROLES}
    return Participant(
        id=int(number),
        call=as_digits(raw.get("callid")) or f"p{number}",
        status=_PARTICIPANT_STATUS.get(word),
        over=word in _OVER,
        other=Side(
            type=str(raw.get("party_dn_type")),
            dn=as_text(raw.get("party_dn")),
            caller_id=as_text(raw.get("party_caller_id")),
            name=as_text(raw.get("party_caller_name")),
            roles=tuple(roles.values()),
            originated_by=roles["originated_by"],
        ),
    )
