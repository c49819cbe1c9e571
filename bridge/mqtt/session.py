"""The bridge's standing with the broker: one reconnect loop, and on every connect the whole truth.

Nothing is kept for later while the broker is away: after each connect the broker's retained messages are read back and
compared with what should be retained now, so an old value can never arrive after a newer one.
"""

import asyncio
import logging
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bridge.aio import Backoff, wait_for
from bridge.domain.clock import Clock
from bridge.domain.message import Message, Rank
from bridge.errors import BrokerAuthError, BrokerError, BrokerUnavailable
from bridge.log import LASTING, Recurring
from bridge.mqtt.connection import Connection, Receive, WrongProtocol, matches
from bridge.mqtt.outbox import Allowance, Outbox
from bridge.mqtt.retained import RetainedTopics
from bridge.mqtt.settings import MqttSettings, Protocol
from bridge.mqtt.timing import USUAL, MqttTiming
from bridge.ports import Liveness
from bridge.statistics import Statistics
from bridge.topics import Topics

BURST = 500
"""Messages that go out at once before `max_rate` holds."""

FAREWELL = 2.0
"""Seconds that the last `offline` may take to be acknowledged."""

_QUIET = 1.0
"""Seconds without a message after which reading back ends where the broker withholds the echo."""
_QUIET_AFTER_ECHO = 0.05
_LONGEST_READBACK = 30.0
_PACE = 0.01
"""At least so long a pause when `max_rate` holds, to send several messages per wake-up."""
_YIELD_EVERY = 50

_LOOP = "mqtt"
_STEP = 120.0
"""Seconds after which the session must have made a step; whatever it waits for at the broker ends sooner."""
_LOOK = 5.0

_MOST_DEFERRED = 100
_DENIED = (60.0, 900.0)
"""Seconds after which what the broker forbade is tried again, at first and at most."""
_ALLOWED = 60.0
"""Seconds without another refusal after which everything is allowed."""

_QUICK = 10.0
_QUICK_CLOSES = 3

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the session asks of the application."""

    ready: Callable[[], Awaitable[None]]
    """Awaited on each connect, before the first word is said."""
    synchronise: Callable[[RetainedTopics], Iterable[Message]]
    """Turns what the broker retains into what to publish."""
    filters: Sequence[str]
    """Topic filters to subscribe to, for `receive`."""
    request_filters: Sequence[str]
    """The same for what others ask for, which must not be retained."""
    kept_filters: Sequence[str]
    """Those of the bridge's own topics that `receive` goes on to hear of after they were read back."""
    receive: Receive
    denied: Callable[[frozenset[str]], None]
    """Called with topics of what the broker has forbidden and does not retain, when it may be said again."""
    farewell: Callable[[], Iterable[Message]]
    """What to say ahead of the last `offline`."""


