"""From what the broker retains to what it should retain, on every connect."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from bridge.config import Config
from bridge.domain.message import Message
from bridge.engine.engine import Engine
from bridge.mqtt.retained import RetainedTopics
from bridge.mqtt.wanted import Wanted
from bridge.outputs.hass.throttle import DiscoveryThrottle
from bridge.outputs.lights.output import LightsOutput
from bridge.runtime.about import options_in_force
from bridge.runtime.requests import Requests

_YIELD_EVERY = 500
"""After so many messages that are recalled, other tasks get their turn."""

_logger = logging.getLogger(__name__)


class Synchronisation:
    """Adopts what an earlier run left on the broker, once, and finds what has to be published to correct it."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        lights: LightsOutput,
        throttle: DiscoveryThrottle,
        requests: Requests,
        wanted: Wanted,
    ) -> None:
        self._config = config
        self._engine = engine
        self._lights = lights
        self._throttle = throttle
        self._requests = requests
        self._wanted = wanted
        self.adopted = False
        """Whether this one has been at work."""
        self.last_known: Synchronisation | None = None
        """That of the last bridge of this process that was at work; None: none was, or it is not needed any more."""
        self._recalled: RetainedTopics | None = None
        self._inherited: tuple[Message, ...] = ()
        """Farewell messages of an earlier bridge, for lights that this one may not have."""

    def inherit(self, earlier: "Synchronisation") -> None:
        """Take over the farewell messages of the bridge that this one replaces, and what it knows."""
        self._inherited = earlier.farewell_messages()
        self.last_known = earlier if earlier.adopted else earlier.last_known

    async def recall(self) -> None:
        """Adopt at the next connect what the bridge before has published, as the broker has lost it."""
        if self.last_known is not None and not self.adopted:
            self._recalled = await self.last_known.published()

    async def published(self) -> RetainedTopics:
        """What a broker retains that was sent all that should be retained."""
        found = RetainedTopics(self._config.topics)
        for number, message in enumerate(chain(self._engine.snapshot(), self._lights.retained()), start=1):
            found.add(message.topic, message.payload)
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return found

    def farewell_messages(self) -> tuple[Message, ...]:
        """What the lights are sent when the bridge stops; before the first connect, those inherited."""
        return tuple(self._lights.farewell()) if self.adopted else self._inherited

    def synchronise(self, retained: RetainedTopics) -> Iterator[Message]:
        """The messages that lead from `retained` to what should be retained now.

        Other tasks may run between two messages. Each is as things are when its turn comes, and what changes later is
        published in the usual way.
        """
        self._warn_of_another_owner(retained.owner)
        # Once: after the first connect the engine knows more than what is retained.
        if not self.adopted:
            self.adopted = True
            past = self._recalled or retained
            same_options = past.options == options_in_force(self._config)
            self._engine.adopt(past.remembered(), same_options=same_options)
            self._lights.adopt(past.lights())
            self._recalled = self.last_known = None
        everything = chain(self._engine.snapshot(), self._requests.retained(), self._lights.retained())
        # Lights that this bridge drives too get no farewell message: their next command follows at once.
        kept = self._lights.topics
        farewell, self._inherited = [each for each in self._inherited if each.topic not in kept], ()
        yield from farewell
        yield from self._throttle.passing(retained.difference(self._noted(self._throttle.allowed(everything))))
        self._lights.on_change()  # they send once the session is in sync

    def _noted(self, messages: Iterable[Message]) -> Iterator[Message]:
        for message in messages:
            self._wanted.note(message)
            yield message

    def current(self, topics: Collection[str]) -> Iterator[Message]:
        """What should be retained now under these topics; nothing for those that should be empty."""
        numbers = {topic: self._config.topics.user_of(topic) for topic in topics}
        for dn in dict.fromkeys(dn for dn in numbers.values() if dn is not None):
            yield from self._of(topics, self._engine.of_user(dn))
        if None in numbers.values():
            yield from self._of(topics, self._engine.bridge_and_groups())
            yield from self._of(topics, self._requests.retained())
            yield from self._of(topics, self._lights.documents())

    def _of(self, topics: Collection[str], messages: Iterable[Message]) -> Iterator[Message]:
        return self._throttle.allowed(each for each in messages if each.topic in topics)

    def _warn_of_another_owner(self, owner: str | None) -> None:
        if owner in {None, self._config.pbx.name}:
            return
        _logger.error(
            "the topics under %s belong to the bridge of the PBX %r: give each bridge its own mqtt.base_topic "
            "(an earlier pbx.name of this bridge? '3cx2mqtt cleanup --pbx-name' clears its topics)",
            self._config.mqtt.base_topic,
            owner,
        )
