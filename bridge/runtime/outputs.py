"""The outputs that a configuration asks for; the lights' own needs more than the configuration and is not here."""

from bridge.config import Config
from bridge.domain.model import FactKind
from bridge.domain.presence import DEFAULT_PROFILES
from bridge.domain.privacy import CallerId
from bridge.outputs.hass.discovery import DiscoveryOutput
from bridge.outputs.state import StateOutput
from bridge.ports import Output
from bridge.runtime.about import about
from bridge.runtime.policy import publishes_monitor_rows


def states(config: Config, instance: str) -> Output:
    """The bridge's own topics. `instance` names this process."""
    return StateOutput(config.topics, about(config, instance), monitor=publishes_monitor_rows(config))


def discovery(config: Config) -> tuple[Output, ...]:
    """Home Assistant's discovery; nothing where it is switched off."""
    if not config.homeassistant.enabled:
        return ()
    output = DiscoveryOutput(
        config.topics,
        config.pbx.url,
        profiles=tuple(DEFAULT_PROFILES) if config.commands.profile else (),
        queue=config.commands.queue,
        monitor=publishes_monitor_rows(config),
        lights=[light.name for light in config.lights],
        system=_system_source(config),
        callers_in_clear=config.caller_id is CallerId.FULL,
    )
    return (output,)


def _system_source(config: Config) -> str | None:
    return next((each.name for each in config.source_descriptions if each.on and each.kind is FactKind.SYSTEM), None)
