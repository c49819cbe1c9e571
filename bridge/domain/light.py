"""Colours, and what a light shows."""

import re
from dataclasses import dataclass
from enum import StrEnum

from bridge.domain.model import State

MOST = 255
"""The maximum of a colour channel."""
MOST_BRIGHT = 100
"""The maximum brightness, in percent."""

NAMES = {
    "red": "#ff0000",
    "green": "#00ff00",
    "blue": "#0000ff",
    "yellow": "#ffff00",
    "amber": "#ffbf00",
    "orange": "#ff8000",
    "magenta": "#ff00ff",
    "pink": "#ff69b4",
    "purple": "#8000ff",
    "cyan": "#00ffff",
    "turquoise": "#40e0d0",
    "white": "#ffffff",
}
"""Colours that LEDs can show. The names are from CSS, but `green` is full green, not CSS's half-dark one."""


class QueueWord(StrEnum):
    """What a light that follows a queue shows, besides `unknown`."""

    WAITING = "waiting"
    """At least one caller waits."""
    IDLE = "idle"


Followed = State | QueueWord
"""What a light can show of whom it follows."""


class LightWord(StrEnum):
    """Reasons for what a light shows other than the state of a user."""

    OFF = "off"
    """Outside the hours of the light."""
    OVERRIDE = "override"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Color:
    """Red, green and blue, each from 0 to 255."""

    red: int
    green: int
    blue: int

    @property
    def hex(self) -> str:
        """`#rrggbb`."""
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"

    def dimmed(self, percent: int) -> "Color":
        """Reduced to `percent` of its brightness, for lights without such a setting of their own; never quite black."""
        return Color(*(_part(channel, percent) for channel in (self.red, self.green, self.blue)))


BLACK = Color(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Look:
    """What a light shows. `brightness` is in percent, 1 to 100, and is ignored while the light is off."""

    color: Color | None
    """None: off."""
    brightness: int = MOST_BRIGHT
    blink: bool = False

    def __str__(self) -> str:
        if self.color is None:
            return "off"
        return f"{self.color.hex} at {self.brightness} %{', blinking' if self.blink else ''}"


OFF = Look(None)


def color(text: str) -> Color:
    """Parses a name, `#rrggbb` or `r,g,b`; raises ValueError with a text that says what can be written."""
    written = text.strip().casefold()
    digits = NAMES.get(written, written)
    if match := re.fullmatch(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", digits):
        return Color(*(int(channel, 16) for channel in match.groups()))
    if match := re.fullmatch(r"([0-9]{1,3}) *, *([0-9]{1,3}) *, *([0-9]{1,3})", written):
        channels = [int(channel) for channel in match.groups()]
        if max(channels) <= MOST:
            return Color(*channels)
    raise ValueError(f"write a name ({', '.join(NAMES)}), '#rrggbb' or 'r,g,b' from 0 to {MOST}")


def scaled(percent: int, most: int) -> int:
    """Converts percent to a scale from 1 to `most`: 0 would turn many lights off."""
    return max(1, round(percent * most / 100))


def _part(channel: int, percent: int) -> int:
    return scaled(percent, channel) if channel else 0
