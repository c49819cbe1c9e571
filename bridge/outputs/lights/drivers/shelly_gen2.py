"""Shelly's second generation and later, with colour: Plus RGBW PM and its like.

Shelly's API pages on RGB and RGBW: `<topic>/rpc` takes JSON-RPC with `brightness` in percent; the device answers on
`<src>/rpc`. `transition_duration` goes from half a second to three hours (shelly/const.py of Home Assistant).
"""

from collections.abc import Iterable

from bridge.domain.light import Look
from bridge.outputs.lights.payload import either, number, refuse_others, without
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions
from bridge.topics import ORIGIN, to_json

_METHODS = {"rgb": "RGB.Set", "rgbw": "RGBW.Set"}
_SHORTEST = 0.5
_LONGEST = 10800


class ShellyGen2:
    """`topic` is the device's MQTT prefix; `component` is `rgb`, or `rgbw`, which has a separate white channel."""

    blinks = False
    harmless = None

    def __init__(self, options: DriverOptions) -> None:
        refuse_others(options, "shelly_gen2", "transition", "channel", "component", "availability")
        component = options.component or "rgb"
        if component not in _METHODS:
            raise ValueError(f"component: write {' or '.join(_METHODS)}, the profile that the device is set to")
        topic = without(options.topic, "/rpc")
        self._topic = f"{topic}/rpc"
        self._method = _METHODS[component]
        self._channel = options.channel
        self._white = {"white": 0} if component == "rgbw" else {}
        self._transition = number(min(_LONGEST, max(_SHORTEST, options.transition)))
        self.topics = frozenset({self._topic})
        self.availability = Availability(options.availability or f"{topic}/online", either("true", "false"))

    def commands(self, look: Look, _shows: str) -> Iterable[Command]:
        """One call."""
        call = {"id": 1, "src": ORIGIN, "method": self._method, "params": self._params(look)}
        yield Command(self._topic, to_json(call))

    def _params(self, look: Look) -> dict[str, object]:
        if look.color is None:
            return {"id": self._channel, "on": False, "transition_duration": self._transition}
        return {
            "id": self._channel,
            "on": True,
            "brightness": look.brightness,
            "rgb": [look.color.red, look.color.green, look.color.blue],
            **self._white,
            "transition_duration": self._transition,
        }
