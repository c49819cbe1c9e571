"""Lights and groups behind Zigbee2MQTT.

Its device pages: `<topic>/set` takes `state`, `brightness` from 0 to 254, `color` and `transition` in seconds. Colours
go as r, g, b: with x, y some lights ignore pure red (Koenkk/zigbee2mqtt#6059, #13840). Either way Zigbee carries hue
and saturation alone, so that only `brightness` makes a light darker. OFF with a transition is a dimming to 0, which not
every member of a group can do (light_onoff_brightness in zigbee-herdsman-converters): without one it is a plain OFF.
"""

from collections.abc import Iterable

from bridge.domain.light import Look
from bridge.outputs.lights.payload import lit, number, refuse_others, text_or_json_state, without
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions
from bridge.topics import to_json

_BRIGHTEST = 254


class Zigbee2Mqtt:
    """`topic` is `zigbee2mqtt/<friendly name>`."""

    blinks = False
    """The effects `blink` and `breathe` end by themselves."""
    harmless = "{}"
    """Names nothing to change."""

    def __init__(self, options: DriverOptions) -> None:
        if options.effect is not None:
            raise ValueError(
                "effect: leave it out, Zigbee's effects end by themselves, so the bridge alternates bright and dim"
            )
        refuse_others(options, "zigbee2mqtt", "transition", "availability")
        topic = without(options.topic, "/set")
        if "/" not in topic.strip("/"):
            raise ValueError(f"topic: write zigbee2mqtt/{topic}: Zigbee2MQTT's base topic, and the friendly name")
        self._topic = f"{topic}/set"
        self._transition = number(options.transition)
        self.topics = frozenset({self._topic})
        self.availability = Availability(options.availability or f"{topic}/availability", text_or_json_state)
        """Published only where Zigbee2MQTT's own option `availability` is on; JSON since its version 2."""

    def commands(self, look: Look, _shows: str) -> Iterable[Command]:
        """One message."""
        yield Command(self._topic, to_json(self._message(look)))

    def _message(self, look: Look) -> dict[str, object]:
        if look.color is None:
            return {"state": "OFF", "transition": self._transition} if self._transition else {"state": "OFF"}
        return {**lit(look, _BRIGHTEST), "transition": self._transition}
