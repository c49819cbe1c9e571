"""A short connection to the broker, for one-shot commands. It never disturbs a bridge that is running."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from bridge.domain.message import Message, Rank
from bridge.errors import EXIT_UNREACHABLE, BridgeError, BrokerAuthError, BrokerUnavailable
from bridge.mqtt.connection import Connection
from bridge.mqtt.limits import BrokerLimits
from bridge.mqtt.opening import opened
from bridge.mqtt.read_back import ReadBack, Reading
from bridge.mqtt.retained import RetainedTopics, signature
from bridge.mqtt.settings import MqttSettings
from bridge.mqtt.timing import USUAL, MqttTiming
from bridge.topics import Topics, json_object, to_json

_MOST_RECEIVED = 10_000
"""Messages that may wait. They are taken out as fast as they come, so more means that something is badly wrong."""

_LONGEST_READ_BACK = 60.0
"""Seconds for all that others may have left under the own topics: nobody waits for a bridge meanwhile."""

Received = tuple[str, bytes, bool]
"""Topic, payload, and whether it was retained."""


class NoAnswer(BridgeError):
    """A bridge is online, and its answer is an error or makes no sense."""

    exit_code = EXIT_UNREACHABLE


class NoReply(NoAnswer):
    """A bridge is online, and gives no answer at all."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Result of probing the broker for a running bridge."""

    online: bool
    """Whether `bridge/state` is `online`."""
    owner: str | None
    """The `pbx.name` in `bridge/info`, which owns the topics under the base topic."""
    config: Mapping[str, object]
    """The configuration in `bridge/info`, without secrets."""
    clear: bool
    """Whether this login may publish and read there; if not, a bridge may be running unseen."""


