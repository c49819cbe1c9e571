"""Reading back what the broker retains."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress

from bridge.aio import wait_for
from bridge.domain.message import Message, Rank
from bridge.mqtt.connection import Connection
from bridge.mqtt.retained import RetainedTopics
from bridge.mqtt.timing import MqttTiming
from bridge.topics import Topics


class ReadBack:
    """Collects retained messages on one connection. The session passes on what it receives meanwhile."""

    def __init__(self, topics: Topics, timing: MqttTiming) -> None:
        self._topics = topics
        self._timing = timing
        self.retained = RetainedTopics(topics)
        self._echo: bytes | None = None
        """The payload that marks the end, until it has come back."""
        self._progress = asyncio.Event()

    def receive(self, topic: str, payload: bytes, *, retained: bool) -> bool:
        """Take a message that belongs to the read-back; says whether it does."""
        if retained:
            self.retained.add(topic, payload)
        elif topic == self._topics.bridge_check and payload == self._echo:
            self._echo = None
        else:
            return False
        self._progress.set()
        return True

    async def read(self, connection: Connection, filters: Sequence[str], keep: Sequence[str] = ()) -> bool:
        """Collect what is retained under `filters`; says whether this login may publish and read `bridge/check`.

        Brokers send retained messages ahead of anything published after the subscription, so the echo of a message
        to ourselves marks the end. Where the broker withholds it (no right), a pause must do, once it has answered a
        later subscription: a connection may stall. `keep` stays subscribed.

        At QoS 0, since brokers drop what exceeds a client's queue at QoS 1: Mosquitto returned 1,020 of 30,000.
        """
        check = self._topics.bridge_check
        self._echo = secrets.token_hex(8).encode()
        self._progress.clear()
        await connection.subscribe(filters, qos=0)
        connection.publish(Message(check, self._echo, Rank.BRIDGE, retain=False), qos=0)
        await connection.subscribe((check,), qos=0)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.longest_read_back):
                while await wait_for(self._progress, self._longest_pause):
                    self._progress.clear()
        connection.unsubscribe([each for each in dict.fromkeys((*filters, check)) if each not in keep])
        return self._echo is None

    @property
    def _longest_pause(self) -> float:
        # a broker that delivers retained messages beside the normal flow may be a little late with the last
        return self._timing.quiet_after_echo if self._echo is None else self._timing.quiet
