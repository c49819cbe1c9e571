"""Many PBXs: one process for all of them, against a process for each."""

import asyncio
import statistics
import sys
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.support.mosquitto import Mosquitto

_CONFIG = """\
pbx: {{name: s{number}, url: "{url}", client_id: busylights, client_secret: simulated-key}}
mqtt: {{host: 127.0.0.1, port: {port}, base_topic: pbx/s{number}}}
log: {{level: warning}}
"""
_RATE = 50.0
"""Events a second in all PBXs together: 1,000 calls a minute."""

Seen = defaultdict[str, deque[tuple[float, str]]]


async def measure(
    folder: Path, broker: Mosquitto, pbxs: int, users: int, seconds: float, *, single: bool
) -> AsyncIterator[str]:
    """Lines of results; `single`: a process for each PBX."""
    seen: Seen = defaultdict(deque)
    async with _simulated(pbxs, users) as simulated:
        await _configure(folder, broker, simulated, pbxs)
        with _Subscriber(broker.port, seen):
            began = time.monotonic()
            commands = [str(folder / f"s{number}.yaml") for number in range(pbxs)] if single else [str(folder)]
            async with _running(commands) as processes:
                while len(seen) < pbxs * users:
                    await asyncio.sleep(0.1)
                what = f"{pbxs} PBXs of {users} users in {len(processes)} process{'es' * (len(processes) > 1)}"
                yield f"{what}: all states after {time.monotonic() - began:.1f} s"
                await asyncio.sleep(30)  # until what was made at the start is set aside
                yield f"{what}, idle: {await _watched(processes, seconds)}"
                for flooded in (0, 1) if pbxs > 1 else (0,):
                    for states in seen.values():
                        states.clear()
                    events, watched = await asyncio.gather(
                        simulated.live(_RATE, seconds, flooded), _watched(processes, seconds)
                    )
                    flood = ", one PBX pushing 2,000 messages a second" * flooded
                    yield f"{what}, {_RATE:g} events a second{flood}: {_delays(events, seen)}; {watched}"


class _Simulated:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()

    async def live(self, rate: float, seconds: float, flooded: int) -> list[str]:
        """Let things happen; gives what happened."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{rate} {seconds} {flooded}\n".encode())
        lines = []
        while line := await self.line():
            lines.append(line)
        return lines


@asynccontextmanager
async def _simulated(pbxs: int, users: int) -> AsyncIterator[_Simulated]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.many_pbxs", str(pbxs), str(users)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    try:
        yield _Simulated(process)
    finally:
        process.kill()
        await process.wait()


async def _configure(folder: Path, broker: Mosquitto, simulated: _Simulated, pbxs: int) -> None:
    for number in range(pbxs):
        path = folder / f"s{number}.yaml"
        path.write_text(_CONFIG.format(number=number, url=await simulated.line(), port=broker.port))
        path.chmod(0o600)
    (folder / "fleet.yaml").write_text("log: {level: warning}\n")


@asynccontextmanager
async def _running(commands: Sequence[str]) -> AsyncIterator[list[psutil.Process]]:
    """`3cx2mqtt run -c` for each of the commands, with no warnings that say nothing here."""
    started = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "run", "-c", each), stderr=asyncio.subprocess.DEVNULL
        )
        for each in commands
    ]
    try:
        yield [psutil.Process(each.pid) for each in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            await process.wait()


class _Subscriber:
    """Notes when each state came, by PBX and DN."""

    def __init__(self, port: int, seen: Seen) -> None:
        def on_message(_client: Client, _userdata: object, message: MQTTMessage) -> None:
            _, name, _, dn, _ = message.topic.split("/")
            seen[f"{name[1:]} {dn}"].append((time.monotonic_ns(), message.payload.decode()))

        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("pbx/+/users/+/state", 1)

    def __enter__(self) -> None:
        self._client.loop_start()

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


async def _watched(processes: Sequence[psutil.Process], seconds: float) -> str:
    before, began = sum(map(_used, processes)), time.monotonic()
    await asyncio.sleep(seconds)
    share = (sum(map(_used, processes)) - before) / (time.monotonic() - began)
    memory = sum(each.memory_full_info().pss for each in processes) / 2**20
    return f"{share:.1%} of a core, {memory:.0f} MB"


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _delays(events: Sequence[str], seen: Seen) -> str:
    delays, missed = [], 0
    for happened, place, state in _parsed(events):
        waiting = seen[place]
        while waiting and waiting[0][0] < happened:
            waiting.popleft()
        if waiting and waiting[0][1] == state:
            delays.append((waiting.popleft()[0] - happened) / 1e6)
        else:
            missed += 1
    cuts = statistics.quantiles(delays, n=100)
    return (
        f"{len(delays)} events, p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, worst {max(delays):.1f} ms, "
        f"not seen {missed}"
    )


def _parsed(events: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    for line in events:
        happened, pbx, dn, state = line.split()
        yield int(happened), f"{pbx} {dn}", state
