"""What waits to be sent: the last value per topic, the most urgent first; and how fast it may go."""

from collections import OrderedDict, deque
from collections.abc import Callable

from bridge.domain.message import Message, Rank

MOST_MOMENTS = 1000
"""How many messages that are not retained may wait; the oldest go when there are more."""


class Outbox:
    """Retained messages, and those of which the newest counts, replace an earlier one; others wait in line.

    Whoever sends from it sets `on_put` to learn of new ones.
    """

    def __init__(self) -> None:
        self.in_step = False
        self.on_put: Callable[[], None] = lambda: None
        self._ranks: tuple[OrderedDict[str, Message], ...] = tuple(OrderedDict() for _ in Rank)
        self._moments: deque[Message] = deque(maxlen=MOST_MOMENTS)

    def __bool__(self) -> bool:
        return any(self._ranks) or bool(self._moments)

    def publish(self, message: Message) -> None:
        """Take `message`, unless the broker is still to get the whole truth: see Publisher."""
        if self.in_step:
            self.put(message)
            self.on_put()

    def put(self, message: Message) -> None:
        """Let `message` wait; a retained one takes the place of an older one for the same topic.

        What was to be said last, once all is true, is still said last when it has changed meanwhile.
        """
        if not message.retain and not message.newest:
            self._moments.append(message)
            return
        rank = Rank.HELLO if message.topic in self._ranks[Rank.HELLO] else message.rank
        for other, waiting in enumerate(self._ranks):
            if other != rank:
                waiting.pop(message.topic, None)
        self._ranks[rank][message.topic] = message

    def pop(self) -> Message | None:
        """The message to send next, moments right behind the states; None when nothing waits."""
        for rank, waiting in enumerate(self._ranks):
            if rank > Rank.STATE and self._moments:
                return self._moments.popleft()
            if waiting:
                return waiting.popitem(last=False)[1]
        return None

    def clear(self) -> None:
        """Forget everything: the connection it was meant for is gone."""
        self.in_step = False
        self._moments.clear()
        for waiting in self._ranks:
            waiting.clear()


class Allowance:
    """A token bucket: `burst` messages at once, then `rate` a second; a rate of 0 sets no limit."""

    def __init__(self, rate: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._monotonic = monotonic
        self._left = self._burst
        self._then = monotonic()

    def take(self) -> float:
        """Take one message's worth. 0 when it was granted, else the seconds after which to ask again."""
        if self._rate == 0:
            return 0.0
        if self._left < 1:
            now = self._monotonic()
            self._left = min(self._burst, self._left + (now - self._then) * self._rate)
            self._then = now
            if self._left < 1:
                return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0
