"""The shapes of what the PBX sends: classes of words, keys and texts that hold no name and no number.

They show which of the forms that 3CX's builds use a PBX really has, and can be published: letters are `A`, digits `9`;
of words only those in fixed lists stay.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import groupby, islice

from bridge.errors import SourceProtocolError
from bridge.sources.threecx.parse.envelope import load


class ShapeKind(StrEnum):
    """What a shape is one of."""

    CALL_STATUS = "call_status"
    PARTICIPANT_STATUS = "participant_status"
    MONITOR_STATE = "monitor_state"
    DN_TYPE = "dn_type"
    PARTY_TYPE = "party_type"
    PROFILE = "profile"
    QUEUE_STATUS = "queue_status"
    CALLER = "caller"
    CALLEE = "callee"
    UNKNOWN_KEY = "unknown_key"
    EVENT_TYPE = "event_type"
    CLOSE_CODE = "close_code"


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape. `known`: the program knows it, so that it need not be reported."""

    kind: ShapeKind
    text: str
    known: bool


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LONGEST = 64
"""Characters of a shape."""
_MOST_KEYS = 1000
"""Unknown keys of one row that are looked at."""

_WORDS: Mapping[ShapeKind, frozenset[str]] = {
    kind: frozenset(words.split(","))
    for kind, words in {
        ShapeKind.CALL_STATUS: "unknown,initiating,routing,talking,transferring,rerouting,ringing,connected,held,hold",
        ShapeKind.PARTICIPANT_STATUS: "dialing,ringing,connected,hold,held",
        ShapeKind.MONITOR_STATE: "connected,talking,busy,on call,oncall,hold,held,on hold,ringing,dialing,initiating,"
        "routing,available,idle,online,registered,away,dnd,do not disturb,donotdisturb,out of office,outofoffice,"
        "offline,unregistered,disconnected",
        ShapeKind.DN_TYPE: "wextension,wroutepoint,wqueue,wivr,wringgroup,wexternalline,wspecialmenu",
        ShapeKind.PARTY_TYPE: "none,wextension,wroutepoint,wqueue,wivr,wringgroup,wexternalline,wspecialmenu,extension,"
        "routepoint,queue,ivr,ringgroup,externalline,specialmenu",
        ShapeKind.PROFILE: "available,away,out of office,custom 1,custom 2",
        ShapeKind.QUEUE_STATUS: "loggedin,loggedout",
        ShapeKind.EVENT_TYPE: "0,1,2,3,4",
        ShapeKind.CLOSE_CODE: "1000,1001,1006,1008,1011,1012,4401",
    }.items()
}
"""Words that stay as they are, in any case: enumerations of 3CX, and what other builds and proxies send."""

_ABSENT_IS_KNOWN = {ShapeKind.PROFILE, ShapeKind.CALLER, ShapeKind.CALLEE, ShapeKind.PARTY_TYPE, ShapeKind.CLOSE_CODE}
_PLACES = _words("router makecall voicemail conference parking shared ivr queue anonymous unknown private")
"""Words in Caller and Callee that stand for no person and no number."""

_VOCABULARY = _words(
    """access agent ai alert answer answered assignment at auth available away busy call callee caller calls cancelled
    change changed code conference connected contact count current custom data date department destination
    device devices dialing did direction disconnected display dn do enabled end ended error established event
    expiration expires extension external failed first forward forwarding group groups held history hold
    hotdesking id idle in initiating is ivr join last leg line local logged message missed mode monitor name
    none not notified now number odata of off office on online option order out outbound own parent park parked
    participant participants party password phone pick picked pin point presence primary profile queue queued
    recording registered rejected reason ring ringing route routing server session setting since source special
    start started state status tags talking teams terminated time to transfer transferring trunk type undefined
    unknown until update user wait waiting"""
)
"""Parts of names of keys and enumerations, as in 3CX's documents; they tell nothing about a person."""

_KEYS: Mapping[str, frozenset[str]] = {
    row: frozenset(keys.split())
    for row, keys in {
        "User": "Id Number FirstName LastName DisplayName IsRegistered CurrentProfileName QueueStatus PrimaryGroupId "
        "Enabled Tags AIAgent",
        "ActiveCall": "Id Caller Callee Status EstablishedAt LastChangeStatus ServerNow",
        "MonitoringState": "DN Expiration",
        "CallControlDn": "dn type devices participants",
        "Participant": "id status dn party_caller_name party_dn party_caller_id party_did device_id party_dn_type "
        "direct_control originated_by_dn originated_by_type referred_by_dn referred_by_type on_behalf_of_dn "
        "on_behalf_of_type callid legid",
        "Event": "sequence event event_type entity attached_data",
    }.items()
}
"""The keys of official documents and of others' captures, by what they are of."""

