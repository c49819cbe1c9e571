"""How much of the other party of a call is shown: `privacy.caller_id`."""

from enum import StrEnum

_OUTSIDE_DIGITS = 7
"""A number with so many digits is of the public network: extensions are shorter."""
_SHOWN_DIGITS = 3


class CallerId(StrEnum):
    """`none`: nothing; `masked`: extensions, and the last digits of outside numbers; `full`: all of it."""

    NONE = "none"
    MASKED = "masked"
    FULL = "full"


def shown_number(number: str | None, mode: CallerId, *, internal: bool) -> str | None:
    """The number as it may be published: when masked, `…567` for an outside number and `…` for a short one.

    `internal`: it is a number of this PBX, which `masked` shows in full.
    """
    if number is None or mode is CallerId.NONE:
        return None
    if mode is CallerId.FULL or internal:
        return number
    digits = "".join(filter(str.isdecimal, number))
    return f"…{digits[-_SHOWN_DIGITS:]}" if len(digits) >= _OUTSIDE_DIGITS else "…"


def shown_name(name: str | None, mode: CallerId) -> str | None:
    """The other party's name, which only `full` shows."""
    return name if mode is CallerId.FULL else None


def is_masked(number: str) -> bool:
    """Whether `masked` has made `number` what it is."""
    return number.startswith("…")


def is_outside(number: str) -> bool:
    """Whether `number` is long enough to be of the public network rather than one of the PBX's own."""
    return sum(map(str.isdecimal, number)) >= _OUTSIDE_DIGITS
