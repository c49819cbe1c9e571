"""Limits how fast discovery of one device changes, and keeps devices deleted that a user has deleted."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator

from bridge.domain.message import Message
from bridge.ports import Publisher
from bridge.topics import Topics

_LONGEST_ECHO = 30.0
"""Seconds that our own clearing may take to come back. By MQTT 5 it does not come back at all."""

_MOST_DELETED = 100_000
"""Topics of deleted devices that are remembered."""

_logger = logging.getLogger(__name__)


class DiscoveryThrottle:
    """A Publisher in front of another: delays discovery that follows too soon, drops it for deleted devices.

    While Home Assistant sets up the components of one payload, it loses some of those that a second, different payload
    for the same device brings. So there are at least `interval` seconds between them, for groups, which change with
    their members, `group_interval`, and the last one wins. All other topics pass.
    """

    def __init__(
        self,
        publisher: Publisher,
        topics: Topics,
        monotonic: Callable[[], float],
        interval: float,
        group_interval: float,
    ) -> None:
        self._publisher = publisher
        self._topics = topics
        self._monotonic = monotonic
        self._interval = interval
        self._group_interval = group_interval
        self._sent: dict[str, tuple[float, int]] = {}
        """By topic: when the last payload was sent, and its hash, as 10,000 payloads would take some 30 MB."""
        self._waiting: dict[str, Message] = {}
        self._deleted: set[str] = set()
        self._own_clears: dict[str, float] = {}
        """When this bridge has cleared a topic: the broker may send that back, and it is no deletion by a user."""

    @property
    def in_sync(self) -> bool:
        """Whether the Publisher behind is in sync."""
        return self._publisher.in_sync

    def publish(self, message: Message) -> None:
        """Send it now, or once the interval is over; discovery of a deleted device is dropped."""
        topic = message.topic
        if not self._topics.is_discovery(topic):
            self._publisher.publish(message)
        elif topic not in self._deleted or not message.payload:  # a removal does no harm to a deleted device
            self._waiting[topic] = message
            self._send_if_due(topic)

    def tick(self) -> None:
        """Send what has waited long enough. To be called about once a second."""
        for topic in list(self._waiting):
            self._send_if_due(topic)

    def allowed(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Those of `messages` that are not for deleted devices."""
        return (message for message in messages if message.topic not in self._deleted)

    def passing(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Those of `messages` that may be sent right after a connect; the others wait for their interval.

        `messages` are everything that differs, so what waited before the connect is obsolete.
        """
        self._waiting.clear()
        self._own_clears.clear()
        for message in messages:
            if self._topics.is_discovery(message.topic) and self._is_too_soon(message):
                self._waiting[message.topic] = message
            else:
                self._note(message)
                yield message

    def received(self, topic: str, payload: bytes) -> None:
        """Take in a message of a discovery topic. Home Assistant deletes a device by clearing its topic."""
        if payload:
            if topic in self._sent and self._sent[topic][1] == hash(payload):
                # The echo of what was published after our own clearing, so that one's echo has come before, or never
                # will: the outbox keeps only the last message of a topic, and a broker may deny one.
                self._own_clears.pop(topic, None)
        elif self._monotonic() - self._own_clears.pop(topic, -math.inf) < _LONGEST_ECHO:
            return
        elif topic not in self._deleted and len(self._deleted) < _MOST_DELETED:
            self._deleted.add(topic)
            self._waiting.pop(topic, None)
            _logger.info(
                "discovery topic %s cleared by another client; not republished until restart, reload or refresh",
                ascii(topic),
                extra={"subject": topic},
            )

    def restore(self) -> frozenset[str]:
        """Let deleted devices be published again; returns their topics, for the caller to publish them."""
        deleted = frozenset(self._deleted)
        self._deleted.clear()
        return deleted

    def _send_if_due(self, topic: str) -> None:
        message = self._waiting[topic]
        if self._is_too_soon(message):
            return
        del self._waiting[topic]
        if self._publisher.in_sync:  # else the next connect publishes what differs
            self._note(message)
            self._publisher.publish(message)

    def _is_too_soon(self, message: Message) -> bool:
        """Whether a different payload was sent for this device within the interval. Removals never wait."""
        if not message.payload or message.topic not in self._sent:
            return False
        when, payload = self._sent[message.topic]
        interval = self._group_interval if self._topics.is_discovery_of_group(message.topic) else self._interval
        return hash(message.payload) != payload and self._monotonic() - when < interval

    def _note(self, message: Message) -> None:
        if self._topics.is_discovery(message.topic):
            self._sent[message.topic] = self._monotonic(), hash(message.payload)
            if not message.payload:
                self._own_clears[message.topic] = self._monotonic()
