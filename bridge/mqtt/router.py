"""Passes incoming messages on: requests, commands, and whatever else a part of the bridge subscribes to."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.domain.message import Message, Rank
from bridge.errors import BridgeError
from bridge.mqtt.answers import Answers, request_in
from bridge.ports import Publisher
from bridge.topics import Topics

LONGEST_ECHO = 30.0
"""Seconds that the clearing of a retained request may take to come back. A broker that denies the clearing sends none,
and then the next empty message is a request again, such as one for `refresh`."""

_MOST_CLEARED = 1000
"""Topics of which is remembered that they were cleared."""

_NO_COMMANDS = (b"", b"null")
"""A client that clears a retained command; and our own empty message, as ioBroker's MQTT adapter publishes it again."""

Setter = Callable[[str, Mapping[str, object]], object]
"""Called with the DN or name that a command is for, and the command; refuses by raising BridgeError."""

Listener = Callable[[bytes, bool], None]
"""Called with a payload, and whether the broker had retained it."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandTopic:
    """Topics that take commands of one kind."""

    filters: tuple[str, ...]
    about: Callable[[str], str | None]
    """From a topic to the DN or name that it is for; None where it is no such topic."""
    set: Setter


class Router:
    """Knows whom a topic is for: requests, commands, and listeners by topic."""

    def __init__(
        self,
        topics: Topics,
        answers: Answers,
        listeners: Mapping[str, Listener],
        publisher: Publisher,
        commands: Sequence[CommandTopic] = (),
        discovery: Callable[[str, bytes], None] = lambda _topic, _payload: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`discovery` is called with messages on our own discovery topics."""
        self._topics = topics
        self._answers = answers
        self._listeners = listeners
        self._publisher = publisher
        self._commands = commands
        self._discovery = discovery
        self._monotonic = monotonic
        self._cleared: dict[str, float] = {}
        """Topics of retained requests that were cleared, and when: the clearing comes back, and is no request."""

    @property
    def filters(self) -> tuple[str, ...]:
        """Topic filters to subscribe to."""
        return (self._topics.bridge_state, *self._listeners)

    @property
    def request_filters(self) -> tuple[str, ...]:
        """The same for requests and commands, which must not be retained."""
        return (self._topics.request("+"), *(each for command in self._commands for each in command.filters))

    def receive(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as Receive demands
        """Pass on one message. A retained request is refused, and cleared, or it would come again at every connect."""
        if topic in self._listeners:
            self._listeners[topic](payload, retained)
            return
        if retained and self._asks(topic):
            if not payload:
                self._cleared.pop(topic, None)
                return  # our own clearing
            if len(self._cleared) >= _MOST_CLEARED:
                self._cleared.pop(next(iter(self._cleared)))
            self._cleared[topic] = self._monotonic()
            self._publisher.publish(Message(topic, b"", Rank.BRIDGE))
        elif not payload and self._monotonic() - self._cleared.pop(topic, -math.inf) < LONGEST_ECHO:
            return  # our own clearing too: MQTT 3.1.1 cannot keep the retain flag
        if topic.startswith(asking := self._topics.request("")):
            self._answers.ask(topic.removeprefix(asking), payload, retained=retained)
        elif self._is_command(topic):
            if payload not in _NO_COMMANDS:
                self._set(topic, payload, retained=retained)
        elif self._topics.is_discovery(topic):
            self._discovery(topic, payload)
        else:
            _logger.warning("no handler for topic %s", ascii(topic[:100]), extra={"subject": topic})

    def _asks(self, topic: str) -> bool:
        return topic.startswith(self._topics.request("")) or self._is_command(topic)

    def _is_command(self, topic: str) -> bool:
        return any(command.about(topic) is not None for command in self._commands)

    def _set(self, topic: str, payload: bytes, *, retained: bool) -> None:
        try:
            request = request_in(payload, retained=retained)
            for command in self._commands:
                if (about := command.about(topic)) is not None:
                    command.set(about, request)
        except BridgeError as error:
            _logger.warning("%s: %s", ascii(topic), error, extra={"subject": topic})
            return
        # Some clients publish the last message that they saw on every topic again when they start, as ioBroker's MQTT
        # adapter does. What they saw last is this one, and it does nothing.
        self._publisher.publish(Message(topic, b"", Rank.DETAIL, retain=False, newest=True))
