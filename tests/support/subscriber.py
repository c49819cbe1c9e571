"""A real MQTT client beside the bridge: keeps all that it receives, and can publish."""

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.support.limits import limit


class Subscriber:
    """`latest` holds the last payload by topic; cleared topics are gone from it. `log` holds everything in order."""

    def __init__(
        self,
        port: int,
        filters: Sequence[str] = ("#",),
        *,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
    ) -> None:
        self.latest: dict[str, str] = {}
        self.log: list[tuple[str, str, bool]] = []
        self._port = port
        self._filters = filters
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self._client.on_message = lambda _, __, message: self._call(self._take, message)
        self._client.on_connect = self._subscribe
        self._acknowledged: dict[int, asyncio.Future[None]] = {}
        """By message id; what comes from paho's thread runs in the loop, so not before the future is there."""
        self._client.on_publish = lambda _, __, number, *___: self._call(self._acknowledge, number)
        self._client.on_subscribe = lambda *_: self._call(self._changed.set)
        if login:
            self._client.username_pw_set(*login)
        if tls:
            self._client.tls_set_context(tls)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(
            self._client.connect, "localhost" if self._client._ssl_context else "127.0.0.1", self._port
        )
        self._client.loop_start()
        await asyncio.wait_for(self._changed.wait(), limit(10))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def until(self, condition: Callable[[], bool], timeout: float = limit(10.0)) -> None:
        """Wait until `condition` holds; checked after every message. A topic that is missing yet is waited for."""

        def holds() -> bool:
            try:
                return condition()
            except KeyError:
                return False

        try:
            async with asyncio.timeout(timeout):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not within {timeout:g} s; the broker sent {str(self.latest)[:10_000]}") from None

    async def until_latest(self, topic: str, payload: str, timeout: float = limit(10.0)) -> None:
        await self.until(lambda: self.latest.get(topic) == payload, timeout)

    async def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish and wait until the broker has it."""
        number = self._client.publish(topic, payload, qos=1, retain=retain).mid
        # No thread that waits: where a test cancels this, the end of its event loop would wait for the thread.
        acknowledged = self._acknowledged[number] = self._loop.create_future()
        await asyncio.wait_for(acknowledged, limit(10))

    async def leave_a_dead_bridge(self) -> None:
        """What a bridge of the PBX `hq` leaves retained that ended without `offline`, and without a will."""
        await self.publish("3cx/bridge/state", "online", retain=True)
        await self.publish("3cx/bridge/info", '{"pbx":{"name":"hq"}}', retain=True)

    def json(self, topic: str) -> Any:
        return json.loads(self.latest[topic])

    def payloads(self, topic: str) -> list[str]:
        """Everything that came under `topic`, in order."""
        return [payload for name, payload, _ in self.log if name == topic]

    def _subscribe(self, *_: object) -> None:
        self._client.subscribe([(each, 1) for each in self._filters])

    def _acknowledge(self, number: int) -> None:
        waiting = self._acknowledged.pop(number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _take(self, message: Any) -> None:
        payload = message.payload.decode()
        self.log.append((message.topic, payload, message.retain))
        if payload:
            self.latest[message.topic] = payload
        else:
            self.latest.pop(message.topic, None)
        self._changed.set()
