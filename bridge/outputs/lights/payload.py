"""Helpers that several drivers share: checks of options, parts of payloads, readers of availability."""

from collections.abc import Callable
from dataclasses import fields

from bridge.domain.light import Look, scaled
from bridge.outputs.lights.protocol import DriverOptions
from bridge.topics import json_object


def refuse_others(options: DriverOptions, driver: str, *used: str) -> None:
    """ValueError where an option is set that `driver` has no use for: to ignore it would hide a mistake."""
    unset = DriverOptions(options.topic)
    for name in (field.name for field in fields(options)):
        if name not in used and getattr(options, name) != getattr(unset, name):
            raise ValueError(f"{name}: has no effect with the driver {driver}, leave it out")


def without(topic: str, ending: str) -> str:
    """`topic` itself; ValueError where it already ends with what the driver adds."""
    if topic.endswith(ending):
        raise ValueError(f"topic: the driver adds {ending}, write {topic.removesuffix(ending)}")
    return topic


def effect_name(options: DriverOptions) -> str | None:
    """The name of the light's own effect; ValueError where it is the name for no effect."""
    if options.effect is not None and options.effect.strip().casefold() in {"", "none"}:
        raise ValueError("effect: write the name that the light has for an effect that blinks, or leave it out")
    return options.effect


def lit(look: Look, brightest: int) -> dict[str, object]:
    """ON in Home Assistant's JSON schema, which other makes use too; {} for a look that is off."""
    if look.color is None:
        return {}
    return {
        "state": "ON",
        "brightness": scaled(look.brightness, brightest),
        "color": {"r": look.color.red, "g": look.color.green, "b": look.color.blue},
    }


def number(seconds: float) -> float:
    """A duration as a JSON number: 2 rather than 2.0, rounded to milliseconds."""
    return int(seconds) if seconds == int(seconds) else round(seconds, 3)


def units(seconds: float, per_second: int, most: int) -> int:
    """A duration in whole units of which there are `per_second`, a half rounded up, at most `most`."""
    return min(most, int(seconds * per_second + 0.5))


def either(online: str, offline: str) -> Callable[[str], bool | None]:
    """A reader of an availability that is exactly one of two payloads."""
    payloads = {online: True, offline: False}
    return payloads.get


def online_or_true(payload: str) -> bool | None:
    """Reads the availability of any other make: `online`, `offline`, `true` or `false`, in any case."""
    return {"online": True, "true": True, "offline": False, "false": False}.get(payload.strip().casefold())


def text_or_json_state(payload: str) -> bool | None:
    """Reads `online` and `offline`, bare or as JSON: `{"state":"online"}`."""
    states = {"online": True, "offline": False}
    if payload in states:
        return states[payload]
    state = (json_object(payload) or {}).get("state")
    return states.get(state) if isinstance(state, str) else None
