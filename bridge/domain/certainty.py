"""How far a source is to be believed about the other side of a call."""

from enum import IntEnum


class Certainty(IntEnum):
    """How well a source knows who the other side of a call is; better knowledge replaces worse, never the reverse."""

    PLACEHOLDER = 0
    """The call has no other side yet, or the source names a step of routing in its place."""
    PARSED = 1
    """Read from a display string, or from a number whose type the source does not give."""
    TYPED = 2
    """The source says what kind of number the other side is."""
