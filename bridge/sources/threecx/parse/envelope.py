"""What all answers have in common: JSON, the envelope of a collection, errors, and tolerant conversion of values."""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.errors import SourceProtocolError

_DIGITS = re.compile(r"[0-9]{1,18}")

_TOKEN = re.compile(r"[\w.~+/=-]{40,}")
"""Anything that could be an access token."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a collection: its raw rows, and `@odata.count` and `@odata.nextLink` if the PBX sent them."""

    rows: list[object]
    total: int | None
    next_link: object = None
    """Anything but None: there are more rows."""


def page(body: bytes) -> Page:
    """The envelope `{"value": [...], "@odata.count": n}`; SourceProtocolError if it is none."""
    envelope = load(body)
    if not isinstance(envelope, dict):
        raise SourceProtocolError("the PBX answered JSON that is no object")
    rows = envelope.get("value")
    if not isinstance(rows, list):
        raise SourceProtocolError("the PBX answered JSON without a list of rows under 'value'")
    total = envelope.get("@odata.count")
    known = total if isinstance(total, int) and not isinstance(total, bool) else None
    return Page(rows, known, envelope.get("@odata.nextLink"))


def error_message(body: bytes) -> str | None:
    """The message of an OData or OAuth error, at most 500 characters; None if the body has none.

    It is logged and published, so anything that could be a token is replaced by `***`.
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
    """Python reads `1e999` as infinity, and would write it as a word that is not JSON."""
    number = float(text)
    return number if math.isfinite(number) else None


def as_text(value: object) -> str | None:
    """Text without surrounding blanks, or a whole number as text; None for anything else and for empty text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def as_digits(value: object) -> str | None:
    """An id in one spelling, be it a number or a string of digits; None for anything else."""
    text = as_text(value)
    return str(int(text)) if text is not None and _DIGITS.fullmatch(text) else None


_LONG_AGO = 946_684_800
"""The year 2000. Earlier times mean none: .NET writes 0001-01-01 for what has not happened."""


def unix_time(value: object) -> int | None:
    """Unix seconds from `2026-09-01T08:15:04Z`, with or without fractions; UTC if it names no zone."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        seconds = int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > _LONG_AGO else None
