"""Call Control: extensions with their participants, and the events of the websocket."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import unquote

from bridge.domain.model import CallStatus, Direction
from bridge.errors import SourceProtocolError
from bridge.sources.threecx.parse.envelope import as_text, load


@dataclass(frozen=True, slots=True)
class Participant:
    """One device of an extension in one call."""

    id: int
    call: str
    status: CallStatus | None
    direction: Direction | None
    party: str | None
    internal: bool
    name: str | None
    via: str | None


@dataclass(frozen=True, slots=True)
class Extension:
    """What the API client sees of one DN; the client's own route point is not one."""

    dn: str
    participants: tuple[Participant, ...]


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
_EXTERNAL = "wexternalline"
_ROUTE_POINT = "wroutepoint"
_NOT_VIA = {"", "none", "wexternalline", "wextension", _ROUTE_POINT}


def extensions(body: bytes) -> list[Extension]:
    """The answer to GET /callcontrol: every DN that the API client may monitor."""
    rows = load(body)
    if not isinstance(rows, list):
        raise SourceProtocolError("/callcontrol sent no list")
    found = []
    for row in rows:
        dn = as_text(row.get("dn")) if isinstance(row, dict) else None
        if dn is None or str(row.get("type")).casefold() == _ROUTE_POINT:
            continue
        inside = row.get("participants")
        participants = [_participant(raw) for raw in inside] if isinstance(inside, list) else []
        found.append(Extension(dn, tuple(each for each in participants if each is not None)))
    return found


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
    number, call = raw.get("id"), raw.get("callid")
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    status = _PARTICIPANT_STATUS.get(str(raw.get("status")).casefold())
    external = str(raw.get("party_dn_type")).casefold() == _EXTERNAL
    return Participant(
        id=number,
        call=str(call) if isinstance(call, int) and not isinstance(call, bool) else f"p{number}",
        status=status,
        direction=_direction(status, external=external),
        party=as_text(raw.get("party_caller_id" if external else "party_dn")),
        internal=not external,
        name=as_text(raw.get("party_caller_name")),
        via=_via(raw),
    )


def _direction(status: CallStatus | None, *, external: bool) -> Direction | None:
    """A ringing extension is being called, a dialling one calls; a connected external call does not show which."""
    if not external:
        return Direction.INTERNAL
    if status is CallStatus.RINGING:
        return Direction.INBOUND
    return Direction.OUTBOUND if status is CallStatus.DIALING else None


def _via(raw: Mapping[str, object]) -> str | None:
    """The queue or ring group that the call came through."""
    for role in ("on_behalf_of", "referred_by", "originated_by"):
        if str(raw.get(f"{role}_type")).casefold() not in _NOT_VIA:
            return as_text(raw.get(f"{role}_dn"))
    return None
