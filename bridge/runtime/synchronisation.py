"""From what the broker retains to what it should retain, on every connect."""

import logging
from collections.abc import Iterable

from bridge.config import Config
from bridge.domain.message import Message
from bridge.engine.engine import Engine
from bridge.mqtt.retained import RetainedTopics
from bridge.outputs.hass.throttle import DiscoveryThrottle
from bridge.outputs.lights.output import LightsOutput
from bridge.runtime.about import options_in_force
from bridge.runtime.requests import Requests

_logger = logging.getLogger(__name__)


class Synchronisation:
    """Adopts what an earlier run left on the broker, once, and finds what has to be published to correct it."""

    def __init__(
        self, config: Config, engine: Engine, lights: LightsOutput, throttle: DiscoveryThrottle, requests: Requests
    ) -> None:
        self._config = config
        self._engine = engine
        self._lights = lights
        self._throttle = throttle
        self._requests = requests
        self._adopted = False
        self._inherited: tuple[Message, ...] = ()
        """Farewell messages of an earlier bridge, for lights that this one may not have."""

    def inherit(self, farewell: Iterable[Message]) -> None:
        """Take over the farewell messages of the bridge that this one replaces."""
        self._inherited = tuple(farewell)

    def farewell_messages(self) -> tuple[Message, ...]:
        """What the lights are sent when the bridge stops; before the first connect, those inherited."""
        return tuple(self._lights.farewell()) if self._adopted else self._inherited

    def synchronise(self, retained: RetainedTopics) -> Iterable[Message]:
        """The messages that lead from `retained` to what should be retained now."""
        self._warn_of_another_owner(retained.owner)
        # Once: after the first connect the engine knows more than what is retained.
        if not self._adopted:
            self._adopted = True
            same_options = retained.options == options_in_force(self._config)
            self._engine.adopt(retained.remembered(), same_options=same_options)
            self._lights.adopt(retained.lights())
        wanted = (*self._engine.snapshot(), *self._requests.retained(), *self._lights.retained())
        # Lights that this bridge drives too get no farewell message: their next command follows at once.
        kept = self._lights.topics
        farewell, self._inherited = [each for each in self._inherited if each.topic not in kept], ()
        return [*farewell, *self._throttle.passing(retained.difference(self._throttle.allowed(wanted)))]

    def _warn_of_another_owner(self, owner: str | None) -> None:
        if owner in {None, self._config.pbx.name}:
            return
        _logger.error(
            "the topics under %s belong to the bridge of the PBX %r: give each bridge its own mqtt.base_topic "
            "(an earlier pbx.name of this bridge? '3cx2mqtt cleanup --pbx-name' clears its topics)",
            self._config.mqtt.base_topic,
            owner,
        )
