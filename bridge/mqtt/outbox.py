"""Messages that wait to be sent: the last value per topic, the most urgent first; and how fast they may go."""

from collections import OrderedDict, deque
from collections.abc import Callable

from bridge.domain.message import Message, Rank
from bridge.mqtt.wanted import Wanted

MOST_EVENTS = 1000
"""How many call events may wait; the oldest are dropped when there are more."""
MOST_OTHERS = 20
"""The same for the non-retained messages of each other rank: answers, of up to 900 kB each, and lines of the log."""


class Outbox:
    """A new retained message replaces a waiting one for its topic, and so does one of which the newest counts.

    Other non-retained messages wait in a line for each rank. Its owner sets `on_put` to learn of new messages, and
    `on_drop` to learn of dropped ones; that is called with the length of the line.
    """

    def __init__(self) -> None:
        self.in_sync = False
        """Whether messages are taken."""
        self.complete = False
        """Whether everything that should be retained has been put since the connect."""
        self.wanted = Wanted()
        self.on_put: Callable[[], None] = lambda: None
        self.on_drop: Callable[[int], None] = lambda _waiting: None
        self._ranks: tuple[OrderedDict[str, Message], ...] = tuple(OrderedDict() for _ in Rank)
        self._lines: tuple[deque[Message], ...] = tuple(
            deque(maxlen=MOST_EVENTS if rank is Rank.STATE else MOST_OTHERS) for rank in Rank
        )

    def __bool__(self) -> bool:
        return any(self._ranks) or any(self._lines)

    def publish(self, message: Message) -> None:
        """Take `message`, unless everything will be published anyway once the broker is in sync: see Publisher."""
        if self.in_sync:
            self.put(message)
            self.on_put()

    def put(self, message: Message) -> None:
        """Let `message` wait; a retained one takes the place of an older one for the same topic.

        A topic that waits to be published last keeps that place when its value has changed meanwhile.
        """
        self.wanted.note(message)
        if not message.retain and not message.newest:
            line = self._lines[message.rank]
            if len(line) == line.maxlen:
                self.on_drop(len(line))
            line.append(message)
            return
        rank = Rank.ONLINE if message.topic in self._ranks[Rank.ONLINE] else message.rank
        for other, waiting in enumerate(self._ranks):
            if other != rank:
                waiting.pop(message.topic, None)
        self._ranks[rank][message.topic] = message

    def put_back(self, message: Message) -> None:
        """Let a message that was popped wait again, first of its rank, unless a newer one for its topic waits."""
        if self.in_sync and not any(message.topic in waiting for waiting in self._ranks):
            self._ranks[message.rank][message.topic] = message
            self._ranks[message.rank].move_to_end(message.topic, last=False)
            self.on_put()

    def pop(self) -> Message | None:
        """The message to send next, call events right behind the states; None when nothing waits."""
        for waiting, line in zip(self._ranks, self._lines, strict=True):
            if waiting:
                return waiting.popitem(last=False)[1]
            if line:
                return line.popleft()
        return None

    def pop_event(self) -> Message | None:
        """The call event to send next; None when none waits."""
        events = self._lines[Rank.STATE]
        return events.popleft() if events else None

    def clear(self) -> None:
        """Forget everything: the connection it was meant for is gone, and events are no news any more on the next."""
        self.in_sync = self.complete = False
        self.wanted.clear()
        for waiting, line in zip(self._ranks, self._lines, strict=True):
            waiting.clear()
            line.clear()
