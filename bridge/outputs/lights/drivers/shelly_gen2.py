"""Shelly's second generation and later, with colour: Plus RGBW PM and its like.

Shelly's API pages on RGB and RGBW: `<topic>/rpc` takes JSON-RPC with `brightness` in percent; the device answers on
`<src>/rpc`. `transition_duration` goes from half a second to three hours (shelly/const.py of Home Assistant).
"""

from collections.abc import Iterable

from bridge.domain.light import Look
from bridge.outputs.lights.payload import either, number, refuse_others, without
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions
from bridge.topics import ORIGIN, to_json

_METHODS = {"rgb": "RGB.Set", "rgbw": "RGBW.Set", "rgbcct": "RGBCCT.Set"}
_OTHERS_OFF: dict[str, dict[str, object]] = {"rgbw": {"white": 0}, "rgbcct": {"mode": "rgb"}}
"""What makes the colour the only light, in devices that can be white too."""
_SHORTEST = 0.5
_LONGEST = 10800


class ShellyGen2:
    """`topic` is the device's MQTT prefix; `component` is `rgb`, `rgbw` with a channel for white, or `rgbcct`.

    RGBCCT is the Multicolor Bulb of the third generation; its API page names `mode`, which is `rgb` or `cct`.
    """

    blinks = False
    harmless = None

    def __init__(self, options: DriverOptions) -> None:
        refuse_others(options, "shelly_gen2", "transition", "channel", "component", "availability")
        component = options.component or "rgb"
        if component not in _METHODS:
            raise ValueError(f"component: write one of {', '.join(_METHODS)}, as the device or its profile is")
        topic = without(options.topic, "/rpc")
        if "/command" in topic:
            raise ValueError(f"topic: write the device's MQTT prefix alone, {topic.partition('/command')[0]}")
        self._topic = f"{topic}/rpc"
        self._method = _METHODS[component]
        self._channel = options.channel
        self._others_off = _OTHERS_OFF.get(component, {})
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
            **self._others_off,
            "transition_duration": self._transition,
        }
