"""Reads back again, while the bridge is connected, to see what other clients have changed meanwhile."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from bridge.mqtt.application import Application
from bridge.mqtt.connection import Connection
from bridge.mqtt.read_back import ReadBack, Reading
from bridge.mqtt.repairs import Repairs
from bridge.mqtt.timing import MqttTiming


class Rereading:
    """When asked to, and by MQTT 3.1.1 from time to time: by MQTT 5 others' writes are received as they happen."""

    def __init__(self, timing: MqttTiming, interval: float, repairs: Repairs) -> None:
        """`interval` is in seconds; 0: only when asked to."""
        self._timing = timing
        self._interval = interval
        self._repairs = repairs
        self._asked = asyncio.Event()
        self.read_back: ReadBack | None = None
        """While it goes on, what the connection receives has to be offered to this."""

    def ask(self) -> None:
        """Read now."""
        self._asked.set()

    async def run(
        self, connection: Connection, reading: Callable[[], Reading], current: Callable[[], Application]
    ) -> None:
        """Read and repair until cancelled; `reading` is how the last read-back after a connect went."""
        interval = None if connection.guards else self._interval or None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._asked.wait()
            self._asked.clear()
            application = current()
            if application.outbox.complete and reading().by_name:
                await self._compare(connection, reading(), application)

    async def _compare(self, connection: Connection, reading: Reading, application: Application) -> None:
        outbox, hooks = application.outbox, application.hooks
        before, waits = outbox.wanted.copy(), bool(outbox)
        self.read_back = again = ReadBack(application.topics, self._timing)
        try:
            whole = await again.read_again(connection, reading, tuple(before), hooks.lasting_filters)
        finally:
            self.read_back = None
        if not whole or not outbox.complete:
            return
        for topic, foreign in again.retained.wrong(outbox.wanted):
            if outbox.wanted.same(topic, before):  # else it has been published since
                # What is missing may have been denied, and what differs may be what we are about to replace.
                self._repairs.wrong(application, topic, foreign=foreign, blamed=foreign and not waits)
