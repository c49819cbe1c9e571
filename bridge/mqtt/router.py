"""Passes incoming messages on: requests, commands, and whatever else a part of the bridge subscribes to."""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.domain.message import Message, Rank
from bridge.errors import BridgeError
from bridge.ports import Publisher
from bridge.topics import Topics, to_json

MAX_REQUEST = 4096
MAX_ANSWER = 900_000
"""Bytes: some brokers take no more than 1 MB in one message."""
LONGEST_ECHO = 30.0
"""Seconds that the clearing of a retained request may take to come back. A broker that denies the clearing sends none,
and then the next empty message is a request again, such as one for `refresh`."""

_NO_COMMANDS = (b"", b"null")
"""A client that clears a retained command; and our own empty message, as ioBroker's MQTT adapter publishes it again."""

Setter = Callable[[str, Mapping[str, object]], None]
"""Called with the DN or name that a command is for, and the command; refuses by raising BridgeError."""

Listener = Callable[[bytes, bool], None]
"""Called with a payload, and whether the broker had retained it."""

Operation = Callable[[Mapping[str, object]], object]
"""Carries out a request and returns the data to answer with, fit for JSON. Refuses by raising BridgeError."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandTopic:
    """Topics that take commands of one kind."""

    filters: tuple[str, ...]
    about: Callable[[str], str | None]
    """From a topic to the DN or name that it is for; None where it is no such topic."""
    set: Setter


class Router:
    """Knows the operations under `bridge/request/`, the command topics, and listeners by topic."""

    def __init__(
        self,
        topics: Topics,
        operations: Mapping[str, Operation],
        listeners: Mapping[str, Listener],
        publisher: Publisher,
        commands: Sequence[CommandTopic] = (),
        discovery: Callable[[str, bytes], None] = lambda _topic, _payload: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`discovery` is called with messages on our own discovery topics."""
        self._topics = topics
        self._operations = {topics.request(name): (name, operation) for name, operation in operations.items()}
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
            self._cleared[topic] = self._monotonic()
            self._publisher.publish(Message(topic, b"", Rank.BRIDGE))
        elif not payload and self._monotonic() - self._cleared.pop(topic, -math.inf) < LONGEST_ECHO:
            return  # our own clearing too: MQTT 3.1.1 cannot keep the retain flag
        if topic in self._operations:
            self._answer(*self._operations[topic], payload, retained=retained)
        elif self._is_command(topic):
            if payload not in _NO_COMMANDS:
                self._set(topic, payload, retained=retained)
        elif self._topics.is_discovery(topic):
            self._discovery(topic, payload)
        elif topic.startswith(self._topics.request("")):
            self._answer(topic.removeprefix(self._topics.request(""))[:40], self._unknown, payload, retained=retained)
        else:
            _logger.warning("no handler for topic %s", ascii(topic[:100]))

    def _asks(self, topic: str) -> bool:
        return topic.startswith(self._topics.request("")) or self._is_command(topic)

    def _is_command(self, topic: str) -> bool:
        return any(command.about(topic) is not None for command in self._commands)

    def _unknown(self, _request: Mapping[str, object]) -> object:
        known = ", ".join(name for name, _ in self._operations.values())
        raise BridgeError(f"there is no such request; known requests: {known}")

    def _set(self, topic: str, payload: bytes, *, retained: bool) -> None:
        try:
            request = _request(payload, retained=retained)
            for command in self._commands:
                if (about := command.about(topic)) is not None:
                    command.set(about, request)
        except BridgeError as error:
            _logger.warning("%s: %s", ascii(topic), error)
        if not retained:
            # Some clients publish the last message that they saw on every topic again when they start, as ioBroker's MQTT
            # adapter does. What they saw last is this one, and it does nothing.
            self._publisher.publish(Message(topic, b"", Rank.BRIDGE, retain=False))

    def _answer(self, name: str, operation: Operation, payload: bytes, *, retained: bool) -> None:
        answer: dict[str, object] = {"status": "ok", "data": None, "error": None, "transaction": None}
        try:
            request = _request(payload, retained=retained)
            answer["transaction"] = request.get("transaction")
            answer["data"] = operation(request)
        except BridgeError as error:
            _logger.warning("request %s: %s", ascii(name)[1:-1], error)
            answer |= {"status": "error", "error": str(error)}
        text = to_json(answer).encode("utf-8", "replace")
        if len(text) > MAX_ANSWER:
            answer |= {
                "status": "error",
                "data": None,
                "error": f"the answer is over {MAX_ANSWER} bytes: ask for a part",
            }
            text = to_json(answer).encode("utf-8", "replace")
        self._publisher.publish(Message(self._topics.response(name), text, Rank.BRIDGE, retain=False))


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity: Python reads them, but other clients could not parse an answer that repeats them."""
    raise ValueError(name)


def _finite(text: str) -> float:
    """The same for numbers that are too large."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _request(payload: bytes, *, retained: bool) -> Mapping[str, object]:
    if retained:
        raise BridgeError("a retained request is refused, as it would come again at every connect: do not retain it")
    if len(payload) > MAX_REQUEST:
        raise BridgeError(f"the request is over {MAX_REQUEST} bytes")
    if not payload.strip():
        return {}
    try:
        request = json.loads(payload, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise BridgeError("the request is not JSON") from None
    if not isinstance(request, dict):
        raise BridgeError("the request is not a JSON object")
    return request
