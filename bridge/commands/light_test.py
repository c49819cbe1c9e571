"""The command `light-test`: shows every look of one light's palette in turn."""

import argparse
import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from bridge.commands import arguments, running_bridge
from bridge.config import Config
from bridge.domain.clock import Clock, unix_seconds
from bridge.domain.light import Look
from bridge.domain.message import Message, Rank
from bridge.errors import BridgeError, BrokerAuthError
from bridge.mqtt.oneshot_client import OneshotClient, oneshot_client
from bridge.outputs.lights.light import Light
from bridge.outputs.lights.output import as_message
from bridge.outputs.lights.settings import KEEP, LightSettings
from bridge.topics import Topics, json_object, to_json

_MARGIN = 5.0
"""Seconds that an override outlasts its turn; it ends by itself if this command is killed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    parser.add_argument("name", metavar="NAME", help="as in lights:")


def main(options: argparse.Namespace) -> int:
    """Show the palette, and print each state and its look as it is shown."""
    settings = arguments.load_configuration(options)
    asyncio.run(light_test(settings, options.name, lambda line: print(line, flush=True)))
    return 0


async def light_test(config: Config, name: str, report: Callable[[str], None], seconds: float = 2.0) -> None:
    """Show each look for `seconds`; `report` gets a line for each.

    Where a bridge is running it does so, by overrides that end by themselves: two that publish to one light would
    fight. BridgeError where there is no such light, where it is paused, or where a bridge may be running unseen.
    """
    light = next((light for light in config.lights if light.name == name), None)
    if light is None:
        names = ", ".join(light.name for light in config.lights)
        raise BridgeError(f"there is no light {name!r} in lights: there are {names or 'none'}")
    async with oneshot_client(config.mqtt, config.topics, "light-test") as client:
        result = await client.probe()
        if not result.clear:
            raise BridgeError(f"this login may not read {config.topics.base}/bridge/#: a bridge may be running unseen")
        if result.online:
            await _show_by_override(client, config.topics, light, report, seconds)
        else:
            await _show(client, Light(replace(light, hours=None, after_call=0.0)), report, seconds)


async def _show_by_override(
    client: OneshotClient, topics: Topics, light: LightSettings, report: Callable[[str], None], seconds: float
) -> None:
    """Respects a pause, and restores the override that was there before."""
    topic = topics.light_set(light.name)
    found = await client.retained(topics.light_state(light.name))
    if found is None:
        raise BridgeError(
            f"the running bridge does not know the light {light.name!r}: reload or restart it first (or may "
            f"this login not read {topics.light_state(light.name)}?)"
        )
    document = json_object(found) or {}
    if document.get("paused"):
        raise BridgeError(f"the light {light.name!r} is paused: end that first")
    try:
        for state, look in light.looks.items():
            if look is None:
                report(f"{state:<15} {KEEP}")
                continue
            report(f"{state:<15} {look}")
            await client.publish([_override(topic, _options_of(look, seconds + _MARGIN))])
            await asyncio.sleep(seconds)
    finally:
        await client.publish([_override(topic, _request_for(document.get("override")))])
    if denied := light.driver.topics & await running_bridge.denied_topics(client):
        raise BrokerAuthError(
            f"the broker does not let the running bridge publish to {', '.join(sorted(denied))}, so the light has "
            "shown nothing of this: allow it in the broker's access list (docs/mosquitto.acl)"
        )
    if not client.hears_denials:
        report("This broker does not say what it denies: if the light has shown nothing, look into its access list.")


def _override(topic: str, options: Mapping[str, object] | None) -> Message:
    return Message(topic, to_json({"override": options}).encode(), Rank.STATE, retain=False)


def _options_of(look: Look, seconds: float) -> dict[str, object]:
    if look.color is None:
        return {"color": "off", "for": seconds}
    return {"color": look.color.hex, "brightness": look.brightness, "blink": look.blink, "for": seconds}


def _request_for(published: object) -> dict[str, object] | None:
    """The request that restores a published override for its remaining time; None where there was none."""
    match published:
        case {"color": color, "blink": blink, "brightness": brightness, "until": until}:
            options: dict[str, object] = {"color": color or "off", "blink": blink}
            if color:
                options["brightness"] = brightness
            if until is not None:
                with suppress(ValueError):
                    options["for"] = max(1, round(unix_seconds(str(until)) - Clock().wall()))
            return options
    return None


async def _show(client: OneshotClient, light: Light, report: Callable[[str], None], seconds: float) -> None:
    """Publish to the light as the bridge itself would."""
    clock = Clock()
    for state, look in light.settings.looks.items():
        report(f"{state:<15} {KEEP if look is None else look}")
        end = clock.monotonic() + seconds
        light.follow(light.name, state, clock.monotonic())
        while (now := clock.monotonic()) < end:
            shown = light.shown(now, clock.wall())
            await client.publish(map(as_message, light.due(shown, now)))
            await asyncio.sleep(max(0.0, min(light.next_time(shown, now), end) - now))
