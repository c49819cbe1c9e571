"""A Publisher that keeps what it is given."""

from bridge.domain.message import Message


class Wire:
    """In sync from the start."""

    in_sync = True

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def publish(self, message: Message) -> None:
        self.sent.append(message)
