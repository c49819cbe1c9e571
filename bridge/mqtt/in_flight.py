"""Publishes that the broker has not acknowledged yet."""

from bridge.domain.message import Message

_WINDOWS = (1000, 1000, 20)
"""Unacknowledged messages at a time by QoS, unless the broker announces a smaller Receive Maximum.

paho's default of 20 is too few to be fast at QoS 1. At QoS 2 Mosquitto drops a client that has more than 20 in flight
(its max_inflight_messages), announced or not.
"""


class InFlight:
    """The window of one connection. At QoS 0 nothing is ever in flight."""

    def __init__(self, qos: int) -> None:
        self._window = _WINDOWS[qos]
        self._messages: dict[int, Message] = {}
        """By packet identifier."""

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def has_room(self) -> bool:
        """Whether the window takes another message."""
        return len(self._messages) < self._window

    def narrow(self, receive_maximum: object) -> None:
        """The broker announced how many it takes; None where it did not."""
        if isinstance(receive_maximum, int) and receive_maximum > 0:
            self._window = min(self._window, receive_maximum)

    def add(self, packet: int, message: Message) -> None:
        """`message` was sent with this packet identifier."""
        self._messages[packet] = message

    def acknowledged(self, packet: int) -> Message | None:
        """The broker has acknowledged this packet; gives what it was, None where it was unknown."""
        return self._messages.pop(packet, None)

    @property
    def messages(self) -> list[Message]:
        """All of them, the first sent first."""
        return list(self._messages.values())

    def awaits(self, topic: str) -> bool:
        """Whether something published to `topic` is in flight."""
        return any(message.topic == topic for message in self._messages.values())
