"""Lights with Tasmota.

Tasmota's Commands page and source (xdrv_04_light, ExecuteCommandPower in support_tasmota): `Backlog0` runs up to 30
commands without a pause; `Color1` sets colour and brightness in one, and white to 0; `Speed` is in half seconds for a
full fade, 1 to 40; `Power BLINK` toggles every `BlinkTime` tenths of a second until the next `Power ON` or `OFF`.
`BlinkCount 0` means 64000 toggles: just under nine hours at one blink a second, then the light is steady.
"""

import re
from collections.abc import Iterable

from bridge.domain.light import Look
from bridge.outputs.lights.payload import either, refuse_others, units
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions

_PREFIX = "%prefix%"
_SLOWEST = 40
_BLINK = ("BlinkTime 5", "BlinkCount 0")
_OWN_PREFIX = re.compile(r"/?(?:cmnd|stat|tele)/(?P<topic>[^/]+)")


class Tasmota:
    """`topic` is the device's Topic, or its FullTopic with `%prefix%` left in it and the rest filled in.

    `channel` is the number of the light's Power where the device has relays before it.
    """

    blinks = True
    harmless = "Power"
    """Asks for the state."""

    def __init__(self, options: DriverOptions) -> None:
        refuse_others(options, "tasmota", "transition", "channel", "availability")
        full_topic = _full_topic(options.topic)
        self._topic = f"{full_topic.replace(_PREFIX, 'cmnd')}/Backlog0"
        self._power = f"Power{options.channel or 1}"
        self._fade = _fade(options.transition)
        self.topics = frozenset({self._topic})
        self.availability = Availability(
            options.availability or f"{full_topic.replace(_PREFIX, 'tele')}/LWT", either("Online", "Offline")
        )

    def commands(self, look: Look, _shows: str) -> Iterable[Command]:
        """One Backlog0."""
        yield Command(self._topic, "; ".join(self._backlog(look)))

    def _backlog(self, look: Look) -> tuple[str, ...]:
        if look.color is None:
            return (*self._fade, f"{self._power} OFF")
        color = f"Color1 {look.color.dimmed(look.brightness).hex.removeprefix('#').upper()}"
        if look.blink:
            return ("Fade 0", *_BLINK, color, f"{self._power} BLINK")  # a fade would leave no time to be dark
        return (*self._fade, color, f"{self._power} ON")


def _full_topic(topic: str) -> str:
    if (found := _OWN_PREFIX.match(topic)) is not None:
        raise ValueError(
            f"topic: write the device's Topic alone, {found['topic']}: the driver adds cmnd/ and the command"
        )
    full_topic = topic if _PREFIX in topic else f"{_PREFIX}/{topic}"
    if full_topic.count(_PREFIX) > 1:
        raise ValueError(f"topic: write {_PREFIX} once, as in Tasmota's FullTopic")
    if "%" in full_topic.replace(_PREFIX, ""):
        raise ValueError(
            f"topic: replace %topic% by the device's Topic; of Tasmota's placeholders only {_PREFIX} may stay"
        )
    return full_topic


def _fade(transition: float) -> tuple[str, ...]:
    if not transition:
        return ("Fade 0",)
    return ("Fade 1", f"Speed {max(1, units(transition, 2, _SLOWEST))}")