_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""One word of a name in CamelCase."""


def user_shapes(raw: object) -> Iterator[Shape]:
    """Of a row of Users."""
    if isinstance(raw, dict):
        yield from _unknown_keys("User", raw)
        yield _word(ShapeKind.PROFILE, raw.get("CurrentProfileName"))
        yield _word(ShapeKind.QUEUE_STATUS, raw.get("QueueStatus"))


def monitor_shapes(raw: object) -> Iterator[Shape]:
    """Of a row of GetMonitorStatus()."""
    if isinstance(raw, dict):
        yield from _unknown_keys("MonitoringState", raw)
        for key in ("State", "Status", "Presence"):
            if key in raw:
                yield _word(ShapeKind.MONITOR_STATE, raw[key])


def active_call_shapes(raw: object) -> Iterator[Shape]:
    """Of a row of ActiveCalls."""
    if isinstance(raw, dict):
        yield from _unknown_keys("ActiveCall", raw)
        yield _word(ShapeKind.CALL_STATUS, raw.get("Status"))
        yield _side(ShapeKind.CALLER, raw.get("Caller"))
        yield _side(ShapeKind.CALLEE, raw.get("Callee"))


def extension_shapes(body: bytes) -> Iterator[Shape]:
    """Of the answer to GET /callcontrol."""
    for row in _rows(body):
        yield from _unknown_keys("CallControlDn", row)
        yield _word(ShapeKind.DN_TYPE, row.get("type"))
        inside = row.get("participants")
        for each in inside if isinstance(inside, list) else ():
            if isinstance(each, dict):
                yield from _participant(each)


def participant_shapes(body: bytes) -> Iterator[Shape]:
    """Of the answer to GET /callcontrol/{dn}/participants/{id}."""
    for row in _rows(body):
        yield from _participant(row)


def event_shapes(text: str) -> Iterator[Shape]:
    """Of a text message of the websocket."""
    for message in _rows(text.encode("utf-8", "replace")):
        yield from _unknown_keys("Event", message)
        inner = message.get("event")
        if isinstance(inner, dict):
            yield from _unknown_keys("Event", inner)
            yield _word(ShapeKind.EVENT_TYPE, inner.get("event_type"))


def close_shapes(code: int | None) -> Iterator[Shape]:
    """Of the code with which the websocket was closed."""
    yield _word(ShapeKind.CLOSE_CODE, code)


@lru_cache(maxsize=2000)
def masked(text: str, vocabulary: frozenset[str] = frozenset()) -> str:
    """The text with `A` for each run of letters and `9` for each digit; words of the vocabulary stay.

    In a name in CamelCase each part is a word. Characters beyond ASCII that are neither are `?`.
    """
    found = []
    for kind, letters in groupby(text[: 4 * _LONGEST], _class_of):
        run = "".join(letters)
        match kind:
            case "A":
                found.append(_masked_letters(run, vocabulary))
            case "9":
                found.append("9" * len(run))
            case _:
                found.append(run if kind == "" else kind)
    shape = "".join(found)
    return shape if len(shape) <= _LONGEST else f"{shape[:_LONGEST]}…"


def _class_of(letter: str) -> str:
    """`A`, `9`, a blank or `?` in place of a run of such letters; empty: they stay."""
    category = unicodedata.category(letter)
    if category[0] in "LM":
        return "A"
    if category[0] == "N":
        return "9"
    if category[0] == "Z" or letter in "\t\r\n":
        return " "
    return "" if letter.isascii() and letter.isprintable() else "?"


def _masked_letters(run: str, vocabulary: frozenset[str]) -> str:
    if not run.isascii():
        return "A"
    parts = [run] if run.casefold() in vocabulary else _PART.findall(run)
    words = (part if part.casefold() in vocabulary else "A" for part in parts)
    return "".join(word for word, _ in groupby(words))


def _participant(raw: Mapping[str, object]) -> Iterator[Shape]:
    yield from _unknown_keys("Participant", raw)
    yield _word(ShapeKind.PARTICIPANT_STATUS, raw.get("status"))
    for role in ("party_dn", "originated_by", "referred_by", "on_behalf_of"):
        yield _word(ShapeKind.PARTY_TYPE, raw.get(f"{role}_type"))


def _word(kind: ShapeKind, value: object) -> Shape:
    """Of a value that is a word of an enumeration, or a number that is a code."""
    text = _text(value)
    if text is None:
        return Shape(kind, _type(value), known=(value is None or isinstance(value, str)) and kind in _ABSENT_IS_KNOWN)
    if text.isascii() and text.casefold() in _WORDS[kind]:
        return Shape(kind, text, known=True)
    return Shape(kind, masked(text, _VOCABULARY), known=False)


def _side(kind: ShapeKind, value: object) -> Shape:
    """Of Caller or Callee: a number, and perhaps a name, is understood, and so is a word in place of both."""
    text = _text(value)
    if text is None:
        return Shape(kind, _type(value), known=value is None or isinstance(value, str))
    shape = masked(text, _PLACES)
    first = shape.lstrip("+").partition(" ")[0]
    return Shape(kind, shape, known=first.startswith("9") or first.casefold() in _PLACES)


def _unknown_keys(row: str, raw: Mapping[str, object]) -> Iterator[Shape]:
    for key in islice(raw.keys() - _KEYS[row], _MOST_KEYS):
        yield Shape(ShapeKind.UNKNOWN_KEY, f"{row}.{masked(key, _VOCABULARY)}", known=False)


def _text(value: object) -> str | None:
    """The value itself where it is text or a whole number; None for anything else, and for empty text."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**_LONGEST else "9"
    return None


def _type(value: object) -> str:
    """What stands for a value without a text."""
    if value is None:
        return "(none)"
    names = {str: "empty", bool: "true or false", float: "fraction", list: "list", dict: "object"}
    return f"({names.get(type(value), 'other')})"


def _rows(body: bytes) -> Iterable[Mapping[str, object]]:
    """The objects in a list, or the one object; nothing of what is no JSON."""
    try:
        found = load(body)
    except SourceProtocolError:
        return ()
    return [row for row in (found if isinstance(found, list) else [found]) if isinstance(row, dict)]
