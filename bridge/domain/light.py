"""Colours and looks of lights."""

import re
from dataclasses import dataclass
from enum import StrEnum

MOST = 255
"""Of a channel of a colour."""
MOST_BRIGHT = 100
"""Percent."""

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
"""Colours as LEDs show them; the names are CSS's, `green` is full green."""


class LightWord(StrEnum):
    """Why a light shows what it shows, where that is no state of a user."""

    OFF = "off"
    """Out of hours."""
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
        """The same with so much of its light, for lights that know no brightness; never quite dark."""
        return Color(*(_part(channel, percent) for channel in (self.red, self.green, self.blue)))


BLACK = Color(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Look:
    """What a light shows. `brightness` is in percent, 1 to 100, and means nothing while the light is off."""

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
    """A colour from its name, `#rrggbb` or `r,g,b`; ValueError says what can be written."""
    word = text.strip().casefold()
    digits = NAMES.get(word, word)
    if match := re.fullmatch(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", digits):
        return Color(*(int(channel, 16) for channel in match.groups()))
    if match := re.fullmatch(r"([0-9]{1,3}) *, *([0-9]{1,3}) *, *([0-9]{1,3})", word):
        channels = [int(channel) for channel in match.groups()]
        if max(channels) <= MOST:
            return Color(*channels)
    raise ValueError(f"write a name ({', '.join(NAMES)}), '#rrggbb' or 'r,g,b' from 0 to {MOST}")


def scaled(percent: int, most: int) -> int:
    """A brightness in percent on a scale that ends at `most`; at least 1."""
    return max(1, round(percent * most / 100))


def _part(channel: int, percent: int) -> int:
    return scaled(percent, channel) if channel else 0
