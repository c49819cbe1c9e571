"""Messages received before the broker is in sync."""

from collections import deque
from collections.abc import Iterator

MOST_DEFERRED = 100
"""The oldest are dropped when there are more."""

Received = tuple[str, bytes, bool]
"""Topic, payload, and whether it was retained."""


class Deferred:
    """A bounded queue: until the broker is in sync nothing is published, so requests cannot be answered yet."""

    def __init__(self) -> None:
        self._messages: deque[Received] = deque(maxlen=MOST_DEFERRED)

    def add(self, message: Received) -> None:
        """Keep for later."""
        self._messages.append(message)

    def drain(self) -> Iterator[Received]:
        """Take all out, in the order in which they came."""
        while self._messages:
            yield self._messages.popleft()

    def clear(self) -> None:
        """Forget all: the connection is gone, and so are those who wait for an answer."""
        self._messages.clear()
