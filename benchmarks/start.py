"""From process start to the last `state` topic; then processor time, memory and messages while nothing changes."""

import asyncio
import sys
import time
from pathlib import Path

import psutil

from tests.support.mosquitto import Mosquitto, program

_CONFIG = """\
pbx: {{url: "{url}", client_id: busylights, client_secret: simulated-key}}
mqtt: {{host: 127.0.0.1, port: {port}, max_rate: {max_rate}}}
"""


async def measure(folder: Path, broker: Mosquitto, users: int, max_rate: int, seconds: float) -> str:
    """One line of results for a PBX of this size, polled every 5 s with the bridge's defaults."""
    pbx = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.quiet_pbx", str(users), stdout=asyncio.subprocess.PIPE
    )
    subscriber = await asyncio.create_subprocess_exec(
        *(program("mosquitto_sub"), "-p", str(broker.port), "-V", "5", "-F", "%t", "-t", "3cx/users/+/state"),
        *("-t", "3cx/bridge/state"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert pbx.stdout is not None and subscriber.stdout is not None
    try:
        url = (await pbx.stdout.readline()).decode().strip()
        config = folder / "bridge.yaml"
        config.write_text(_CONFIG.format(url=url, port=broker.port, max_rate=max_rate))
        began = time.perf_counter()
        bridge = await asyncio.create_subprocess_exec(sys.executable, "-m", "bridge", "run", "-c", str(config))
        try:
            return await _watch(subscriber.stdout, bridge.pid, began, users, max_rate, seconds)
        finally:
            bridge.terminate()
            await bridge.wait()
    finally:
        for process in (subscriber, pbx):
            process.terminate()
            await process.wait()


async def _watch(
    topics: asyncio.StreamReader, pid: int, began: float, users: int, max_rate: int, seconds: float
) -> str:
    seen: set[bytes] = set()
    last_state = 0.0
    while len(seen) < users or b"3cx/bridge/state\n" not in seen:
        topic = await asyncio.wait_for(topics.readline(), 120)
        seen.add(topic)
        if len(seen) <= users and topic != b"3cx/bridge/state\n":
            last_state = time.perf_counter() - began
    complete = time.perf_counter() - began
    process = psutil.Process(pid)
    await asyncio.sleep(6)  # let the first rounds after the start pass
    before, then = process.cpu_times(), time.perf_counter()
    await asyncio.sleep(seconds)
    after, now = process.cpu_times(), time.perf_counter()
    core = (after.user + after.system - before.user - before.system) / (now - then)
    more = 0
    while not topics.at_eof():
        try:
            await asyncio.wait_for(topics.readline(), 0.2)
        except TimeoutError:
            break
        more += 1
    memory = process.memory_info().rss / 2**20
    return (
        f"{users:>6} users, max_rate {max_rate:>4}: last state after {last_state:5.2f} s, all after {complete:5.2f} s, "
        f"then {core:6.2%} of a core, {memory:4.0f} MB, {more} messages"
    )
