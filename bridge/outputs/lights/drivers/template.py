"""Lights of any other make: the configuration says what to send.

A payload may contain `$r`, `$g`, `$b` (0 to 255), `$hex` (`rrggbb`), `$brightness` (percent, 0 while off) and `$state`
(what the light shows); `$$` is a dollar sign (Python's string.Template). In a payload without `$brightness` the colour
itself is dimmed.
"""

import string
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bridge.domain.light import BLACK, LightWord, Look
from bridge.domain.model import State
from bridge.outputs.lights.payload import online_or_true, refuse_others
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions

_PLACEHOLDERS = ("r", "g", "b", "hex", "brightness", "state")
_KNOWN = "$r, $g, $b, $hex, $brightness or $state"
_DEFAULT = "default"
_KEYS = (*State, LightWord.OFF, LightWord.OVERRIDE, _DEFAULT)


class Template:
    """`topic` is the command topic. `payloads` are chosen by what the light shows, then `off`, then `default`."""

    blinks = False
    harmless = None

    def __init__(self, options: DriverOptions) -> None:
        refuse_others(options, "template", "availability", "payloads")
        self._topic = options.topic
        self._payloads = {key: _template(key, text) for key, text in options.payloads.items()}
        if _DEFAULT not in self._payloads:
            raise ValueError(f"payloads.{_DEFAULT}: is missing, add what to send where no other payload applies")
        self.topics = frozenset({self._topic})
        self.availability = None if options.availability is None else Availability(options.availability, online_or_true)

    def commands(self, look: Look, shows: str) -> Iterable[Command]:
        """One message: the payload for what is shown, else the one for off, else the default."""
        fallback = self._payloads[_DEFAULT]
        if look.color is None:
            fallback = self._payloads.get(LightWord.OFF, fallback)
        text = self._payloads.get(shows, fallback)
        if look.color is not None and "brightness" not in text.get_identifiers():
            look = replace(look, color=look.color.dimmed(look.brightness))
        yield Command(self._topic, text.substitute(_values(look, shows)))


def _values(look: Look, shows: str) -> Mapping[str, object]:
    color = look.color or BLACK
    return {
        "r": color.red,
        "g": color.green,
        "b": color.blue,
        "hex": color.hex.removeprefix("#"),
        "brightness": 0 if look.color is None else look.brightness,
        "state": shows,
    }


def _template(key: str, text: str) -> string.Template:
    if key not in _KEYS:
        raise ValueError(f"payloads.{key}: is no state, write one of {', '.join(_KEYS)}")
    template = string.Template(text)
    if not template.is_valid():
        raise ValueError(f"payloads.{key}: a $ has no name after it, write $$ for a dollar sign")
    for name in template.get_identifiers():
        if name not in _PLACEHOLDERS:
            raise ValueError(f"payloads.{key}: ${name} is unknown, write {_KNOWN}, or $$ for a dollar sign")
    return template
