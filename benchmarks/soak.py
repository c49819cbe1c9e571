"""`python -m benchmarks.soak [--minutes 3] [--seed N]`: random faults of both networks while people make calls.

Simulated PBX, Mosquitto and the bridge, with a link in front of either that fails at random, and other clients on the
broker that write over its topics, wipe them, or flood it. After each fault everything must become correct again: each
user's retained state as the PBX has it; no call event published twice, after the call's end, or an end while the call
is under way; in a time without faults, events from the beginning of each call to its end; and as many tasks and open
files and as much memory as before. Exit code 1 where something was not.
"""

import argparse
import asyncio
import gc
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from aiohttp import web

from benchmarks.crowd import clients
from bridge.runtime.timing import USUAL
from bridge.simulator import SimulatedPbx
from bridge.simulator.life import live
from tests.support.beside import beside
from tests.support.faults import (
    BLACK_HOLE,
    SILENCE,
    TRICKLE,
    Link,
    answering,
    cut,
    expected_states,
    living,
    own_tasks,
    published,
    reset,
    until,
    until_correct,
)
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

RECOVERY_LIMIT = 35.0
"""Seconds after the end of a fault: the longest pause between two attempts (30 s), and an attempt."""

_CONFIG = """\
pbx: {{name: hq, url: "{url}", client_id: busylights, client_secret: simulated-key, timeout: 1s}}
sources:
  monitor_status: {{enabled: false}}
  call_control: {{resync: 5s}}
mqtt: {{host: 127.0.0.1, port: {port}}}
"""
_USERS = 20
_KEEPALIVE = 2
_INTERVAL = 0.5
_LONG = (0.3, 0.3, 1.0, 1.0, 3.0, 3.0, 6.0, 12.0, 24.0)
"""Seconds that a fault lasts, one of these."""
_GROWTH = 24 * 2**20
"""Bytes that the memory may grow by after the first quarter of the run."""
_MORE_FILES = 4
"""Connections open and close on either side of two links; more than that is a leak."""
_ROUNDS = 5
"""Of a polled source, until the end of each call is published: that waits a second for siblings of the call."""
_CLOSES = (1000, 1001, 1008, 1011, 1012, 4401)
_BEGINNINGS = frozenset({"ringing", "dialing", "answered"})
_ONCE = _BEGINNINGS | {"ended"}


class CallLedger:
    """The call events that were published, and those that should have been."""

    def __init__(self, pbx: SimulatedPbx) -> None:
        self.wrong: list[str] = []
        self.calls = 0
        self._pbx = pbx
        self._published: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._took_part: set[tuple[str, str]] = set()

    def note_life(self, _what: str = "") -> None:
        """Who is in which call now."""
        for call in self._pbx.exchange.calls.values():
            self._took_part |= {
                (device.dn, str(call.id)) for device in call.devices.values() if device.dn in self._pbx.users
            }

    def begin(self) -> None:
        """From here on every event must be published; calls that are under way already do not count."""
        self._took_part.clear()
        self.note_life()
        self._before = frozenset(self._took_part)

    def read(self, subscriber: Subscriber) -> None:
        """Take in what a subscriber has received since the last time, and note events that contradict the calls."""
        for topic, payload, _ in subscriber.log:
            if not topic.endswith("/call"):
                continue
            event = json.loads(payload)
            dn, call, kind = topic.split("/")[2], event["id"], event["event_type"]
            kinds = self._published[dn, call]
            self.calls += not kinds
            if "ended" in kinds or (kind in _ONCE and kind in kinds):
                self.wrong.append(f"{kind} after {kinds} of call {call} of {dn}")
            kinds.append(kind)
        subscriber.log.clear()
        for (dn, call), kinds in self._published.items():
            under_way = any(str(each.id) == call for each in self._pbx.exchange.calls_of(dn))
            if under_way and "ended" in kinds:
                self.wrong.append(f"call {call} of {dn} is under way, and its end was published")

    def close(self) -> None:
        """Note each call since `begin` without an event for its beginning and one for its end."""
        for dn, call in sorted(self._took_part - self._before):
            kinds = self._published[dn, call]
            if not _BEGINNINGS & set(kinds) or kinds.count("ended") != 1:
                self.wrong.append(f"call {call} of {dn} was published as {kinds}")


