"""Directory numbers (DN): what 3CX calls the number of an extension, and which of them can be a topic level.

A DN need not be numeric: 3CX takes any client id as the DN of an API client.
"""

import re
import unicodedata
from collections.abc import Iterable
from fnmatch import translate

MAX_BYTES = 64
"""In UTF-8. DNs are short, and a bound keeps a damaged answer from filling topics and logs."""
_WILDCARDS = "+#/"
_RESERVED = range(0xFDD0, 0xFDF0)
_PLANE_END = 0xFFFE
"""The last two code points of each of Unicode's planes are non-characters."""


def pattern(globs: Iterable[str]) -> re.Pattern[str] | None:
    """Matches what any of the globs matches, case-sensitively; None where there are no globs."""
    joined = "|".join(translate(glob) for glob in globs)
    return re.compile(joined) if joined else None


def why_unpublishable(dn: str) -> str | None:
    """Why `dn` cannot be a level of an MQTT topic, or None when it can.

    Brokers drop a client that publishes to a topic with a control character or a non-character, and would do so
    again after every reconnect; a lone surrogate cannot be encoded at all.
    """
    if not dn:
        return "it is empty"
    for character in dn:
        if character in _WILDCARDS:
            return f"{character!r} has a meaning of its own in MQTT topics"
        category = unicodedata.category(character)
        if category == "Cs":
            return "it holds half a surrogate pair"
        if category == "Cc" or is_noncharacter(character):
            return "it holds a control character or a non-character"
    if len(dn.encode()) > MAX_BYTES:
        return f"it is longer than {MAX_BYTES} bytes"
    return None


def is_unfit(character: str) -> bool:
    """Whether a topic must not hold this character: brokers disconnect a client that sends it, if it can be encoded."""
    return unicodedata.category(character) in {"Cc", "Cs"} or is_noncharacter(character)


def is_noncharacter(character: str) -> bool:
    """Whether Unicode reserves this code point for never being a character (U+FDD0..FDEF, U+..FFFE, U+..FFFF)."""
    point = ord(character)
    return point in _RESERVED or point & _PLANE_END == _PLANE_END
