"""Publishes that the broker denies: which they are, and when they are sent again."""

import asyncio
import logging
import random
from collections.abc import Callable

from bridge.aio import Backoff, wait_for
from bridge.domain.message import Message
from bridge.mqtt.failures import BrokerFailures
from bridge.mqtt.timing import MqttTiming

_logger = logging.getLogger(__name__)


class DeniedPublishes:
    """What the broker has denied on one connection, the last message of each topic.

    MQTT 5 alone reports denials, and not at QoS 0: older brokers acknowledge what they drop.
    """

    def __init__(self, failures: BrokerFailures) -> None:
        self._failures = failures
        self._by_topic: dict[str, tuple[Message, str]] = {}
        self.more = asyncio.Event()
        """Set when the broker denies a publish."""

    @property
    def description(self) -> str | None:
        """What the broker denies and what to do about it, for people; None where nothing is denied."""
        for topic, (_, reason) in self._by_topic.items():
            return self._failures.denied(topic, len(self._by_topic) - 1, reason)
        return None

    @property
    def topics(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._by_topic)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The last message of each."""
        return tuple(message for message, _ in self._by_topic.values())

    def add(self, message: Message, reason: str) -> None:
        """The broker denied `message`; `reason` is its reason code in words."""
        self._by_topic[message.topic] = (message, reason)
        self.more.set()

    def allowed(self, topic: str) -> None:
        """The broker accepted a publish to `topic`."""
        self._by_topic.pop(topic, None)

    def forget(self) -> None:
        """Everything will be published again."""
        self.more.clear()
        self._by_topic.clear()

    def forget_retained(self) -> frozenset[str]:
        """Everything retained will be published again; gives the topics of the rest."""
        self.more.clear()
        self._by_topic = {topic: denied for topic, denied in self._by_topic.items() if not denied[0].retain}
        return frozenset(self._by_topic)


class DenialRetry:
    """Sends denied publishes again now and then: rights may be granted while the connection stands.

    Mosquitto reads a changed access list on SIGHUP without closing connections.
    """

    def __init__(self, timing: MqttTiming, rng: random.Random) -> None:
        self._timing = timing
        self._rng = rng
        self._reported = False
        self._reloaded = asyncio.Event()

    def note_reload(self) -> None:
        """Another application publishes everything of its own, on the same connection."""
        self._reloaded.set()

    async def run(self, denied: DeniedPublishes, retry: Callable[[frozenset[str]], None]) -> None:
        """For one connection, until cancelled. `retry` is given the topics of denied non-retained messages."""
        pauses = Backoff(*self._timing.denied_retry, self._rng)
        while True:
            if await wait_for(denied.more, self._timing.all_allowed):
                self._report(denied)
                self._reloaded.clear()
                if await wait_for(self._reloaded, pauses.next()):
                    denied.forget()
                else:
                    retry(denied.forget_retained())
            elif denied.description is not None:
                # what is left is not retained: only the application can send it again, so ask for that once more
                denied.more.set()
            else:
                self._report_end()
                pauses.reset()
                await denied.more.wait()

    def _report(self, denied: DeniedPublishes) -> None:
        if not self._reported:
            self._reported = True
            _logger.error("%s", denied.description)

    def _report_end(self) -> None:
        if self._reported:
            self._reported = False
            _logger.info("the broker allows every publish now")
