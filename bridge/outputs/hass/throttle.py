"""What Home Assistant needs of the timing of discovery: a gate between the engine and the broker."""

import logging
from collections.abc import Callable, Iterable, Iterator

from bridge.domain.message import Message
from bridge.ports import Publisher
from bridge.topics import Topics

APART = 5.0
"""Seconds between two payloads for one device: while Home Assistant sets up the first, it loses parts of a second."""

_logger = logging.getLogger(__name__)


class DiscoveryThrottle:
    """A Publisher that holds back discovery which comes too soon, or for devices that were deleted by hand."""

    def __init__(self, publisher: Publisher, topics: Topics, monotonic: Callable[[], float]) -> None:
        self._publisher = publisher
        self._topics = topics
        self._monotonic = monotonic
        self._sent: dict[str, tuple[float, int]] = {}
        """When what was sent last, the payload as its hash."""
        self._waiting: dict[str, Message] = {}
        self._deleted: set[str] = set()
        self._own_clears: set[str] = set()
        """Topics that were cleared from here: the broker will echo that."""

    @property
    def in_step(self) -> bool:
        """As the broker's."""
        return self._publisher.in_step

    def publish(self, message: Message) -> None:
        """Send it now, or when the device has had its pause; not at all for a deleted device."""
        topic = message.topic
        if not self._topics.is_discovery(topic):
            self._publisher.publish(message)
        elif topic not in self._deleted or not message.payload:
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
        """Those that may go out now, right after a connect; they make up for what waited before."""
        self._waiting.clear()
        self._own_clears.clear()
        for message in messages:
            if self._topics.is_discovery(message.topic) and self._is_too_soon(message):
                self._waiting[message.topic] = message
            else:
                self._note(message)
                yield message

    def received(self, topic: str, payload: bytes) -> None:
        """Somebody else emptied a discovery topic: that is how Home Assistant deletes a device."""
        if payload:
            return
        if topic in self._own_clears:
            self._own_clears.discard(topic)
        elif topic not in self._deleted:
            self._deleted.add(topic)
            self._waiting.pop(topic, None)
            _logger.info(
                "%s was deleted by somebody: not announced again until a restart, reload or refresh", ascii(topic)
            )

    def restore(self) -> frozenset[str]:
        """Forget what was deleted; returns the topics."""
        deleted = frozenset(self._deleted)
        self._deleted.clear()
        return deleted

    def _send_if_due(self, topic: str) -> None:
        message = self._waiting[topic]
        if self._is_too_soon(message):
            return
        del self._waiting[topic]
        if self._publisher.in_step:
            self._note(message)
            self._publisher.publish(message)

    def _is_too_soon(self, message: Message) -> bool:
        """Whether this is something new for a device that was told something else a moment ago."""
        if not message.payload or message.topic not in self._sent:
            return False
        when, payload = self._sent[message.topic]
        return hash(message.payload) != payload and self._monotonic() - when < APART

    def _note(self, message: Message) -> None:
        if self._topics.is_discovery(message.topic):
            self._sent[message.topic] = self._monotonic(), hash(message.payload)
            if not message.payload:
                self._own_clears.add(message.topic)
