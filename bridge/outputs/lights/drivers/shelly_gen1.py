"""Shelly's first generation with colour: RGBW2, Bulb, Duo RGBW.

Shelly's API of the first generation: `<topic>/color/<channel>/set` takes JSON, `gain` is the brightness in percent of
the mode `color`, effect 0 is none, `transition` is in ms up to 5000 (RGBW2 from firmware 1.9 on).
"""

from collections.abc import Iterable

from bridge.domain.light import Look
from bridge.outputs.lights.payload import either, refuse_others, units
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions
from bridge.topics import to_json

_MILLISECONDS = 1000
_LONGEST = 5000


class ShellyGen1:
    """`topic` is `shellies/<device>`, such as `shellies/shellyrgbw2-1a2b3c`."""

    blinks = False
    harmless = None

    def __init__(self, options: DriverOptions) -> None:
        refuse_others(options, "shelly_gen1", "transition", "channel", "availability")
        if "/color/" in options.topic:
            raise ValueError("topic: write shellies/<device> alone, the driver adds /color/ and the rest")
        self._topic = f"{options.topic}/color/{options.channel}/set"
        self._transition = units(options.transition, _MILLISECONDS, _LONGEST)
        self.topics = frozenset({self._topic})
        self.availability = Availability(options.availability or f"{options.topic}/online", either("true", "false"))

    def commands(self, look: Look, _shows: str) -> Iterable[Command]:
        """One message."""
        yield Command(self._topic, to_json(self._message(look)))

    def _message(self, look: Look) -> dict[str, object]:
        if look.color is None:
            return {"turn": "off", "transition": self._transition}
        return {
            "mode": "color",
            "turn": "on",
            "red": look.color.red,
            "green": look.color.green,
            "blue": look.color.blue,
            "white": 0,
            "gain": look.brightness,
            "effect": 0,
            "transition": self._transition,
        }