class Session:
    """Keeps the broker's retained topics true."""

    def __init__(
        self,
        settings: MqttSettings,
        topics: Topics,
        outbox: Outbox,
        hooks: Hooks,
        clock: Clock,
        rng: random.Random,
        statistics: Statistics,
        liveness: Liveness,
        timing: MqttTiming = USUAL,
    ) -> None:
        self._timing = timing
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(0.5, 10.0, rng)
        self._long_backoff = Backoff(60.0, 900.0, rng)
        self._allowance = Allowance(settings.max_rate, BURST, clock.monotonic)
        self._wake = asyncio.Event()
        self._greeted: Hooks | None = None
        """Those who know of this connection."""
        self._anew = asyncio.Event()
        """Set when everything has to be said anew on the same connection."""
        self._subscribed: tuple[str, ...] = ()
        self._parked: dict[str, Message] = {}
        """What may go once the broker has acknowledged the one before, by topic."""
        self._deferred: deque[tuple[str, bytes, bool]] = deque(maxlen=_MOST_DEFERRED)
        """What others said while an answer could not be given yet, as nothing is said out of step."""
        self._heard = asyncio.Event()
        self._readback: RetainedTopics | None = None
        self._signatures = topics.signature_filters()
        """Looked for once: no configuration changes meanwhile, and some brokers cut off who asks for so much."""
        self._echo: bytes | None = None
        self._trouble = Recurring(_logger, LASTING, clock.monotonic)
        self._unread = Recurring(_logger)
        self._deaf = Recurring(_logger)
        self._connection: Connection | None = None
        self._denial_told = False
        self._reloaded = asyncio.Event()
        self.why_not: str | None = "not connected yet"
        """What keeps the session from the broker, None while it is connected."""
        self._turns = 0
        self._quick_closes = 0
        self._serve_these(topics, outbox, hooks, statistics, liveness)

    def serve(self, topics: Topics, outbox: Outbox, hooks: Hooks, statistics: Statistics, liveness: Liveness) -> None:
        """From now on work for these, without a break in the connection. The base topic must stay what it was."""
        self._outbox.clear()
        self._serve_these(topics, outbox, hooks, statistics, liveness)
        if self.why_not is None:
            statistics.connected()
        self._reloaded.set()
        self._anew.set()

    def _serve_these(
        self, topics: Topics, outbox: Outbox, hooks: Hooks, statistics: Statistics, liveness: Liveness
    ) -> None:
        self._topics, self._outbox, self._hooks = topics, outbox, hooks
        self._statistics, self._liveness = statistics, liveness
        self._offline = Message(topics.bridge_state, b"offline", Rank.BRIDGE)
        outbox.on_put = self._wake.set

    @property
    def denial(self) -> str | None:
        """What the broker does not let be published, None where there is no such thing."""
        return None if self._connection is None else self._connection.denial

    async def run(self) -> None:
        """Stay connected for ever; when cancelled, say `offline` and go."""
        protocol = first = Protocol.V5 if self._settings.protocol is Protocol.AUTO else self._settings.protocol
        while True:
            self._liveness.expect(_LOOP, _STEP)
            try:
                await self._one_connection(protocol)
            except BrokerAuthError as error:
                self._failed(error, logging.ERROR)
                pause = self._long_backoff.next()
            except WrongProtocol as error:
                self._failed(error)
                pause = self._backoff.next()
                if self._settings.protocol is Protocol.AUTO:
                    first = Protocol.V311 if error.certain else first
                    protocol = Protocol.V311 if protocol is Protocol.V5 else Protocol.V5
                    pause = 0.0 if protocol is Protocol.V311 else pause
            except BrokerUnavailable as error:
                self._failed(error)
                pause = self._backoff.next()
                protocol = first  # it may have been away when it did not answer the greeting of another version
            self._liveness.expect(_LOOP, pause + _STEP)
            await asyncio.sleep(pause)

    def _failed(self, error: BrokerError, level: int = logging.WARNING) -> None:
        self.why_not = str(error)
        self._trouble.failed(self.why_not, level)

    async def _one_connection(self, protocol: Protocol) -> None:
        """From connect to loss; always raises, in the end what the connection was lost by."""
        self._subscribed, self._greeted = (), None
        connection = Connection(self._settings, protocol, self._offline, self._received)
        connection.acknowledged = self._unpark
        self._parked.clear()
        await connection.open()
        self._connection = connection
        opened = self._clock.monotonic()
        self.why_not = None
        self._statistics.connected()
        _logger.info("connected to %s:%d (MQTT %s)", self._settings.host, self._settings.port, protocol)
        try:
            async with asyncio.TaskGroup() as tasks:
                keepalive = tasks.create_task(connection.tend(), name="mqtt-keepalive")
                progress = tasks.create_task(self._show_progress(connection), name="mqtt-progress")
                recovery = tasks.create_task(self._tell_recovery(), name="mqtt-recovery")
                denials = tasks.create_task(self._try_again(connection), name="mqtt-denials")
                while not connection.lost.done():
                    self._anew.clear()
                    serving = tasks.create_task(self._serve(connection), name="mqtt-serve")
                    anew = tasks.create_task(self._anew.wait(), name="mqtt-anew")
                    ends: set[asyncio.Future[Any]] = {connection.lost, anew}
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    for task in (serving, anew):
                        task.cancel()
                    await asyncio.wait({serving, anew})
                for task in (keepalive, progress, recovery, denials):
                    task.cancel()
        except asyncio.CancelledError:
            await self._farewell(connection)
            raise
        finally:
            self._outbox.clear()
            self._deferred.clear()
            self._connection = None
            connection.abort()
        self._note_end(lasted=self._clock.monotonic() - opened)
        raise connection.lost.result()

    async def _tell_recovery(self) -> None:
        """Not before it has lasted: a broker that lets the bridge in and hangs up, again and again, is told once."""
        while True:
            await asyncio.sleep(_QUICK)
            self._trouble.recovered("the broker is back")

    async def _try_again(self, connection: Connection) -> None:
        """What the broker forbids is said again now and then: rights may be given while the connection stands."""
        pauses = Backoff(*_DENIED, self._rng)
        while True:
            if await wait_for(connection.denied_more, _ALLOWED):
                if not self._denial_told:
                    self._denial_told = True
                    _logger.error("%s", connection.denial)
                self._reloaded.clear()
                if await wait_for(self._reloaded, pauses.next()):
                    connection.forget_denied(retained=False)  # the new bridge says everything again
                else:
                    self._hooks.denied(connection.forget_denied(retained=True))
                    self._anew.set()
            elif connection.denial is not None:
                connection.denied_more.set()
            else:
                if self._denial_told:
                    self._denial_told = False
                    _logger.info("the broker lets everything be published now")
                pauses.reset()
                await connection.denied_more.wait()

    async def _serve(self, connection: Connection) -> None:
        self._readback = readback = RetainedTopics(self._topics)
        signatures, self._signatures = self._signatures, ()
        await self._read_back(connection, (*self._topics.own_filters(), *signatures))
        if elsewhere := readback.elsewhere():
            await self._read_back(connection, (*elsewhere, self._topics.bridge_check))
        if self._greeted is not (hooks := self._hooks):
            await hooks.ready()
            self._greeted = hooks
        self._readback = None
        if earlier := [each for each in self._subscribed if each not in self._filters]:
            connection.unsubscribe(earlier)
        self._subscribed = self._filters
        granted = await connection.subscribe(self._hooks.filters, qos=1)
        granted += await connection.subscribe(self._hooks.request_filters, qos=1, as_published=True)
        if not connection.lost.done():
            self._note_deafness((*self._hooks.filters, *self._hooks.request_filters), granted)
        for message in self._hooks.synchronise(readback):
            self._outbox.put(message)
        del readback  # all that was retained, which nobody needs for as long as the connection lasts
        self._outbox.put(Message(self._topics.bridge_state, b"online", Rank.HELLO))
        self._outbox.in_step = True
        while self._deferred:
            asyncio.get_running_loop().call_soon(self._hooks.receive, *self._deferred.popleft())
        await self._pump(connection)

    def _note_deafness(self, filters: Sequence[str], granted: Sequence[bool]) -> None:
        refused = ", ".join(each for each, may in zip(filters, granted, strict=False) if not may)
        if refused:
            self._deaf.failed(
                f"the broker does not let this login subscribe to {refused}: what is asked or told there is not heard"
            )
        else:
            self._deaf.recovered("the broker grants every subscription now")

    @property
    def _filters(self) -> tuple[str, ...]:
        """All that stays subscribed to."""
        return (*self._hooks.kept_filters, *self._hooks.filters, *self._hooks.request_filters)

    async def _read_back(self, connection: Connection, filters: Sequence[str]) -> None:
        """Collect what is retained under `filters`.

        Brokers send retained messages ahead of anything published after the subscription, so the echo of a message
        to ourselves marks the end. Where the broker withholds it (no right), a second of silence must do, once it has
        answered what it was asked after that: a connection may stall.
        """
        self._echo = secrets.token_bytes(8).hex().encode()
        self._heard.clear()
        await connection.subscribe(filters, qos=0)
        connection.publish(Message(self._topics.bridge_check, self._echo, Rank.BRIDGE, retain=False), qos=0)
        await connection.subscribe((self._topics.bridge_check,), qos=0)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_READBACK):
                while await wait_for(self._heard, _QUIET if self._echo else _QUIET_AFTER_ECHO):
                    self._heard.clear()
        if self._echo:
            self._unread.failed(
                f"the broker does not let this login read {self._topics.bridge_check}: what an earlier run left is not "
                "tidied up, and if it may not write there either, nothing is published; '3cx2mqtt check' says which "
                "rights are missing"
            )
        else:
            self._unread.recovered(f"the broker lets this login read {self._topics.bridge_check} now")
        over = dict.fromkeys((*filters, self._topics.bridge_check))
        connection.unsubscribe([each for each in over if each not in self._hooks.kept_filters])

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # paho's order
        if self._readback is not None and retained:
            self._readback.add(topic, payload)
            self._heard.set()
        elif topic == self._topics.bridge_check:
            if payload == self._echo:
                self._echo = None
                self._heard.set()
        elif topic == self._topics.bridge_state:
            self._watch(payload, retained=retained)
        elif self._outbox.in_step:
            self._hooks.receive(topic, payload, retained)
        elif any(matches(each, topic) for each in self._filters):
            self._deferred.append((topic, payload, retained))

    def _watch(self, payload: bytes, *, retained: bool) -> None:
        """The will of a half-dead earlier connection may come after our `online`; say it again."""
        if not retained and payload != b"online" and self._outbox.in_step:
            said = payload[:20].decode("utf-8", "replace")
            _logger.info(
                "heard %r on %s, from a will that comes late or a broker that stops: corrected",
                said,
                self._topics.bridge_state,
            )
            self._outbox.publish(Message(self._topics.bridge_state, b"online", Rank.HELLO))

    async def _show_progress(self, connection: Connection) -> None:
        """Be on time unless something waits that could go and does not; what the broker holds up is no fault here."""
        before = -1
        while True:
            held_up = bool(self._outbox) and connection.has_room and self._turns == before
            before = self._turns
            if not held_up:
                self._liveness.expect(_LOOP, _STEP)
            await asyncio.sleep(_LOOK)

    def _unpark(self, topic: str) -> None:
        if (message := self._parked.pop(topic, None)) is not None:
            self._outbox.publish(message)

    async def _pump(self, connection: Connection) -> None:
        while True:
            if not self._outbox:
                self._wake.clear()
                await self._wake.wait()
            if not connection.has_room:
                await connection.room()
            if wait := self._allowance.take():
                await asyncio.sleep(max(wait, _PACE))
                continue
            message = self._outbox.pop()
            if message is not None and message.newest and connection.awaits(message.topic):
                self._parked[message.topic] = message
            elif message is not None:
                connection.publish(message, self._settings.qos)
                self._statistics.published()
            self._turns += 1
            if self._turns % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _farewell(self, connection: Connection) -> None:
        """Tell everybody that nothing here is true any more; where that takes too long, leave it to the will.

        A clean goodbye would suppress the will, so it is said only once the broker has everything.
        """
        self._outbox.clear()  # our own `offline` comes back to us and must not be corrected
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                for message in (*self._hooks.farewell(), self._offline):
                    await connection.room()
                    connection.publish(message, self._settings.qos)
                await connection.delivered()
                connection.close()

    def _note_end(self, *, lasted: float) -> None:
        """Some brokers just close a connection whose client id is used again: that shows as many short ones."""
        if lasted >= _QUICK:
            self._backoff.reset()
            self._long_backoff.reset()
            self._quick_closes = 0
            return
        self._quick_closes += 1
        if self._quick_closes == _QUICK_CLOSES:
            _logger.warning(
                "the broker closed the connection %d times within %.0f s: is another process using the client id %r? "
                "Give each bridge its own pbx.name or mqtt.client_id. Or may this login not write to %s?",
                _QUICK_CLOSES,
                _QUICK,
                self._settings.client_id,
                self._topics.bridge_state,
            )
