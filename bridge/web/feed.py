"""The stream of changes to the board's readers: numbered, rendered once for all, with a bounded buffer for each."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bridge.documents import encode
from bridge.topics import to_json

MOST_READERS = 500
"""Streams at a time. Each costs a socket and some 30 KB."""

MOST_WAITING = 512 * 1024
"""Bytes that may wait for one reader, who shares them with the others. Whoever reads more slowly is let go, and comes
back for a new snapshot."""

_MOST_KEPT = 2000
"""Changes that are kept for readers who were away for a moment."""
_MOST_KEPT_BYTES = 2 * 1024 * 1024
_KEPT_FOR = 300.0
"""Seconds after the last reader for which changes are kept; after that nothing is rendered until one comes."""


class Kind(StrEnum):
    """What a change is about."""

    USER = "user"
    CALL = "call"
    """An event of a user's call, which no snapshot holds."""
    GROUP = "group"
    QUEUE = "queue"
    LIGHT = "light"
    BRIDGE = "bridge"
    SOURCES = "sources"
    LOG = "log"
    """A warning or an error."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the board."""

    revision: int
    pbx: str
    kind: Kind
    key: str
    """Number or name; empty for what there is one of."""
    value: str
    """As JSON; `null` where it is gone."""


class Reader:
    """What waits to be sent to one stream."""

    def __init__(self, let_go: Callable[[], None]) -> None:
        """`let_go` ends the stream at once."""
        self.let_go = let_go
        self._frames: list[bytes] = []
        self._size = 0
        self._filled = asyncio.Event()

    def put(self, frame: bytes) -> None:
        """Add an event; a reader whose buffer is full is let go."""
        self._size += len(frame)
        if self._size > MOST_WAITING:
            self._frames.clear()
            self.let_go()
        else:
            self._frames.append(frame)
            self._filled.set()

    async def take(self) -> bytes:
        """All that waits, once something does."""
        await self._filled.wait()
        self._filled.clear()
        taken = b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        return taken


Filter = Callable[[Change], Iterator[Change]]
"""What a reader sees of a change: nothing, the change itself, or others that follow from it."""


class Feed:
    """Numbers the changes, keeps the last ones, and passes them on."""

    def __init__(self, instance: str, monotonic: Callable[[], float]) -> None:
        """`instance` names this feed, in 8 hexadecimal digits: another one counts anew."""
        self.instance = instance
        self._monotonic = monotonic
        self.revision = 0
        self._readers: dict[Reader, Filter | None] = {}
        self._kept: deque[tuple[int, bytes]] = deque()
        self._kept_bytes = 0
        self._kept_since = 0
        """All changes after this revision are kept."""
        self._wanted_until = float("-inf")

    @property
    def full(self) -> bool:
        """Whether no more readers are taken."""
        return len(self._readers) >= MOST_READERS

    @property
    def wanted(self) -> bool:
        """Whether somebody reads, or has read a moment ago and may come back."""
        return bool(self._readers) or self._monotonic() < self._wanted_until

    def add(self, reader: Reader, sees: Filter | None) -> None:
        """Pass changes on to the reader from now on; `sees` None: all of them."""
        if not self.wanted:
            self._forget()
        self._readers[reader] = sees

    def remove(self, reader: Reader) -> None:
        """The reader has gone."""
        self._readers.pop(reader, None)
        self._wanted_until = self._monotonic() + _KEPT_FOR

    def publish(self, pbx: str, kind: Kind, key: str, value: Callable[[], str]) -> None:
        """Something has changed; `value` renders it, and is called only where somebody may read it."""
        self.revision += 1
        if not self.wanted:
            return
        change = Change(self.revision, pbx, kind, key, value())
        frame = self.frame(change)
        self._keep(frame)
        for reader, sees in self._readers.items():
            if sees is None:
                reader.put(frame)
            else:
                for seen in sees(change):
                    reader.put(self.frame(seen))

    def beat(self, text: Callable[[Filter | None], str]) -> None:
        """Send a sign of life to all; `text` renders it for readers with the same filter, once."""
        frames: dict[Filter | None, bytes] = {}
        for reader, sees in self._readers.items():
            if sees not in frames:
                frames[sees] = event("beat", text(sees))
            reader.put(frames[sees])

    def since(self, last_event_id: str | None) -> bytes | None:
        """All changes after this `id:`; None where they are not kept, so that a snapshot is needed."""
        match = re.fullmatch(r"([0-9a-f]{8}):([0-9]{1,15})", last_event_id or "")
        if match is None or match[1] != self.instance:
            return None
        last = int(match[2])
        if not self.wanted or not self._kept_since <= last <= self.revision:
            return None
        return b"".join(frame for number, frame in self._kept if number > last)

    def start_over(self) -> None:
        """Let all readers go, to come back for a new snapshot: there are other boards now."""
        self.revision += 1
        self._forget()
        for reader in list(self._readers):
            reader.let_go()

    def frame(self, change: Change) -> bytes:
        """The change as an event of the stream."""
        head = to_json({"revision": change.revision, "pbx": change.pbx, "kind": change.kind, "key": change.key})
        return event("change", f'{head[:-1]},"value":{change.value}}}', self.id_of(change.revision))

    def id_of(self, revision: int) -> str:
        """The `id:` of an event."""
        return f"{self.instance}:{revision}"

    def _keep(self, frame: bytes) -> None:
        self._kept.append((self.revision, frame))
        self._kept_bytes += len(frame)
        while len(self._kept) > _MOST_KEPT or self._kept_bytes > _MOST_KEPT_BYTES:
            self._kept_since, dropped = self._kept.popleft()
            self._kept_bytes -= len(dropped)

    def _forget(self) -> None:
        """Start keeping changes; those until now were not rendered."""
        self._kept.clear()
        self._kept_bytes = 0
        self._kept_since = self.revision


def event(name: str, data: str, identity: str | None = None) -> bytes:
    """A server-sent event. JSON of our own holds no line break outside of strings, and none inside."""
    head = f"event: {name}\n" if identity is None else f"id: {identity}\nevent: {name}\n"
    return encode(f"{head}data: {data}\n\n")
