"""A short visit to the broker, for commands that look, ask and go. It never disturbs a bridge that is running."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from bridge.domain.message import Message, Rank
from bridge.errors import EXIT_UNREACHABLE, BridgeError, BrokerAuthError, BrokerUnavailable
from bridge.mqtt.connection import Connection, opened
from bridge.mqtt.retained import signature
from bridge.mqtt.settings import MqttSettings
from bridge.topics import Topics, json_object, to_json

_ECHO = 3.0
"""Seconds that a broker may take to send a message back to whoever published it."""
_ANSWER = 10.0

Heard = tuple[str, bytes, bool]
"""Topic, payload, and whether it was retained."""


class NoAnswer(BridgeError):
    """A bridge says that it is online, and gives no answer that makes sense."""

    exit_code = EXIT_UNREACHABLE


class Silence(NoAnswer):
    """It gives none at all."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a look around showed."""

    online: bool
    """Whether a bridge says that it is running."""
    owner: str | None
    """The `pbx.name` that has signed the topics under the base topic."""
    config: Mapping[str, object]
    """What the bridge that has signed them was configured with, secrets left out."""
    clear: bool
    """Whether this login may publish and read there; if not, a bridge may be running unseen."""


class OneshotClient:
    """An open connection."""

    def __init__(self, connection: Connection, heard: asyncio.Queue[Heard], topics: Topics) -> None:
        self._connection = connection
        self._heard = heard
        self._topics = topics

    async def look(self) -> ProbeResult:
        """Who is here. Brokers send what is retained ahead of the echo of a message to ourselves."""
        topics = self._topics
        found, clear = await self._echoed(topics.bridge_check, topics.bridge_state, topics.bridge_info)
        retained = dict(found)
        online = retained.get(topics.bridge_state) == b"online"
        return ProbeResult(online, *signature(retained.get(topics.bridge_info, b"")), clear)

    async def retained(self, topic: str) -> bytes | None:
        """What the broker retains under `topic`, or None."""
        return dict(await self.retained_under([topic])).get(topic)

    async def retained_under(self, filters: Sequence[str]) -> list[tuple[str, bytes]]:
        """Everything that the broker retains under these topic filters."""
        return (await self._echoed(self._topics.bridge_check, *filters))[0]

    async def echo(self, topic: str) -> bool:
        """Whether this login may both publish to `topic` and read it: brokers acknowledge even what they forbid."""
        return (await self._echoed(topic))[1]

    async def ask(self, operation: str, **request: object) -> object:
        """The data that a running bridge answers with; NoAnswer where it refuses or is silent."""
        transaction = secrets.token_hex(8)
        topic = self._topics.request(operation)
        message = (topic, to_json({**request, "transaction": transaction}).encode())
        filters = (self._topics.response(operation),)
        heard, answered = await self._gather(filters, message, lambda each: transaction.encode() in each[1], _ANSWER)
        if not answered:
            raise Silence(f"nobody answers {topic}: is the bridge hanging, or may this login not read its answers?")
        return _data(heard[-1][1])

    async def publish(self, messages: Iterable[Message]) -> None:
        """Publish and wait until the broker has all; BrokerError where the connection or a right is missing."""
        self._connection.forget_denied(retained=False)
        try:
            for message in messages:
                async with asyncio.timeout(_ANSWER):
                    await self._connection.room()
                self._connection.publish(message, qos=1)
            async with asyncio.timeout(_ANSWER):
                await self._connection.delivered()
        except TimeoutError:
            raise BrokerUnavailable(f"the MQTT broker did not answer within {_ANSWER:g} s") from None
        if self._connection.lost.done():
            raise self._connection.lost.result()
        if (denial := self._connection.denial) is not None:
            raise BrokerAuthError(denial)

    async def _echoed(self, topic: str, *filters: str) -> tuple[list[tuple[str, bytes]], bool]:
        """What is retained under the filters, and whether a message to `topic` came back."""
        token = secrets.token_hex(8).encode()
        heard, came = await self._gather((topic, *filters), (topic, token), lambda each: each[1] == token, _ECHO)
        return [(name, payload) for name, payload, retained in heard if retained], came

    async def _gather(
        self, filters: Sequence[str], publish: tuple[str, bytes], last: Callable[[Heard], bool], patience: float
    ) -> tuple[list[Heard], bool]:
        """Subscribe, publish (topic, payload), and collect what comes until the last one; and whether that came.

        `patience` is how many seconds nothing may come. At QoS 0, as brokers drop what is retained in a burst else.
        """
        await self._connection.subscribe(filters, qos=0)
        self._connection.publish(Message(*publish, Rank.BRIDGE, retain=False), qos=1)
        heard: list[Heard] = []
        try:
            while not heard or not last(heard[-1]):
                async with asyncio.timeout(patience):
                    heard.append(await self._heard.get())
        except TimeoutError:
            if self._connection.lost.done():
                raise self._connection.lost.result() from None
            return heard, False
        else:
            return heard, True
        finally:
            self._connection.unsubscribe(filters)


@asynccontextmanager
async def visiting(settings: MqttSettings, topics: Topics, command: str) -> AsyncIterator[OneshotClient]:
    """Connect for the length of the block, with a client id of this command's own and no will; or raise BrokerError.

    At QoS 1 whatever the bridge publishes with: a visitor leaves once the broker has acknowledged all.
    """
    settings = replace(settings, client_id=f"{settings.client_id}-{command}-{os.getpid()}", qos=1)
    heard: asyncio.Queue[Heard] = asyncio.Queue()

    def receive(topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as Receive demands
        heard.put_nowait((topic, payload, retained))

    connection = await opened(settings, receive)
    keepalive = asyncio.create_task(connection.tend(), name="mqtt-keepalive")
    try:
        yield OneshotClient(connection, heard, topics)
    finally:
        keepalive.cancel()
        connection.close()
        await asyncio.wait({keepalive})


def _data(payload: bytes) -> object:
    match json_object(payload):
        case {"status": "ok", "data": data}:
            return data
        case {"status": "error", "error": str(error)}:
            raise NoAnswer(f"the bridge that is running answers: {error}")
        case _:
            raise NoAnswer("the bridge that is running gives an answer that makes no sense: is it of another version?")
