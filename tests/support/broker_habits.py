"""A broker of other habits: between a client of MQTT 5 and Mosquitto, it changes when retained messages come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto

from tests.support.scripted_broker import mqtt_packet

_PUBLISH, _SUBSCRIBE = 3, 8
_RETAIN = 1
_NO_RETAINED = 0x20
"""Retain Handling 2 of a subscription: send nothing that is retained."""


class Habit(Enum):
    """What it does with retained messages."""

    WILDCARDS_NEVER = auto()
    """None for subscriptions with wildcards, as RabbitMQ."""
    NEVER = auto()
    """None at all."""
    LATE = auto()
    """Half a second behind everything else, as EMQX may."""


LATE = 0.5
"""Seconds."""


class Broker:
    """Listens on `port`."""

    def __init__(self, habit: Habit, behind: int) -> None:
        self._habit = habit
        self._behind = behind
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        directions = (self._to_broker(reader, upstream_writer), self._to_client(upstream_reader, writer))
        tasks = {asyncio.create_task(each) for each in directions}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)
        writer.close()
        upstream_writer.close()

    async def _to_broker(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await mqtt_packet(reader)
                if kind >> 4 == _SUBSCRIBE and self._habit is not Habit.LATE:
                    body = self._without_retained(body)
                writer.write(_whole(kind, body))

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await mqtt_packet(reader)
                if self._habit is Habit.LATE and kind >> 4 == _PUBLISH and kind & _RETAIN:
                    asyncio.get_running_loop().call_later(LATE, writer.write, _whole(kind, body))
                else:
                    writer.write(_whole(kind, body))

    def _without_retained(self, body: bytes) -> bytes:
        """A SUBSCRIBE whose filters ask for nothing retained: packet identifier, properties, filters with options."""
        start = 3 + body[2]
        changed, rest = body[:start], body[start:]
        while rest:
            end = 2 + int.from_bytes(rest[:2], "big")
            topic_filter, options = rest[2:end], rest[end]
            if self._habit is Habit.NEVER or b"+" in topic_filter or b"#" in topic_filter:
                options |= _NO_RETAINED
            changed += rest[:end] + bytes([options])
            rest = rest[end + 1 :]
        return changed


@asynccontextmanager
async def habitual(habit: Habit, behind: int) -> AsyncIterator[int]:
    """The port of a broker with this habit, in front of Mosquitto on the port `behind`."""
    broker = Broker(habit, behind)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def _whole(kind: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, byte = size >> 7, size & 127
        length += bytes([byte | (128 if size else 0)])
        if not size:
            return bytes([kind]) + length + body
