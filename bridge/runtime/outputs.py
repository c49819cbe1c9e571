"""The outputs that a configuration asks for; the lights' own needs more than the configuration and is not here."""

from collections.abc import Mapping

from bridge.config import Config
from bridge.domain.model import FactKind
from bridge.domain.presence import DEFAULT_PROFILES
from bridge.domain.privacy import CallerId
from bridge.outputs.hass.discovery import DiscoveryOutput, Features
from bridge.outputs.state import StateOutput
from bridge.ports import Output
from bridge.runtime.policy import publishes_monitor_rows


def states(config: Config, about: Mapping[str, object]) -> Output:
    """The bridge's own topics; `about` is part of `bridge/info`."""
    return StateOutput(config.topics, about, monitor=publishes_monitor_rows(config))


def discovery(config: Config) -> tuple[Output, ...]:
    """Home Assistant's discovery; nothing where it is switched off."""
    if not config.homeassistant.enabled:
        return ()
    on = [each for each in config.source_descriptions if each.on]
    features = Features(
        profiles=tuple(DEFAULT_PROFILES) if config.commands.profile else (),
        queue=config.commands.queue,
        monitor=next((each.name for each in on if each.monitor_rows), None),
        system=next((each.name for each in on if each.kind is FactKind.SYSTEM), None),
        lights={light.name: light.driver.availability is not None for light in config.lights},
        callers_in_clear=config.caller_id is CallerId.FULL,
        language=config.homeassistant.language,
    )
    return (DiscoveryOutput(config.topics, config.pbx.url, features),)
