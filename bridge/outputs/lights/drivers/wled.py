"""Lights with WLED.

Its MQTT and JSON API pages and source (wled00/json.cpp, blink() in FX.cpp): `<topic>/api` takes the state as JSON, with
`transition` in tenths of a second. Effect 0 is steady; 1 shows the segment's first colour and then its second, once in
(255 - sx) * 20 ms and two frames, the first for ix / 256 of it; a palette other than 0 would replace the first. A list
in `seg` begins with segment 0. A colour of three numbers has no white.
"""

from collections.abc import Iterable

from bridge.domain.light import MOST, Look, scaled
from bridge.outputs.lights.payload import either, refuse_others, units, without
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions
from bridge.topics import to_json

_STEADY, _BLINK = 0, 1
_ONCE_A_SECOND = {"sx": 205, "ix": 128}
_DARK = [0, 0, 0]
_TENTHS = 10
_LONGEST = 65535


class Wled:
    """`topic` is the device topic of WLED's MQTT settings, `wled/<mac>` unless changed; its segment 0 is the light."""

    blinks = True
    harmless = "{}"
    """Names nothing to change."""

    def __init__(self, options: DriverOptions) -> None:
        refuse_others(options, "wled", "transition", "availability")
        topic = without(options.topic, "/api")
        self._topic = f"{topic}/api"
        self._transition = units(options.transition, _TENTHS, _LONGEST)
        self.topics = frozenset({self._topic})
        self.availability = Availability(options.availability or f"{topic}/status", either("online", "offline"))

    def commands(self, look: Look, _shows: str) -> Iterable[Command]:
        """One message."""
        yield Command(self._topic, to_json(self._message(look)))

    def _message(self, look: Look) -> dict[str, object]:
        if look.color is None:
            return {"on": False, "transition": self._transition}
        return {
            "on": True,
            "bri": scaled(look.brightness, MOST),
            "transition": self._transition,
            "seg": [
                {
                    "on": True,
                    "col": [[look.color.red, look.color.green, look.color.blue], _DARK],
                    "fx": _BLINK if look.blink else _STEADY,
                    **_ONCE_A_SECOND,
                    "pal": 0,
                }
            ],
        }
