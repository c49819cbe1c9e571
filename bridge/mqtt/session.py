"""MQTT session: one reconnect loop that resynchronises all retained topics on every connect.

Nothing is kept for later while the broker is away: after each connect the broker's retained messages are read back and
compared with what should be retained now, so an old value can never arrive after a newer one.
"""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bridge.domain.clock import Clock
from bridge.domain.finding import Finding, fail
from bridge.domain.message import Message, Rank
from bridge.errors import EXIT_REFUSED, BrokerError
from bridge.mqtt.admission import Admission, Always
from bridge.mqtt.application import Application
from bridge.mqtt.attempts import Attempts
from bridge.mqtt.connection import Connection, matches
from bridge.mqtt.deferred import Deferred
from bridge.mqtt.denials import DenialRetry
from bridge.mqtt.guard import Guard
from bridge.mqtt.limits import BrokerLimits
from bridge.mqtt.pump import Pump
from bridge.mqtt.read_back import ReadBack, Reading, Wildcards
from bridge.mqtt.reports import SessionReports
from bridge.mqtt.retained import RetainedTopics
from bridge.mqtt.session_state import SessionState
from bridge.mqtt.settings import MqttSettings, Protocol
from bridge.mqtt.timing import USUAL, MqttTiming

_LOOP = "mqtt"
"""The name under which progress is reported."""
_YIELD_EVERY = 500
"""After so many messages that differ at a connect, other tasks get their turn."""

_logger = logging.getLogger(__name__)


