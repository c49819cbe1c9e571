"""The times of the 3CX sources that no option sets, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThreecxTiming:
    """Tests shorten what they wait for; everybody else takes the defaults."""


USUAL = ThreecxTiming()
