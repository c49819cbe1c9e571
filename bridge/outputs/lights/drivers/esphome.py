"""Lights of ESPHome over its own MQTT.

ESPHome's source (light_json_schema.cpp, light_call.cpp): `brightness` and `color` are whole numbers up to 255,
`transition` whole seconds; a fraction is not read. The effect `None` ends any other. A transition is ignored beside an
effect. An effect is ignored beside OFF, and the running one goes on, so OFF is sent without an effect. Of ESPHome's
effects `pulse` blinks in the colour that is set, `strobe` in colours of its own.
"""

from collections.abc import Iterable

from bridge.domain.light import MOST, Look
from bridge.outputs.lights.payload import effect_name, either, lit, refuse_others, units, without
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions
from bridge.topics import to_json

_LONGEST = 65535
_LIGHT = "/light/"


class EspHome:
    """`topic` is `<node>/light/<object id>`; `effect` is the name of the light's effect that blinks."""

    harmless = "{}"
    """Names nothing to change."""

    def __init__(self, options: DriverOptions) -> None:
        refuse_others(options, "esphome", "transition", "effect", "availability")
        topic = without(options.topic, "/command")
        node, _, _ = topic.rpartition(_LIGHT)
        status = options.availability or (f"{node}/status" if node else None)
        self._topic = f"{topic}/command"
        self._effect = effect_name(options)
        self._transition = units(options.transition, 1, _LONGEST)
        self.topics = frozenset({self._topic})
        self.blinks = self._effect is not None
        self.availability = None if status is None else Availability(status, either("online", "offline"))

    def commands(self, look: Look, _shows: str) -> Iterable[Command]:
        """One message."""
        yield Command(self._topic, to_json(self._message(look)))

    def _message(self, look: Look) -> dict[str, object]:
        if look.color is None:
            return {"state": "OFF", "transition": self._transition}
        message = lit(look, MOST)
        if look.blink and self._effect is not None:
            return {**message, "effect": self._effect}
        return {**message, "effect": "None", "transition": self._transition}
