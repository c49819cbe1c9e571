"""A short visit to the broker, for commands that look, ask and go. It never disturbs a bridge that is running."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from bridge.domain.message import Message, Rank
from bridge.mqtt.connection import Connection, opened
from bridge.mqtt.settings import MqttSettings
from bridge.topics import Topics, to_json

_RETAINED = 1.0
"""Seconds within which a broker sends what it retains."""
_ECHO = 3.0
_ANSWER = 10.0

Wanted = Callable[[bytes, bool], bool]
"""Whether a payload, which was retained or not, is what is waited for."""


class Visit:
    """An open connection; what the broker does not let this login read looks as if nobody had said it."""

    def __init__(self, connection: Connection, heard: asyncio.Queue[tuple[str, bytes, bool]], topics: Topics) -> None:
        self._connection = connection
        self._heard = heard
        self._topics = topics

    async def retained(self, topic: str) -> bytes | None:
        """What the broker retains under `topic`, or None."""
        return await self._first(topic, lambda _, retained: retained, _RETAINED)

    async def echo(self, topic: str) -> bool:
        """Whether this login may both publish to `topic` and read it: brokers acknowledge even what they forbid."""
        token = secrets.token_hex(8).encode()
        return await self._first(topic, lambda payload, _: payload == token, _ECHO, (topic, token)) is not None

    async def ask(self, operation: str) -> dict[str, object] | None:
        """A running bridge's answer to a request, or None."""
        transaction = secrets.token_hex(8)
        request = (self._topics.request(operation), to_json({"transaction": transaction}).encode())
        answers = self._topics.response(operation)
        answer = await self._first(answers, lambda payload, _: transaction.encode() in payload, _ANSWER, request)
        return None if answer is None else dict(json.loads(answer))

    async def publish(self, messages: Iterable[Message]) -> None:
        """Publish and wait until the broker has all of them; BrokerError where the connection was lost."""
        for message in messages:
            self._connection.publish(message, qos=1)
        async with asyncio.timeout(_ANSWER):
            await self._connection.delivered()
        if self._connection.lost.done():
            raise self._connection.lost.result()

    async def _first(
        self, topic: str, wanted: Wanted, patience: float, publish: tuple[str, bytes] | None = None
    ) -> bytes | None:
        """Listen to `topic`, publish (topic, payload), and return the first payload that is wanted, or None."""
        await self._connection.subscribe([topic], qos=1)
        if publish is not None:
            self._connection.publish(Message(*publish, Rank.BRIDGE, retain=False), qos=1)
        try:
            async with asyncio.timeout(patience):
                while True:
                    name, payload, retained = await self._heard.get()
                    if name == topic and wanted(payload, retained):
                        return payload
        except TimeoutError:
            if self._connection.lost.done():
                raise self._connection.lost.result() from None
            return None
        finally:
            self._connection.unsubscribe([topic])


@asynccontextmanager
async def visiting(settings: MqttSettings, topics: Topics, command: str) -> AsyncIterator[Visit]:
    """Connect for the length of the block, with a client id of this command's own and no will; or raise BrokerError."""
    settings = replace(settings, client_id=f"{settings.client_id}-{command}-{os.getpid()}")
    heard: asyncio.Queue[tuple[str, bytes, bool]] = asyncio.Queue()

    def receive(topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as Receive demands
        heard.put_nowait((topic, payload, retained))

    connection = await opened(settings, receive)
    keepalive = asyncio.create_task(connection.tend(), name="mqtt-keepalive")
    try:
        yield Visit(connection, heard, topics)
    finally:
        keepalive.cancel()
        connection.close()
        await asyncio.wait({keepalive})
