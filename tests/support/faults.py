"""What networks do to connections, in front of the simulated PBX or of Mosquitto; and what must be true afterwards."""

import asyncio
import logging
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from bridge.domain.clock import Clock
from bridge.mqtt.timing import MqttTiming
from bridge.runtime.bridge import Bridge
from bridge.runtime.timing import Timing
from bridge.simulator import SimulatedPbx
from bridge.simulator.state import Intercept
from bridge.sources.table import TABLE
from bridge.sources.threecx.client.login_backoff import LoginBackoff
from bridge.sources.threecx.timing import ThreecxTiming
from tests.support.beside import beside
from tests.support.bridges import Hasty, read_config
from tests.support.limits import limit
from tests.support.mosquitto import free_port
from tests.support.subscriber import Subscriber

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, no time: a close is a RST."""


class Kind(Enum):
    """What happens to the bytes."""

    PASS = auto()
    RESET = auto()
    CUT = auto()
    SWALLOW = auto()
    TRICKLE = auto()
    HOLD = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to connections, once `after` bytes have come down from the server since it began."""

    kind: Kind
    after: int = 0


NORMAL = Fault(Kind.PASS)
BLACK_HOLE = Fault(Kind.SWALLOW)
"""Connections are accepted, and nothing is ever answered."""
SILENCE = Fault(Kind.HOLD)
"""Nothing goes through, and neither side learns of it; what waits goes through later."""
TRICKLE = Fault(Kind.TRICKLE)
"""One byte a second comes down."""


def reset(after: int = 0) -> Fault:
    """A RST, in the middle of what comes down."""
    return Fault(Kind.RESET, after)


def cut(after: int = 0) -> Fault:
    """A FIN, in the middle of what comes down."""
    return Fault(Kind.CUT, after)


