"""Messages received before the broker is in sync."""

from collections import deque
from collections.abc import Callable, Iterator

from bridge.mqtt.drops import DropReport
from bridge.statistics import Queue, Statistics

MOST_DEFERRED = 100
"""The oldest are dropped when there are more."""

Received = tuple[str, bytes, bool]
"""Topic, payload, and whether it was retained."""


class Deferred:
    """A bounded queue: until the broker is in sync nothing is published, so requests cannot be answered yet."""

    def __init__(self, drop_report: float, monotonic: Callable[[], float]) -> None:
        self._messages: deque[Received] = deque(maxlen=MOST_DEFERRED)
        self._drops = DropReport(Queue.RECEIVE, drop_report, monotonic)

    def add(self, message: Received, statistics: Statistics) -> None:
        """Keep for later; a drop is counted."""
        if len(self._messages) == MOST_DEFERRED:
            self._drops.dropped(statistics, MOST_DEFERRED)
        self._messages.append(message)

    def drain(self) -> Iterator[Received]:
        """Take all out, in the order in which they came."""
        while self._messages:
            yield self._messages.popleft()
        self._drops.drained()

    def clear(self) -> None:
        """Forget all: the connection is gone, so no client waits for an answer any more."""
        self._messages.clear()
        self._drops.drained()
