"""Lights of any other make: what to send is written in the configuration.

A text may hold `$r`, `$g`, `$b` (0 to 255), `$hex` (`rrggbb`), `$brightness` (percent, 0 while off) and `$state` (the
word); `$$` is a dollar sign (Python's string.Template). A text without `$brightness` gets colours that are dimmed by
as much.
"""

import string
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bridge.domain.light import BLACK, LightWord, Look
from bridge.domain.model import State
from bridge.outputs.lights.payload import any_word, refuse_others
from bridge.outputs.lights.protocol import Availability, Command, DriverOptions

_NAMES = ("r", "g", "b", "hex", "brightness", "state")
_KNOWN = "$r, $g, $b, $hex, $brightness or $state"
_DEFAULT = "default"
_WORDS = (*State, LightWord.OFF, LightWord.OVERRIDE, _DEFAULT)


class Template:
    """`topic` is where the light listens; `payloads` go by word, then `off` for a look that is off, then `default`."""

    blinks = False

    def __init__(self, options: DriverOptions) -> None:
        refuse_others(options, "template", "availability", "payloads")
        self._topic = options.topic
        self._payloads = {word: _text(word, written) for word, written in options.payloads.items()}
        if _DEFAULT not in self._payloads:
            raise ValueError(f"payloads.{_DEFAULT}: is missing, write what to send where no other payload fits")
        self.topics = frozenset({self._topic})
        self.availability = None if options.availability is None else Availability(options.availability, any_word)

    def commands(self, look: Look, word: str) -> Iterable[Command]:
        """One message: the word's own, else the one for off, else the default."""
        fallback = self._payloads[_DEFAULT]
        if look.color is None:
            fallback = self._payloads.get(LightWord.OFF, fallback)
        text = self._payloads.get(word, fallback)
        if look.color is not None and "brightness" not in text.get_identifiers():
            look = replace(look, color=look.color.dimmed(look.brightness))
        yield Command(self._topic, text.substitute(_values(look, word)))


def _values(look: Look, word: str) -> Mapping[str, object]:
    color = look.color or BLACK
    return {
        "r": color.red,
        "g": color.green,
        "b": color.blue,
        "hex": color.hex.removeprefix("#"),
        "brightness": 0 if look.color is None else look.brightness,
        "state": word,
    }


def _text(word: str, written: str) -> string.Template:
    if word not in _WORDS:
        raise ValueError(f"payloads.{word}: is no state, write one of {', '.join(_WORDS)}")
    text = string.Template(written)
    if not text.is_valid():
        raise ValueError(f"payloads.{word}: a $ stands without a name after it, write $$ for a dollar sign")
    for name in text.get_identifiers():
        if name not in _NAMES:
            raise ValueError(f"payloads.{word}: ${name} is unknown, write {_KNOWN}, or $$ for a dollar sign")
    return text
