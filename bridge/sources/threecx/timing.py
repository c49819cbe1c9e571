"""The times of the 3CX sources that no option sets, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThreecxTiming:
    """Tests shorten what they wait for; everybody else takes the defaults."""

    read_back: tuple[float, ...] = (1.0, 2.0)
    """How long to wait before each look whether the PBX made a change that it accepted."""


USUAL = ThreecxTiming()