class Session:
    """Keeps the broker's retained topics true."""

    def __init__(
        self,
        settings: MqttSettings,
        application: Application,
        clock: Clock,
        rng: random.Random,
        timing: MqttTiming = USUAL,
        admission: Admission | None = None,
    ) -> None:
        self._settings = settings
        self._admission = admission or Always()
        self._application = application
        self._clock = clock
        self._timing = timing
        self.state = SessionState.STOPPED
        self.why_not: str | None = "not connected yet"
        """What keeps the session from the broker, for people; None while it is connected."""
        self._connection: Connection | None = None
        self._limits = BrokerLimits(clock.monotonic)
        self._attempts = Attempts(settings.protocol, timing, self._limits, rng)
        self._reports = SessionReports(settings, self._limits, clock.monotonic)
        self._pump = Pump(settings, application, clock, timing)
        self._denial_retry = DenialRetry(timing, rng)
        self._guard = Guard(timing, settings.repair_interval, clock.monotonic)
        self._read_back: ReadBack | None = None
        """While the broker's retained messages are collected."""
        self._signature_filters = application.topics.signature_filters()
        """For what a bridge of this name left elsewhere. Subscribed to once per process: no configuration changes
        meanwhile, and some brokers disconnect a client that asks for so much."""
        self._prepared: Application | None = None
        """Which application knows about the current connection."""
        self._resync = asyncio.Event()
        """Set when everything has to be compared and published again on the same connection."""
        self._subscribed: tuple[str, ...] = ()
        self.reading = Reading(Wildcards.UNKNOWN)
        """How the last read-back went."""
        self._deferred = Deferred(timing.drop_report, clock.monotonic)

    def serve(self, application: Application) -> None:
        """Work for this application from now on, on the same connection. Its base topic must be the same."""
        self._application = application
        self._pump.serve(application)
        if self.why_not is None:
            application.statistics.connected()
        self._denial_retry.note_reload()
        self._resync.set()

    def repair(self) -> None:
        """Read back what the broker retains, and publish again what is wrong there."""
        self._guard.repair()

    @property
    def rival(self) -> str | None:
        """That another bridge is at work under the same base topic, for people."""
        return self._guard.rivals.problem(self._application)

    @property
    def denial(self) -> str | None:
        """Which publishes the broker denies, for people; None where it allows all."""
        return None if self._connection is None else self._connection.denied.description

    def findings(self) -> Iterator[Finding]:
        """What is wrong at the broker, as far as the bridge has seen it."""
        if (rival := self.rival) is not None:
            yield fail("bridge", rival)
        if self._connection is not None and (denial := self.denial) is not None:
            yield replace(fail("broker", denial, EXIT_REFUSED), topics=self._connection.denied.topics)
        if (missing := self._limits.left_out) is not None:
            yield fail("broker", missing)

    async def run(self) -> None:
        """Stay connected until cancelled; then publish `offline` and disconnect."""
        try:
            while True:
                self._expect_progress()
                try:
                    await self._one_connection(self._attempts.version)
                except BrokerError as error:
                    following = self._attempts.failed(error)
                    if following.state is not None:
                        self._note_failure(error, following.state)
                    self._expect_progress(after=following.pause)
                    await asyncio.sleep(following.pause)
        finally:
            self._enter(SessionState.STOPPED)

    async def _one_connection(self, protocol: Protocol) -> None:
        """From the wait for the client id to the loss of the connection; always raises, as `_connect_and_stay`."""
        try:
            await self._admission.admitted(self._stand_by)
            await self._connect_and_stay(protocol)
        finally:
            self._admission.left()

    async def _connect_and_stay(self, protocol: Protocol) -> None:
        """From connect to loss; always raises, in the end what the connection was lost by."""
        self._enter(SessionState.CONNECTING)
        lease = self._admission.lease()
        connection = Connection(
            self._settings, protocol, self._offline, self._receive, self._timing, self._limits, lease
        )
        connection.acknowledged = self._pump.acknowledged
        await connection.open()
        opened = self._clock.monotonic()
        self._note_connected(connection, protocol)
        try:
            await self._stay_in_sync(connection)
        except asyncio.CancelledError:
            self._enter(SessionState.STOPPING)
            await self._farewell(connection)
            raise
        finally:
            self._pump.clear()
            self._deferred.clear()
            self._guard.clear()
            self._connection = None
            connection.abort()
        self._note_end(lasted=self._clock.monotonic() - opened)
        raise connection.lost.result()

    async def _stay_in_sync(self, connection: Connection) -> None:
        """Synchronise and pump, again whenever `_resync` is set, until the connection is lost."""
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(connection.tend(), name="mqtt-keepalive"),
                tasks.create_task(self._pump.watch(connection, _LOOP), name="mqtt-progress"),
                tasks.create_task(self._report_recovery(), name="mqtt-recovery"),
                tasks.create_task(self._guard.run(connection, lambda: self.reading, self._current), name="mqtt-guard"),
                tasks.create_task(self._denial_retry.run(connection.denied, self._resend), name="mqtt-denials"),
            ]
            await self._admission.entered(connection)
            while not connection.lost.done():
                self._resync.clear()
                serving = tasks.create_task(self._synchronise_and_pump(connection), name="mqtt-serve")
                resync = tasks.create_task(self._resync.wait(), name="mqtt-resync")
                ends: set[asyncio.Future[Any]] = {connection.lost, resync}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for task in (serving, resync):
                    task.cancel()
                await asyncio.wait({serving, resync})
            for task in beside:
                task.cancel()

    async def _synchronise_and_pump(self, connection: Connection) -> None:
        """Read back, subscribe, and send: first what differs from what should be retained, then changes as they come.

        `bridge/state` is published last, so that a client that waits for `online` finds everything else true.
        """
        await self._let_a_rival_go_on()
        self._enter(SessionState.READING_BACK)
        retained = await self._read_retained(connection)
        self._enter(SessionState.SYNCHRONISING)
        application = self._application
        if self._prepared is not application:
            await application.hooks.prepare()
            self._prepared = application
        await self._subscribe(connection)
        self._read_back = None
        outbox = application.outbox
        outbox.in_sync = True  # what changes from now on takes the place of what is put here
        for number, message in enumerate(application.hooks.synchronise(retained), start=1):
            outbox.put(message)
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        del retained  # megabytes that nothing needs for as long as the connection lasts
        outbox.put(Message(application.topics.bridge_state, b"online", Rank.ONLINE))
        outbox.complete = True
        self._enter(SessionState.IN_SYNC)
        for received in self._deferred.drain():
            asyncio.get_running_loop().call_soon(application.hooks.receive, *received)
        await self._pump.run(connection)

    async def _let_a_rival_go_on(self) -> None:
        """Be silent for as long as another bridge is at work that goes first."""
        while (seconds := self._guard.rivals.silence(self._application)) > 0:
            self._enter(SessionState.SILENT)
            self._pump.clear()
            self.why_not = self._guard.rivals.problem(self._application)
            self._expect_progress(after=seconds)
            await asyncio.sleep(seconds)
        self.why_not = None

    async def _read_retained(self, connection: Connection) -> RetainedTopics:
        """What the broker retains of our topics, and what an earlier configuration left elsewhere."""
        application = self._application
        topics, keep = application.topics, application.hooks.watched_filters
        self._read_back = read_back = ReadBack(topics, self._timing)
        signatures, self._signature_filters = self._signature_filters, ()
        self.reading = reading = await read_back.read(connection, signatures, keep)
        self._guard.connected(reading)
        self._reports.read(topics.bridge_check, reading)
        self._reports.owned(topics.base, read_back.retained.owner, topics.pbx_name)
        return read_back.retained

    async def _subscribe(self, connection: Connection) -> None:
        """Subscribe to what stays subscribed, and unsubscribe from what only an earlier application asked for."""
        hooks = self._application.hooks
        if earlier := [each for each in self._subscribed if each not in hooks.lasting_filters]:
            connection.unsubscribe(earlier)
        self._subscribed = hooks.lasting_filters
        # without Retain As Published: what is stored must not look like a sign of life
        await connection.subscribe((self._application.topics.bridge_health,), qos=0, others_only=True)
        granted = await connection.subscribe(hooks.filters, qos=1)
        granted += await connection.subscribe(hooks.request_filters, qos=1, as_published=True)
        if not connection.lost.done():
            self._reports.subscribed((*hooks.filters, *hooks.request_filters), granted)

    def _receive(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # paho's order
        """Called by the connection for every message."""
        topics = self._application.topics
        for read_back in (self._read_back, self._guard.read_back):
            if read_back is not None and read_back.receive(topic, payload, retained=retained):
                return
        if topic == topics.bridge_check:
            return  # a late echo
        if topic == topics.bridge_health:
            if not retained and self._guard.take_health(self._application, payload):
                self._resync.set()
            return
        if topic == topics.bridge_state:
            self._keep_online(payload, retained=retained)
        elif self._application.outbox.complete:
            connection = self._connection
            if connection is None or not self._guard.take(self._application, connection, topic, payload):
                self._application.hooks.receive(topic, payload, retained)
        elif any(matches(each, topic) for each in self._application.hooks.lasting_filters):
            self._deferred.add((topic, payload, retained), self._application.statistics)

    def _keep_online(self, payload: bytes, *, retained: bool) -> None:
        """The will of a half-open earlier connection may come after our `online`; publish that again."""
        if not retained and payload != b"online" and self._application.outbox.complete:
            topic = self._application.topics.bridge_state
            _logger.info(
                "received %r on %s, from a late will or a broker that stops: publishing 'online' again",
                payload[:20].decode("utf-8", "replace"),
                topic,
            )
            self._application.outbox.publish(Message(topic, b"online", Rank.ONLINE))

    def _resend(self, denied: frozenset[str]) -> None:
        """Publish everything again that was denied: retained messages by comparing, the others by the application."""
        self._application.hooks.resend_denied(denied)
        self._resync.set()

    async def _farewell(self, connection: Connection) -> None:
        """Publish the farewell messages and `offline`; where that takes too long, leave it to the will.

        A clean DISCONNECT suppresses the will, so it is sent only once the broker has acknowledged everything.
        """
        self._pump.clear()  # our own `offline` comes back to us and must not be corrected
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.farewell):
                for message in (*self._application.hooks.farewell_messages(), self._offline):
                    await connection.room()
                    connection.publish(message, self._settings.qos)
                await connection.delivered()
                connection.close()

    async def _report_recovery(self) -> None:
        """Not before it has lasted: a broker that accepts the login and hangs up, over and over, is one failure."""
        while True:
            await asyncio.sleep(self._timing.short_connection)
            self._reports.recovered()

    @property
    def _offline(self) -> Message:
        return Message(self._application.topics.bridge_state, b"offline", Rank.BRIDGE)

    def _current(self) -> Application:
        return self._application

    def _enter(self, state: SessionState) -> None:
        if state is not self.state:
            _logger.debug("MQTT session: %s", state)
            self.state = state

    def _stand_by(self) -> None:
        self._enter(SessionState.STANDBY)
        self._expect_progress()

    def _expect_progress(self, after: float = 0.0) -> None:
        self._application.liveness.expect(_LOOP, after + self._timing.step)

    def _note_connected(self, connection: Connection, protocol: Protocol) -> None:
        self._connection = connection
        self._subscribed, self._prepared = (), None
        self.why_not = None
        self._application.statistics.connected()
        _logger.info("connected to %s:%d (MQTT %s)", self._settings.host, self._settings.port, protocol)

    def _note_failure(self, error: BrokerError, state: SessionState) -> None:
        self._enter(state)
        self.why_not = str(error)
        self._reports.failed(error, logging.ERROR if state is SessionState.REFUSED else logging.WARNING)

    def _note_end(self, *, lasted: float) -> None:
        short = lasted < self._timing.short_connection
        if not short:
            self._attempts.lasted()
        topic = self._application.topics.bridge_state
        self._reports.ended(short_of=self._timing.short_connection if short else None, state_topic=topic)
