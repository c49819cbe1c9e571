"""The times of the USB agent that no option sets, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UsbTiming:
    """Tests shorten what they wait for; the program uses the defaults."""

    phase: float = 0.5
    """A light that blinks is on for so long, then off for so long."""
    apart: float = 0.2
    """Between two writes at least, so that no light flashes more than 3 times a second, whatever the user's phone does:
    that can harm people with photosensitive epilepsy (WCAG 2.3.1). Some lights lose commands that come too close.
    """
    rewrite: float = 3.0
    """Until the same look is written again, and until lights are searched for again where there is none."""
    search: float = 30.0
    """Until more lights are searched for: on some systems a search opens every device for a moment."""
    no_data: float = 5.0
    """After the subscription; topics without a message by then are reported."""
    farewell: float = 3.0
    """The lights may take this long to go off at the end."""
    lasting: float = 10.0
    """A connection that has lasted so long was a success: the next retry is a quick one."""


USUAL = UsbTiming()
