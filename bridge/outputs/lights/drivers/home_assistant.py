"""Lights that understand the JSON schema of Home Assistant's MQTT light.

Its documentation: `state`, `brightness` up to 255, `color` as r, g, b, `transition` in seconds, `effect` by name. It
does not define how an effect is ended: `None` is ESPHome's name for that, which uses this schema. Lights without
effects must not get one, so it is sent only where the option `effect` is set. OFF is sent without an effect: with one,
ESPHome would let it run on.
"""

from collections.abc import Iterable

from bridge.domain.light import MOST, Look
from bridge.outputs.lights.payload import effect_name, lit, number, online_or_true, refuse_others
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions
from bridge.topics import to_json

_NO_EFFECT = "None"


class HomeAssistant:
    """`topic` is the command topic itself; `effect` is the name of the light's effect that blinks."""

    harmless = None

    def __init__(self, options: DriverOptions) -> None:
        refuse_others(options, "home_assistant", "transition", "effect", "availability")
        self._topic = options.topic
        self._effect = effect_name(options)
        self._transition = number(options.transition)
        self.topics = frozenset({self._topic})
        self.blinks = self._effect is not None
        self.availability = None if options.availability is None else Availability(options.availability, online_or_true)

    def commands(self, look: Look, _shows: str) -> Iterable[Command]:
        """One message."""
        yield Command(self._topic, to_json(self._message(look)))

    def _message(self, look: Look) -> dict[str, object]:
        if look.color is None:
            return {"state": "OFF", "transition": self._transition}
        message = lit(look, MOST)
        if self._effect is None:
            return {**message, "transition": self._transition}
        if look.blink:
            return {**message, "effect": self._effect}
        return {**message, "effect": _NO_EFFECT, "transition": self._transition}
