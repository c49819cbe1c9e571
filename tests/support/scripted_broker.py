"""A broker for one client at a time that does what the test says: MQTT 5, just enough of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.support.limits import limit


@dataclass(frozen=True, slots=True)
class Published:
    """A PUBLISH or the will of the client; `packet` is 0 at QoS 0."""

    topic: str
    payload: bytes
    retain: bool
    packet: int


@dataclass(eq=False)
class ScriptedBroker:
    """Grants every subscription and acknowledges every publish, unless `acknowledges` says otherwise.

    Of what is published it returns, and retains, `bridge/check` alone.
    """

    announces: bytes = b""
    """Properties of CONNACK, as they are sent."""
    refuses: Callable[[int], int] = lambda _flags: 0
    """Reason code of CONNACK for these flags of CONNECT."""
    closes: Callable[[Published], bool] = lambda _published: False
    """Whether the connection is closed because of this publish."""
    acknowledges: Callable[[str], bool] = lambda _topic: True
    """Whether publishes to a topic are acknowledged at once; the others wait for `acknowledge`."""
    port: int = 0
    connects: int = 0
    published: list[Published] = field(default_factory=list)
    """On all connections, in order."""
    subscribed: list[tuple[str, int, bool]] = field(default_factory=list)
    """Topic filter, QoS, Retain As Published; in order."""
    _retained: Published | None = None
    _writer: asyncio.StreamWriter | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[None] | None] = field(default_factory=set)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is checked after every packet."""
        async with asyncio.timeout(limit(10)):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def payloads(self, topic: str) -> list[bytes]:
        """Everything published to `topic`, in order."""
        return [each.payload for each in self.published if each.topic == topic]

    def acknowledge(self, published: Published) -> None:
        """Send the PUBACK that was held back."""
        self._send(0x40, published.packet.to_bytes(2, "big"))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send a message at QoS 0."""
        self._send(0x31 if retain else 0x30, _text(topic.encode()) + b"\0" + payload)

    def drop(self) -> None:
        """Close the connection."""
        assert self._writer is not None
        self._writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._serving.add(asyncio.current_task())
        self._writer = writer
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await mqtt_packet(reader)
                self._take(kind, body)
                self._changed.set()
        writer.close()

    async def ended(self) -> None:
        """Wait until all connections are over."""
        async with asyncio.timeout(limit(10)):
            await asyncio.gather(*filter(None, self._serving))

    def _take(self, kind: int, body: bytes) -> None:
        packet = body[:2]
        match kind >> 4:
            case 1:
                self.connects += 1
                code = self.refuses(body[7])
                self._send(0x20, bytes([0, code, len(self.announces)]) + self.announces)
                if code:
                    self.drop()
            case 3:
                self._take_publish(kind, body)
            case 8:
                before = len(self.subscribed)
                self._send(0x90, packet + b"\0" + bytes(options & 3 for options in self._subscribe(body[3:])))
                for topic_filter, _, _ in self.subscribed[before:]:
                    if self._retained is not None and topic_filter in {self._retained.topic, "3cx/bridge/+"}:
                        self.publish(self._retained.topic, self._retained.payload, retain=True)
            case 10:
                self._send(0xB0, packet + b"\0\0")
            case 12:
                self._send(0xD0, b"")

    def _take_publish(self, kind: int, body: bytes) -> None:
        length = int.from_bytes(body[:2], "big")
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        packet = 0
        if kind & 6:
            packet, rest = int.from_bytes(rest[:2], "big"), rest[2:]
        message = Published(topic, rest[1:], bool(kind & 1), packet)
        if self.closes(message):
            raise ConnectionAbortedError
        self.published.append(message)
        if packet and self.acknowledges(topic):
            self.acknowledge(message)
        if topic.endswith("/bridge/check"):
            if message.retain:
                self._retained = message if message.payload else None
            self.publish(topic, message.payload)

    def _subscribe(self, filters: bytes) -> list[int]:
        found = []
        while filters:
            length = int.from_bytes(filters[:2], "big")
            options = filters[2 + length]
            self.subscribed.append((filters[2 : 2 + length].decode(), options & 3, bool(options & 8)))
            found.append(options)
            filters = filters[3 + length :]
        return found

    def _send(self, kind: int, body: bytes) -> None:
        assert self._writer is not None
        assert len(body) < 128, "one byte of length is enough for the tests"
        self._writer.write(bytes([kind, len(body)]) + body)


@asynccontextmanager
async def scripted(broker: ScriptedBroker) -> AsyncIterator[ScriptedBroker]:
    """Listen on a free loopback port for the length of the block."""
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        await broker.ended()


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


async def mqtt_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The first byte of the next packet, and all behind its length; IncompleteReadError where the connection ends."""
    kind = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return kind, await reader.readexactly(length)
