"""Sends what waits in the outbox, as fast as the broker and `max_rate` allow."""

import asyncio

from bridge.domain.allowance import Allowance
from bridge.domain.clock import Clock
from bridge.domain.message import Message
from bridge.mqtt.application import Application
from bridge.mqtt.connection import Connection
from bridge.mqtt.drops import DropReport
from bridge.mqtt.outbox import Outbox
from bridge.mqtt.settings import MqttSettings
from bridge.mqtt.timing import MqttTiming
from bridge.statistics import Queue

BURST = 500
"""Messages that go out at once before `max_rate` holds."""

_YIELD_EVERY = 50
"""Messages after which other tasks get their turn, where nothing else makes the pump wait."""


class Pump:
    """Feeds one connection at a time from the outbox of the application."""

    def __init__(self, settings: MqttSettings, application: Application, clock: Clock, timing: MqttTiming) -> None:
        self._qos = settings.qos
        self._timing = timing
        self._allowance = Allowance(settings.max_rate, BURST, clock.monotonic)
        self._drops = DropReport(Queue.PUBLISH, timing.drop_report, clock.monotonic)
        self._wake = asyncio.Event()
        self._parked: dict[str, Message] = {}
        """By topic, the newest message that must wait until the broker has acknowledged the one before."""
        self._turns = 0
        self._application = application
        self._watch_outbox()

    def serve(self, application: Application) -> None:
        """Take messages from this application's outbox from now on."""
        self.clear()
        self._application = application
        self._watch_outbox()

    def clear(self) -> None:
        """Forget all that waits: it was meant for a connection or an application that is gone."""
        self._outbox.clear()
        self._parked.clear()
        self._drops.drained()

    def acknowledged(self, topic: str) -> None:
        """The broker has acknowledged a publish to `topic`: what is parked behind it may go."""
        if (message := self._parked.pop(topic, None)) is not None:
            self._outbox.put_back(message)

    async def run(self, connection: Connection) -> None:
        """Send until cancelled or the connection is lost."""
        while not connection.lost.done():
            if not self._outbox:
                self._drops.drained()
                self._wake.clear()
                await self._wake.wait()
            if not connection.has_room:
                await connection.room()
                continue
            if wait := self._allowance.wait():
                if (event := self._outbox.pop_event()) is None:
                    await asyncio.sleep(max(wait, self._timing.pace))
                    continue
                self._send(event, connection)
            elif (message := self._outbox.pop()) is not None:
                if not message.is_event:
                    self._allowance.take()
                self._send(message, connection)
            self._turns += 1
            if self._turns % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def watch(self, connection: Connection, loop: str) -> None:
        """Report that `loop` makes progress, unless something waits that could go and does not.

        What the broker holds up is no fault of this process, so a restart would not help.
        """
        before = -1
        while True:
            held_up = bool(self._outbox) and connection.has_room and self._turns == before
            before = self._turns
            if not held_up:
                self._application.liveness.expect(loop, self._timing.step)
            await asyncio.sleep(self._timing.progress_check)

    @property
    def _outbox(self) -> Outbox:
        return self._application.outbox

    def _watch_outbox(self) -> None:
        statistics = self._application.statistics
        self._outbox.on_put = self._wake.set
        self._outbox.on_drop = lambda waiting: self._drops.dropped(statistics, waiting)

    def _send(self, message: Message, connection: Connection) -> None:
        """Send, or park: a light that stalled gets the newest command afterwards, and no burst of all that came."""
        if message.newest and connection.awaits(message.topic):
            self._parked[message.topic] = message
        else:
            connection.publish(message, self._qos)
            self._application.statistics.published()
