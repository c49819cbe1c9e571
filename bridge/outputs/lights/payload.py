"""What several drivers need to read their options, and to write and read payloads."""

from collections.abc import Callable
from dataclasses import fields

from bridge.domain.light import Look, scaled
from bridge.outputs.lights.protocol import DriverOptions
from bridge.topics import json_object


def refuse_others(options: DriverOptions, driver: str, *meant: str) -> None:
    """ValueError where an option is set that means nothing to `driver`: nobody should wonder why it does nothing."""
    unset = DriverOptions(options.topic)
    for name in (field.name for field in fields(options)):
        if name not in meant and getattr(options, name) != getattr(unset, name):
            raise ValueError(f"{name}: means nothing to the driver {driver}, leave it out")


def without(topic: str, ending: str) -> str:
    """The light's own topic; ValueError where it already ends with what the driver adds."""
    if topic.endswith(ending):
        raise ValueError(f"topic: leave {ending} out and write {topic.removesuffix(ending)}")
    return topic


def effect_name(options: DriverOptions) -> str | None:
    """The light's own effect; ValueError where the word could not be one."""
    if options.effect is not None and options.effect.strip().casefold() in {"", "none"}:
        raise ValueError("effect: write the name of an effect that blinks, as the light has it, or leave it out")
    return options.effect


def lit(look: Look, brightest: int) -> dict[str, object]:
    """ON as Home Assistant's JSON schema has it, which others took over; nothing for a look that is off."""
    if look.color is None:
        return {}
    return {
        "state": "ON",
        "brightness": scaled(look.brightness, brightest),
        "color": {"r": look.color.red, "g": look.color.green, "b": look.color.blue},
    }


def number(seconds: float) -> float:
    """As JSON shows it best: 2 rather than 2.0, no more than milliseconds."""
    return int(seconds) if seconds == int(seconds) else round(seconds, 3)


def units(seconds: float, per_second: int, most: int) -> int:
    """Whole units of time, a half rounded up, at most `most`."""
    return min(most, int(seconds * per_second + 0.5))


def either(online: str, offline: str) -> Callable[[str], bool | None]:
    """Reads an availability that is exactly one of two words."""
    words = {online: True, offline: False}
    return words.get


def any_word(payload: str) -> bool | None:
    """Reads the availability of a light of unknown make: `online`, `offline`, `true` or `false`, in any case."""
    return {"online": True, "true": True, "offline": False, "false": False}.get(payload.strip().casefold())


def word_or_state(payload: str) -> bool | None:
    """Reads `online` and `offline`, bare or as JSON: `{"state":"online"}`."""
    words = {"online": True, "offline": False}
    if payload in words:
        return words[payload]
    state = (json_object(payload) or {}).get("state")
    return words.get(state) if isinstance(state, str) else None
