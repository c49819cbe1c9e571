"""Rows of GetMonitorStatus(). No capture of a real answer is known: any object with a DN-like key counts as a row."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from bridge.domain.model import MonitorRow, State
from bridge.domain.privacy import CallerId, is_outside, shown_number
from bridge.errors import SourceProtocolError
from bridge.sources.threecx.directory import Directory
from bridge.topics import to_json

MAX_ROW_BYTES = 4096
"""As published; a longer row is shortened."""
_MOST_KEYS = 1000
"""Keys of a row that are looked at: no row that means anything has so many."""
_MOST_WORK = 8 * MAX_ROW_BYTES
"""Keys and characters of values that are masked, as only a few of them would be published."""

_DN_KEYS = ("DN", "Number", "Extension")
_NAME_KEYS = ("Name", "DisplayName")
_STATE_KEYS = ("State", "Status", "Presence")

_SECRET_KEY = re.compile(r"(?i:pass|secret|token|auth|sipid|e-?mail|^pin)|(?i:pin)(?![a-z])")
_PARTY = re.compile(r"(?i:caller|callee|party)")
_PARTY_KEY = re.compile(r"(?i:caller|callee|party|phone|mobile|remote|peer|contact|diall?ed|connectedto)")
_CONTACT = re.compile(
    r"(?<![^\s@<>\"',;])[^\s@<>\"',;]+@[^\s@<>\"',;]+|(?<![\w.])\+?\d{7,}(?![\w.])|(?<!\w)\+\d[\d ()/.-]*"
)
"""E-mail and SIP addresses, and numbers of the public network, in a text."""

# States that some builds and proxies add to a row; compared without case, blanks and underscores.
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


def monitor_row(raw: object, caller_id: CallerId = CallerId.MASKED, directory: Directory | None = None) -> MonitorRow:
    """One row of GetMonitorStatus(); SourceProtocolError says why it is none.

    Of numbers of others, those in `directory` are the PBX's own.
    """
    if not isinstance(raw, dict):
        raise SourceProtocolError(f"a row that is no JSON object but {type(raw).__name__}")
    dn = next(_texts(raw, _DN_KEYS), None)
    if dn is None:
        keys = ", ".join(sorted(raw)[:10])
        raise SourceProtocolError(f"a row without DN, Number or Extension (it has: {keys or 'nothing'})")
    word = next(_texts(raw, _STATE_KEYS), None)
    known = directory or Directory()
    mask = _Mask(caller_id, lambda number: number == dn or known.kind(number) is not None)
    return MonitorRow(
        dn=dn,
        name=next(_texts(raw, _NAME_KEYS), None),
        state=None if word is None else _state(word),
        json=mask.publishable(raw),
    )


def _state(word: str) -> State:
    return _STATE_WORDS.get(re.sub(r"[\s_]", "", word).casefold(), State.UNKNOWN)


def _texts(raw: Mapping[str, object], keys: tuple[str, ...]) -> Iterator[str]:
    """The values of `keys` that are text or a whole number, in this order; keys match in any case."""
    for key in keys:
        value = raw[key] if key in raw else _in_other_case(raw, key)
        if isinstance(value, int) and not isinstance(value, bool):
            yield str(value)
        elif isinstance(value, str) and value.strip():
            yield value.strip()


def _in_other_case(raw: Mapping[str, object], key: str) -> object:
    folded = key.casefold()
    return next((value for name, value in islice(raw.items(), _MOST_KEYS) if name.casefold() == folded), None)


@dataclass(frozen=True, slots=True)
class _Mask:
    """What of a row is published."""

    caller_id: CallerId
    own: Callable[[str], bool]
    """Whether a number is the PBX's own."""

    def publishable(self, raw: Mapping[str, object]) -> str:
        if _work(raw, _MOST_WORK) <= _MOST_WORK:
            text = to_json(self._masked(raw))
            if _bytes(text) <= MAX_ROW_BYTES:
                return text
        return to_json(self._shortened(raw))

    def _shortened(self, raw: Mapping[str, object]) -> dict[str, object]:
        """As many fields as fit, in the PBX's order, and `truncated: true`."""
        short: dict[str, object] = {"truncated": True}
        room = MAX_ROW_BYTES - _bytes(to_json(short))
        for key, value in islice(raw.items(), _MOST_KEYS):
            if _work(value, room) > room:
                continue
            field = {key: self._masked(value, key)}
            needed = _bytes(to_json(field)) - 1  # a comma, and no braces
            if needed <= room:
                short |= field
                room -= needed
        return short

    def _masked(self, value: object, key: str = "") -> object:
        if _SECRET_KEY.search(key) and value is not None:
            return "***"
        if isinstance(value, dict):
            about_party = key if _PARTY.fullmatch(key) else ""
            return {name: self._masked(inner, f"{about_party}{name}") for name, inner in value.items()}
        if isinstance(value, list):
            return [self._masked(inner, key) for inner in value]
        if self.caller_id is CallerId.FULL or isinstance(value, bool) or not isinstance(value, str | int):
            return value
        if _PARTY_KEY.search(key):
            return self._party(str(value).strip())
        return _CONTACT.sub(self._contact, value) if isinstance(value, str) else value

    def _party(self, text: str) -> str | None:
        """A number as `privacy.caller_id` allows, a name not at all."""
        if self.own(text) or is_outside(text):
            return shown_number(text, self.caller_id, internal=self.own(text))
        return shown_number(text, self.caller_id, internal=False) if text[:1].isdecimal() else None

    def _contact(self, found: re.Match[str]) -> str:
        """In other texts: an address or number of the public network."""
        return found[0] if self.own(found[0]) else shown_number(found[0], self.caller_id, internal=False) or "…"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _work(value: object, most: int) -> int:
    """Keys, elements and characters in a value; counting ends soon after `most`."""
    found, waiting = 0, [value]
    while waiting and found <= most:
        inner = waiting.pop()
        found += 1 + (len(inner) if isinstance(inner, str | list | dict) else 0)
        if isinstance(inner, list | dict) and found <= most:
            waiting.extend(inner.values() if isinstance(inner, dict) else inner)
    return found