@dataclass
class Day:
    """Everything that takes part."""

    pbx: SimulatedPbx
    broker: Mosquitto
    rng: random.Random
    """Of the faults; life has its own, so that these come in the same order whatever life does meanwhile."""
    life: random.Random
    to_pbx: Link
    to_broker: Link
    subscriber: Subscriber | None = None
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    tasks: set[int] = field(default_factory=set)
    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    """How many were open, sockets among them."""

    async def fail(self) -> None:
        """One fault, from its beginning to its end."""
        long = self.rng.choice(_LONG) * self.rng.uniform(0.5, 1)
        others = clients(self.broker.port, self.pbx, self.rng)
        names = [f"client: {name}" for name in others]
        faults = dict(self._faults())
        name = self.rng.choice([*faults, *names, *names])
        self.faults[name] += 1
        if name in faults:
            await faults[name]()
            await asyncio.sleep(long)
        else:
            async with others[name.removeprefix("client: ")]():
                await asyncio.sleep(long)
        self.pbx.intercept = None
        await self.to_pbx.heal()
        await self.to_broker.heal()
        if name in {"broker: stopped", "broker: killed"}:
            await self.broker.start()

    def _faults(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        somewhere = self.rng.randrange(2000)
        strikes = {
            "reset": reset(somewhere),
            "cut": cut(somewhere),
            "black hole": BLACK_HOLE,
            "silence": SILENCE,
            "a byte a second": TRICKLE,
        }
        found = [
            (f"{where}: {name}", _at_once(link.strike, fault))
            for where, link in (("PBX", self.to_pbx), ("broker", self.to_broker))
            for name, fault in strikes.items()
        ]
        for where, link in (("PBX", self.to_pbx), ("broker", self.to_broker)):
            found += [(f"{where}: refused", _at_once(link.refuse)), (f"{where}: dropped", _at_once(link.drop))]
        found += [
            (f"PBX: HTTP {status}", _at_once(self._answer, status)) for status in (401, 404, 429, 500, 502, 503, 504)
        ]
        found += [(f"socket: {code}", lambda code=code: self.pbx.stream.drop(code)) for code in _CLOSES]  # type: ignore[misc]
        return [
            *found,
            ("PBX: token void", _at_once(self.pbx.tokens.drop)),
            ("PBX: no JSON", _at_once(self._garbage)),
            ("PBX: restart with other calls", self._restart),
            ("broker: stopped", self.broker.stop),
            ("broker: killed", self.broker.kill),
        ]

    async def _restart(self) -> None:
        """Nobody is told of the calls that end and begin meanwhile."""
        self.pbx.stream.losing = 10**6
        exchange = self.pbx.exchange
        for call in list(exchange.calls):
            exchange.end(call)
        for dn in self.rng.sample(sorted(self.pbx.users), 3):
            exchange.ring("0301234567", dn)
        self.pbx.tokens.drop()
        await self.pbx.stream.drop(1012)
        self.pbx.stream.losing = 0

    def _answer(self, status: int) -> None:
        headers = {"Retry-After": "2"} if status == 429 else {}
        lists = ("/Users", "/ActiveCalls") if status in {401, 404} else ()
        self.pbx.intercept = answering(lambda: web.Response(status=status, headers=headers), *lists)

    def _garbage(self) -> None:
        self.pbx.intercept = answering(
            lambda: web.Response(body=b'{"value":[{"Number":', content_type="application/json"),
            "/Users",
            "/ActiveCalls",
        )


def _at_once(function: Callable[..., object], *arguments: object) -> Callable[[], Awaitable[None]]:
    async def begin() -> None:
        function(*arguments)

    return begin


@asynccontextmanager
async def _life(day: Day, ledger: CallLedger) -> AsyncIterator[None]:
    """People call, answer and go away for the length of the block."""
    async with beside(live(day.pbx, rng=day.life, pause=(0.1, 0.4), report=ledger.note_life)):
        yield


async def _soak(day: Day, minutes: float) -> CallLedger:
    ledger = CallLedger(day.pbx)
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end and not ledger.wrong:
        async with _life(day, ledger):
            for _ in range(day.rng.choice((1, 1, 1, 2, 3))):
                await day.fail()
        async with Subscriber(day.broker.port) as subscriber:  # a new subscriber gets what is retained
            await _recovers(day, ledger, subscriber)
            if ledger.wrong:
                break
            await _time_without_faults(day, ledger, subscriber)
    return ledger


async def _recovers(day: Day, ledger: CallLedger, subscriber: Subscriber) -> None:
    try:
        day.recoveries.append(await until_correct(subscriber, day.pbx, RECOVERY_LIMIT))
        await until(lambda: len(day.pbx.stream) == 1, RECOVERY_LIMIT, lambda: "no socket")
        day.pbx.requests.clear()
        await until(lambda: bool(day.pbx.requests_to("/callcontrol")), RECOVERY_LIMIT, lambda: "not read again")
        await until_correct(subscriber, day.pbx, RECOVERY_LIMIT)
    except AssertionError as error:
        wanted, there = expected_states(day.pbx), published(subscriber, day.pbx)
        differs = {dn: (there[dn], state) for dn, state in wanted.items() if there[dn] != state}
        ledger.wrong.append(f"{dict(day.faults)}: {str(error)[:80]}: published and true: {differs}")


async def _time_without_faults(day: Day, ledger: CallLedger, subscriber: Subscriber) -> None:
    """Nothing fails for a few seconds: each call is published from its beginning to its end."""
    ledger.read(subscriber)
    ledger.begin()
    async with _life(day, ledger):
        await asyncio.sleep(day.rng.uniform(2, 4))
    # Before the calls end: a call that is shorter than the interval of a polled source is never published.
    await until_correct(subscriber, day.pbx, RECOVERY_LIMIT)
    for call in list(day.pbx.exchange.calls):
        day.pbx.exchange.end(call)
    await until_correct(subscriber, day.pbx, RECOVERY_LIMIT)
    day.pbx.requests.clear()
    await until(lambda: len(day.pbx.requests_to("/Users")) >= _ROUNDS)
    ledger.read(subscriber)
    ledger.close()
    gc.collect()
    day.tasks.add(len(own_tasks(asyncio.all_tasks())))
    day.memory.append(psutil.Process().memory_info().rss)
    day.files.append(psutil.Process().num_fds())


def _summary(day: Day, ledger: CallLedger, warnings: Counter[str], minutes: float, seed: int) -> str:
    injected = ", ".join(f"{times} {name}" for name, times in sorted(day.faults.items()))
    ordered = sorted(day.recoveries)
    if day.memory:
        settled = day.memory[len(day.memory) // 4]
        if max(day.memory) - settled > _GROWTH:
            ledger.wrong.append(f"the memory has grown: {[each // 2**20 for each in day.memory]} MB")
        if min(day.files[-len(day.files) // 4 :]) - min(day.files) > _MORE_FILES:
            ledger.wrong.append(f"more and more files are open: {day.files}")
        if max(day.tasks) - min(day.tasks) > 2:
            ledger.wrong.append(f"tasks have become more or fewer: {sorted(day.tasks)}")
    worst = f"{ordered[-1]:.1f}" if ordered else "-"
    middle = f"{ordered[len(ordered) // 2]:.1f}" if ordered else "-"
    memory = f"{day.memory[0] // 2**20} to {day.memory[-1] // 2**20}" if day.memory else "-"
    files = f"{day.files[0]} to {day.files[-1]}" if day.files else "-"
    return (
        f"{minutes:g} min, seed {seed}: {sum(day.faults.values())} faults ({injected}); correct again after {middle} s "
        f"(the middle of {len(ordered)}), {worst} s at worst; {ledger.calls} calls published; {sum(warnings.values())} "
        f"warnings, {len(warnings)} different; tasks {sorted(day.tasks)}, memory {memory} MB, files {files}; "
        f"{len(ledger.wrong)} things wrong"
    )


@asynccontextmanager
async def _day(folder: Path, seed: int) -> AsyncIterator[Day]:
    pbx = SimulatedPbx(users=_USERS, version="20.0.10.51")
    rng = random.Random(seed)
    async with (
        pbx.serve() as url,
        Mosquitto(folder, persistent=rng.random() < 0.5) as broker,
        Link(urlsplit(url).port or 0) as to_pbx,
        Link(broker.port) as to_broker,
    ):
        path = folder / "bridge.yaml"
        path.write_text(_CONFIG.format(url=to_pbx.url, port=to_broker.port))
        async with living(path, keepalive=_KEEPALIVE, interval=_INTERVAL, timing=USUAL):
            yield Day(pbx, broker, rng, random.Random(seed + 1), to_pbx, to_broker)


async def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long to go on")
    parser.add_argument("--seed", type=int, default=None, help="the same faults in the same order again")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    warnings: Counter[str] = Counter()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.update([record.getMessage()])  # type: ignore[method-assign]  # all it does
    logging.getLogger("bridge").addHandler(handler)
    with tempfile.TemporaryDirectory() as folder:
        async with _day(Path(folder), seed) as day:
            ledger = await _soak(day, options.minutes)
            print(_summary(day, ledger, warnings, options.minutes, seed))
    for each in ledger.wrong:
        print(f"wrong: {each}")
    return 1 if ledger.wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