class Link:
    """A TCP proxy in front of a loopback port; keeps its own port. Faults strike open connections and new ones."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.accepted = 0
        self._upstream = port
        self._server: asyncio.Server | None = None
        self._fault = NORMAL
        self._wires: set[_Wire] = set()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop_listening()
        for wire in list(self._wires):
            wire.reset()
        while self._wires:
            await asyncio.sleep(0.01)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def fault(self) -> Fault:
        return self._fault

    def strike(self, fault: Fault) -> None:
        """From now on, for all connections."""
        self._fault = fault
        for wire in self._wires:
            wire.strike(fault)

    def strike_open(self, fault: Fault) -> None:
        """From now on, for the connections that are open; new ones are spared."""
        for wire in self._wires:
            wire.strike(fault)

    def spare_new(self) -> None:
        """From now on new connections are spared; those that are open are not."""
        self._fault = NORMAL

    def refuse(self) -> None:
        """Stop listening, as when the program has ended; open connections are reset."""
        self._stop_listening()
        self.drop()

    def drop(self) -> None:
        """Reset all open connections."""
        for wire in list(self._wires):
            wire.reset()

    async def heal(self) -> None:
        """No more faults; connections that have lost bytes meanwhile are reset."""
        self._fault = NORMAL
        for wire in list(self._wires):
            wire.heal()
        if self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        wire = _Wire(reader, writer, self._fault)
        self._wires.add(wire)
        try:
            await wire.run(self._upstream)
        finally:
            self._wires.discard(wire)


class _Wire:
    """One proxied connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
        self._reader = reader
        self._writer = writer
        self._upstream: asyncio.StreamWriter | None = None
        self._fault = fault
        self._changed = asyncio.Event()
        self._down = 0
        """Bytes that came down since the fault began."""
        self._lost_bytes = False

    def strike(self, fault: Fault) -> None:
        self._fault = fault
        self._down = 0
        self._changed.set()

    def heal(self) -> None:
        if self._lost_bytes:
            self.reset()
        self.strike(NORMAL)

    def reset(self) -> None:
        self._fault = NORMAL
        for writer in filter(None, (self._writer, self._upstream)):
            sock = writer.get_extra_info("socket")
            with suppress(OSError, ValueError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        self._changed.set()

    async def run(self, port: int) -> None:
        try:
            up, self._upstream = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            self.reset()
            return
        pumps = [
            asyncio.create_task(self._pump(self._reader, self._upstream, down=False), name="link-up"),
            asyncio.create_task(self._pump(up, self._writer, down=True), name="link-down"),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            for writer in (self._writer, self._upstream):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, down: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._let_through(data, writer, down=down)
            while self._fault.kind in {Kind.HOLD, Kind.SWALLOW}:  # the end does not get through either
                await self._change()

    async def _let_through(self, data: bytes, writer: asyncio.StreamWriter, *, down: bool) -> None:
        while data:
            fault, room = self._fault, len(data)
            if self._down < fault.after:
                room = min(room, fault.after - self._down) if down else room
            elif fault.kind is Kind.SWALLOW:
                self._lost_bytes = True
                return
            elif fault.kind is Kind.HOLD:
                await self._change()
                continue
            elif down:
                room = await self._room(fault.kind, room)
            writer.write(data[:room])
            await writer.drain()
            self._down += room if down else 0
            data = data[room:]

    async def _room(self, kind: Kind, room: int) -> int:
        """How much may come down, once the fault has struck."""
        if kind is Kind.RESET:
            self.reset()
            raise ConnectionResetError
        if kind is Kind.CUT:
            raise ConnectionAbortedError
        if kind is Kind.TRICKLE:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._change()
                return 0
            return 1
        return room

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def answering(response: Callable[[], web.StreamResponse], *paths: str) -> Intercept:
    """An `intercept` that answers so whatever is asked for, or what ends like one of `paths`."""

    async def injected(request: web.Request) -> web.StreamResponse | None:
        return response() if not paths or request.path.endswith(paths) else None

    return injected


QUICK = Timing(threecx=ThreecxTiming(probe_after=1.0, reconnect_first=0.2, reconnect_longest=6.0))
"""A PBX that was away is probed every half second, not every 5 s; a lost websocket is opened again after 0.2 s."""


def quicker(**times: Any) -> Timing:
    """As QUICK, with other times of the sources."""
    return replace(QUICK, threecx=replace(QUICK.threecx, **times))


def impatient(**times: Any) -> Timing:
    """As QUICK; a second for a broker to answer CONNECT, a fifth of the pauses between attempts.

    A connection of less than 1 s is a short one. `times` are other fields of MqttTiming.
    """
    usual = MqttTiming(connect=1.0, retry=(0.1, 2.0), refused_retry=(12.0, 180.0), short_connection=1.0)
    return replace(QUICK, mqtt=replace(usual, **times))


@asynccontextmanager
async def living(
    path: Path,
    *,
    clock: Clock | None = None,
    keepalive: int | None = None,
    interval: float = 0.1,
    timing: Timing = QUICK,
) -> AsyncIterator[None]:
    """The bridge in this loop, for the length of the block; afterwards nothing of it is left running.

    `keepalive` and the `interval` of all that is polled may be shorter than the configuration allows.
    """
    config = read_config(path)
    config = replace(
        config,
        mqtt=replace(config.mqtt, keepalive=keepalive or config.mqtt.keepalive),
        sources={
            name: settings if TABLE[name].pushes else replace(settings, interval=interval)
            for name, settings in config.sources.items()
        },
    )
    before = asyncio.all_tasks()
    life = Bridge(config, clock=clock, rng=Hasty(), refusals=LoginBackoff(config.pbx, None), timing=timing)
    async with beside(life.run()) as task:
        yield
        assert not task.done(), "the bridge has ended by itself"
    await until(
        lambda: not own_tasks(asyncio.all_tasks() - before), limit(2.0), lambda: own_tasks(asyncio.all_tasks() - before)
    )


def own_tasks(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """What runs there and is no part of the simulator or of the tests: the bridge's own, and its HTTP client's."""
    found = []
    for task in tasks:
        code = getattr(task.get_coro(), "cr_code", None)
        place = "" if code is None else code.co_filename
        if not any(part in place for part in ("/simulator/", "/tests/", "/benchmarks/", "web_protocol")):
            found.append(f"{task.get_name()} in {place}")
    return found


async def until(
    condition: Callable[[], bool], within: float = limit(10.0), seen: Callable[[], object] = lambda: ""
) -> float:
    """Wait until `condition` holds; gives the seconds that this took. `seen` is shown where it never does."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within:
            raise AssertionError(f"not within {within:g} s: {seen()}")
        await asyncio.sleep(0.01)
    return time.monotonic() - began


_STATES = {"Connected": "on_call", "Hold": "on_hold", "Ringing": "ringing", "Dialing": "dialing"}
_PROFILES = {"Away": "away", "Out of office": "do_not_disturb", "Custom 2": "do_not_disturb"}


def expected_states(pbx: SimulatedPbx) -> dict[str, str]:
    """The state of every user as the PBX knows it."""
    return {dn: _expected_state(pbx, dn) for dn in pbx.users}


def _expected_state(pbx: SimulatedPbx, dn: str) -> str:
    user, word = pbx.users[dn], pbx.exchange.word(dn)
    if word == "Ringing" and all(call.started_by_api for call in pbx.exchange.calls_of(dn)):
        return "dialing"  # the own phone rings first, and who picks up calls the other
    if word is not None:
        return _STATES[word]
    return _PROFILES.get(user.profile or "", "available" if user.registered else "offline")


def published(subscriber: Subscriber, pbx: SimulatedPbx) -> dict[str, str | None]:
    """The state of every user as a subscriber knows it."""
    return {dn: subscriber.latest.get(f"3cx/users/{dn}/state") for dn in pbx.users}


async def until_correct(subscriber: Subscriber, pbx: SimulatedPbx, within: float) -> float:
    """Wait until every user's state is true and bridge and PBX are online; gives the seconds that this took."""

    def is_correct() -> bool:
        online = (subscriber.latest.get(f"3cx/bridge/{topic}") for topic in ("state", "pbx"))
        return published(subscriber, pbx) == expected_states(pbx) and set(online) == {"online"}

    def wrong() -> object:
        there = published(subscriber, pbx)
        states = {dn: (there[dn], state) for dn, state in expected_states(pbx).items() if there[dn] != state}
        return {"published and true": states, "of": subscriber.latest}

    return await until(is_correct, within, wrong)


class Log:
    """What the bridge logs, by message."""

    def __init__(self) -> None:
        self.records: list[tuple[int, str]] = []

    def __call__(self, record: logging.LogRecord) -> None:
        self.records.append((record.levelno, record.getMessage()))

    def levels(self, words: str) -> list[int]:
        """The level of each line with these words, in order."""
        return [level for level, message in self.records if words in message]

    def warnings(self) -> Counter[str]:
        """Warnings and errors, and how often each was logged."""
        return Counter(message for level, message in self.records if level >= logging.WARNING)

    def is_logged_once(self, words: str) -> None:
        """Several failures of this name were logged, the first as a warning or error and the others at debug."""
        levels = self.levels(words)
        assert len(levels) >= 2, (words, self.records)
        assert levels[0] >= logging.WARNING, (words, levels)
        assert set(levels[1:]) == {logging.DEBUG}, (words, levels)
        assert not {message: times for message, times in self.warnings().items() if times > 1}


@asynccontextmanager
async def listening() -> AsyncIterator[Log]:
    """Everything that is logged by the bridge during the block."""
    log = Log()
    handler = logging.Handler(logging.DEBUG)
    handler.emit = log  # type: ignore[method-assign]  # all that a handler does
    logger = logging.getLogger("bridge")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield log
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
