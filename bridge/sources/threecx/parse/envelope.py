"""What all answers have in common: JSON, the envelope of a collection, errors, and tolerant reading of values."""

import json
import math
import re
from dataclasses import dataclass

from bridge.errors import SourceProtocolError

_TOKEN = re.compile(r"[\w.~+/=-]{40,}")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a collection: its raw rows and `@odata.count`, where the PBX gave one."""

    rows: list[object]
    total: int | None


def page(body: bytes) -> Page:
    """The envelope `{"value": [...], "@odata.count": n}`."""
    envelope = load(body)
    if not isinstance(envelope, dict):
        raise SourceProtocolError("the PBX answered JSON that is no object")
    rows = envelope.get("value")
    if not isinstance(rows, list):
        raise SourceProtocolError("the PBX answered JSON without a list of rows under 'value'")
    total = envelope.get("@odata.count")
    return Page(rows, total if isinstance(total, int) and not isinstance(total, bool) else None)


def error_message(body: bytes) -> str | None:
    """The PBX's own wording from an OData error or an OAuth error; None where the body carries none.

    What could be a token is left out of it: this goes to logs and topics.
    """
    try:
        answer = load(body)
    except SourceProtocolError:
        return None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    candidates = [error.get("message")] if isinstance(error, dict) else [answer.get("error_description"), error]
    for text in candidates:
        if isinstance(text, str) and text.strip():
            return _TOKEN.sub("***", " ".join(text.split()))[:500]
    return None


def load(body: bytes) -> object:
    """JSON, or SourceProtocolError."""
    try:
        return json.loads(body, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise SourceProtocolError(f"the PBX's answer is not JSON ({type(error).__name__})") from None


def _finite(text: str) -> float | None:
    """`1e999` would come out as a word that is no JSON."""
    number = float(text)
    return number if math.isfinite(number) else None


def as_text(value: object) -> str | None:
    """Text without blanks around it, or a whole number as text; None for all else and for nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None
