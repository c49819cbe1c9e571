"""From 3CX's JSON to domain values: the only module that knows 3CX's field names.

Facts: official OpenAPI of XAPI 20.0.8 (`Pbx.MonitoringState {DN, Expiration}`, `@odata.count`). No capture of a real
GetMonitorStatus() answer is known, so any object with a DN-like key is taken as a row and the rest of it kept.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bridge.domain.model import MonitorRow, State
from bridge.errors import SourceProtocolError
from bridge.topics import to_json

MAX_ROW_BYTES = 4096

_DN_KEYS = ("DN", "Number", "Extension")
_NAME_KEYS = ("Name", "DisplayName")
_STATE_KEYS = ("State", "Status", "Presence")

_SECRET_KEY = re.compile(r"(?i:pass|secret|token|auth|sipid|e-?mail|^pin)|(?i:pin)(?![a-z])")
_PARTY_KEY = re.compile(r"(?i:caller|callee|party|phone|mobile)")
_OUTSIDE_DIGITS = 7

# Words that some builds and proxies add to a row, case, blanks and underscores forgiven.
_STATE_WORDS = {
    word: state
    for state, words in {
        State.ON_CALL: ("connected", "talking", "busy", "oncall"),
        State.ON_HOLD: ("hold", "held", "onhold"),
        State.RINGING: ("ringing",),
        State.DIALING: ("dialing", "initiating", "routing"),
        State.AVAILABLE: ("available", "idle", "online", "registered"),
        State.AWAY: ("away",),
        State.DO_NOT_DISTURB: ("dnd", "donotdisturb", "outofoffice"),
        State.OFFLINE: ("offline", "unregistered", "disconnected"),
    }.items()
    for word in words
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a collection: its raw rows and `@odata.count`, where the PBX gave one."""

    rows: list[object]
    total: int | None


def page(body: bytes) -> Page:
    """The envelope `{"value": [...], "@odata.count": n}`."""
    envelope = _load(body)
    if not isinstance(envelope, dict):
        raise SourceProtocolError("the PBX answered JSON that is no object")
    rows = envelope.get("value")
    if not isinstance(rows, list):
        raise SourceProtocolError("the PBX answered JSON without a list of rows under 'value'")
    total = envelope.get("@odata.count")
    return Page(rows, total if isinstance(total, int) and not isinstance(total, bool) else None)


def error_message(body: bytes) -> str | None:
    """The PBX's own wording from an OData error or an OAuth error; None where the body carries none."""
    try:
        answer = _load(body)
    except SourceProtocolError:
        return None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    candidates = [error.get("message")] if isinstance(error, dict) else [answer.get("error_description"), error]
    for text in candidates:
        if isinstance(text, str) and text.strip():
            return " ".join(text.split())[:500]
    return None


def monitor_row(raw: object) -> MonitorRow:
    """One row of GetMonitorStatus(), or SourceProtocolError saying why it is none."""
    if not isinstance(raw, dict):
        raise SourceProtocolError(f"a row that is no JSON object but {type(raw).__name__}")
    dn = next(_texts(raw, _DN_KEYS), None)
    if dn is None:
        keys = ", ".join(sorted(raw)[:10])
        raise SourceProtocolError(f"a row without DN, Number or Extension (it has: {keys or 'nothing'})")
    word = next(_texts(raw, _STATE_KEYS), None)
    return MonitorRow(
        dn=dn,
        name=next(_texts(raw, _NAME_KEYS), None),
        state=None if word is None else _state(word),
        json=_publishable(raw),
    )


def _load(body: bytes) -> object:
    try:
        return json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise SourceProtocolError(f"the PBX's answer is not JSON ({type(error).__name__})") from None


def _state(word: str) -> State:
    return _STATE_WORDS.get(re.sub(r"[\s_]", "", word).casefold(), State.UNKNOWN)


def _texts(raw: Mapping[str, object], keys: tuple[str, ...]) -> Iterator[str]:
    """Values of the first of `keys` that hold text or a whole number, spelled so or in other case."""
    for key in keys:
        value = raw[key] if key in raw else _in_other_case(raw, key)
        if isinstance(value, int) and not isinstance(value, bool):
            yield str(value)
        elif isinstance(value, str) and value.strip():
            yield value.strip()


def _in_other_case(raw: Mapping[str, object], key: str) -> object:
    folded = key.casefold()
    return next((value for name, value in raw.items() if name.casefold() == folded), None)


def _publishable(raw: Mapping[str, object]) -> str:
    text = to_json(_masked(raw))
    if len(text.encode("utf-8", "replace")) <= MAX_ROW_BYTES:
        return text
    return to_json(_shortened(raw))


def _shortened(raw: Mapping[str, object]) -> dict[str, object]:
    """As many fields as fit, in the PBX's order, and a note that the row was longer."""
    short: dict[str, object] = {"truncated": True}
    for key, value in raw.items():
        longer = short | {key: _masked(value, key)}
        if len(to_json(longer).encode("utf-8", "replace")) <= MAX_ROW_BYTES:
            short = longer
    return short


def _masked(value: object, key: str = "") -> object:
    if _SECRET_KEY.search(key) and value is not None:
        return "***"
    if isinstance(value, dict):
        return {name: _masked(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, key) for inner in value]
    if isinstance(value, str | int) and not isinstance(value, bool) and _PARTY_KEY.search(key):
        return _masked_party(str(value))
    return value


def _masked_party(text: str) -> str | None:
    """An outside number by its last three digits, an extension in clear, a name not at all."""
    digits = "".join(filter(str.isdecimal, text))
    if len(digits) >= _OUTSIDE_DIGITS:
        return f"…{digits[-3:]}"
    return text if text.strip().isdecimal() else None