class Inbox:
    """Messages received and not yet looked at. When it overflows, results would be wrong, so taking one raises then."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Received] = asyncio.Queue(_MOST_RECEIVED)
        self._overflowed = False
        self.read_back: ReadBack | None = None
        """While it collects what is retained, it is offered every message first."""

    def put(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as Receive demands
        """Take a message in."""
        if self.read_back is not None and self.read_back.receive(topic, payload, retained=retained):
            return
        try:
            self._messages.put_nowait((topic, payload, retained))
        except asyncio.QueueFull:
            self._overflowed = True

    async def get(self) -> Received:
        """The next message; BrokerUnavailable where some were lost."""
        if self._overflowed:
            raise BrokerUnavailable(f"the MQTT broker sent more than {_MOST_RECEIVED} messages at once: try again")
        return await self._messages.get()

    def clear(self) -> None:
        """Forget what belongs to an earlier question."""
        self._overflowed = False
        while not self._messages.empty():
            self._messages.get_nowait()


class OneshotClient:
    """An open connection of a one-shot command."""

    def __init__(self, connection: Connection, inbox: Inbox, topics: Topics, timing: MqttTiming) -> None:
        self._connection = connection
        self._inbox = inbox
        self._topics = topics
        self._timing = timing

    async def probe(self) -> ProbeResult:
        """Find out whether a bridge runs here: brokers send retained messages ahead of the echo of our own."""
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

    async def read_back(self, own: Sequence[str], signatures: Sequence[str] = ()) -> tuple[RetainedTopics, Reading]:
        """What is retained under our `own` topic filters and under `signatures`, and whether that is all there is.

        With no filters it is tried whether what a broker retains can be read.
        """
        timing = replace(self._timing, longest_read_back=_LONGEST_READ_BACK)
        self._inbox.read_back = read_back = ReadBack(self._topics, timing, own)
        try:
            reading = await read_back.read(self._connection, signatures, keep=())
        finally:
            self._inbox.read_back = None
        if own:
            self._connection.unsubscribe(own)
        if self._connection.lost.done():
            raise self._connection.lost.result()
        return read_back.retained, reading

    async def echo(self, topic: str) -> bool:
        """Whether this login may both publish to `topic` and read it.

        Brokers acknowledge denied publishes and subscriptions; only an echo proves a right.
        """
        return (await self._echoed(topic))[1]

    async def ask(self, operation: str, **request: object) -> object:
        """The data that a running bridge answers with; NoAnswer where it refuses, NoReply where nothing comes."""
        transaction = secrets.token_hex(8)
        topic = self._topics.request(operation)
        message = (topic, to_json({**request, "transaction": transaction}).encode())
        filters = (self._topics.response(operation),)
        received, answered = await self._gather(
            filters, message, lambda each: transaction.encode() in each[1], self._timing.answer
        )
        if not answered:
            raise NoReply(
                f"no answer to {topic} within {self._timing.answer:g} s: does the bridge hang, or may this login not "
                "read its answers?"
            )
        return _data(received[-1][1])

    @property
    def limits(self) -> BrokerLimits:
        """What the broker announces that it does not take."""
        return self._connection.limits

    @property
    def hears_denials(self) -> bool:
        """Whether the broker says what it denies: by MQTT 5; older ones acknowledge what they drop."""
        return self._connection.guards

    async def takes(self, size: int) -> bool:
        """Whether a message of `size` bytes comes back from `bridge/check`."""
        token = secrets.token_hex(8).encode()
        topic = self._topics.bridge_check
        message = (topic, token.ljust(size, b"."))
        return (await self._gather((topic,), message, lambda each: each[1].startswith(token), self._timing.echo))[1]

    async def will_comes(self, settings: MqttSettings) -> bool:
        """Whether the broker publishes the will of a client that is gone, at QoS 1 as the bridge's."""
        token, topic = secrets.token_hex(8).encode(), self._topics.bridge_check
        settings = replace(settings, client_id=f"{settings.client_id}-will-{os.getpid()}")
        will = Message(topic, token, Rank.BRIDGE, retain=False)
        other = await opened(settings, lambda *_: None, self._timing, will)
        asked = self._gather((topic,), None, lambda each: each[1] == token, self._timing.echo, then=other.abort)
        return (await asked)[1]

    async def denied(self, messages: Iterable[Message]) -> tuple[str, ...]:
        """Publish; gives the topics that the broker denied."""
        try:
            await self.publish(messages)
        except BrokerAuthError:
            return self._connection.denied.topics
        return ()

    async def publish(self, messages: Iterable[Message]) -> None:
        """Publish and wait until the broker has all; BrokerError where the connection or a right is missing."""
        self._connection.denied.forget()
        answer = self._timing.answer
        try:
            for message in messages:
                async with asyncio.timeout(answer):
                    await self._connection.room()
                self._connection.publish(message, qos=1)
            async with asyncio.timeout(answer):
                await self._connection.delivered()
        except TimeoutError:
            raise BrokerUnavailable(f"the MQTT broker did not answer within {answer:g} s") from None
        if self._connection.lost.done():
            raise self._connection.lost.result()
        if (denial := self._connection.denied.description) is not None:
            raise BrokerAuthError(denial)

    async def _echoed(self, topic: str, *filters: str) -> tuple[list[tuple[str, bytes]], bool]:
        """What is retained under the filters, and whether a message to `topic` came back."""
        token = secrets.token_hex(8).encode()
        received, came = await self._gather(
            (topic, *filters), (topic, token), lambda each: each[1] == token, self._timing.echo
        )
        return [(name, payload) for name, payload, retained in received if retained], came

    async def _gather(
        self,
        filters: Sequence[str],
        publish: tuple[str, bytes] | None,
        last: Callable[[Received], bool],
        pause: float,
        then: Callable[[], None] = lambda: None,
    ) -> tuple[list[Received], bool]:
        """Subscribe, publish (topic, payload), call `then`, and collect what comes, and whether `last` was among it.

        `pause` is how many seconds nothing may come. The subscription is at QoS 0, as brokers limit a client's queue
        at QoS 1 and drop most of what is retained.
        """
        self._inbox.clear()
        await self._connection.subscribe(filters, qos=0)
        if publish is not None:
            self._connection.publish(Message(*publish, Rank.BRIDGE, retain=False), qos=1)
        then()
        received: list[Received] = []
        try:
            while not received or not last(received[-1]):
                async with asyncio.timeout(pause):
                    received.append(await self._inbox.get())
        except TimeoutError:
            if self._connection.lost.done():
                raise self._connection.lost.result() from None
            return received, False
        else:
            return received, True
        finally:
            self._connection.unsubscribe(filters)


@asynccontextmanager
async def oneshot_client(
    settings: MqttSettings, topics: Topics, command: str, timing: MqttTiming = USUAL
) -> AsyncIterator[OneshotClient]:
    """Connect for the length of the block, with a client id of this command's own and no will; or raise BrokerError.

    A takeover by the daemon's client id would publish its will. At QoS 1 whatever the bridge publishes with: a command
    leaves once the broker has acknowledged all.
    """
    settings = replace(settings, client_id=f"{settings.client_id}-{command}-{os.getpid()}", qos=1)
    inbox = Inbox()
    connection = await opened(settings, inbox.put, timing)
    keepalive = asyncio.create_task(connection.tend(), name="mqtt-keepalive")
    try:
        yield OneshotClient(connection, inbox, topics, timing)
    finally:
        keepalive.cancel()
        connection.close()
        await asyncio.wait({keepalive})


def _data(payload: bytes) -> object:
    match json_object(payload):
        case {"status": "ok", "data": data}:
            return data
        case {"status": "error", "error": str(error)}:
            raise NoAnswer(f"the running bridge answers with an error: {error}")
        case _:
            raise NoAnswer("the answer of the running bridge makes no sense: is it another version?")
