"""From an event in the PBX to the `state` at a subscriber, by push and by polling."""

import asyncio
import statistics
import sys
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from pathlib import Path

import psutil
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.support.mosquitto import Mosquitto

_CONFIG = """\
pbx: {{url: "{url}", client_id: busylights, client_secret: simulated-key}}
mqtt: {{host: 127.0.0.1, port: {port}}}
log: {{level: warning}}
"""


async def measure(folder: Path, broker: Mosquitto, users: int, *, rate: float, seconds: float, push: bool) -> str:
    """One line of results: median, 99th percentile and worst case of all events that a subscriber can have seen."""
    hold = 0.3 if push else 5.0
    pbx = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.busy_pbx", str(users), str(rate), str(seconds), str(int(rate * hold))),
        *("push" if push else "poll",),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    assert pbx.stdout is not None and pbx.stdin is not None
    url = (await pbx.stdout.readline()).decode().strip()
    config = folder / "bridge.yaml"
    config.write_text(_CONFIG.format(url=url, port=broker.port))
    seen: defaultdict[str, deque[tuple[float, str]]] = defaultdict(deque)
    client = _subscriber(broker.port, seen)
    bridge = await asyncio.create_subprocess_exec(sys.executable, "-m", "bridge", "run", "-c", str(config))
    try:
        while len(seen) < users:
            await asyncio.sleep(0.1)
        await asyncio.sleep(6)
        for states in seen.values():
            states.clear()
        process = psutil.Process(bridge.pid)
        used, began = _used(process), time.monotonic()
        pbx.stdin.write(b"go\n")
        events = (await pbx.stdout.read()).decode().split("\n")
        share = (_used(process) - used) / (time.monotonic() - began)
    finally:
        bridge.terminate()
        await bridge.wait()
        await pbx.wait()
        client.disconnect()
        client.loop_stop()
    return _line(events, seen, share, push=push)


def _subscriber(port: int, seen: defaultdict[str, deque[tuple[float, str]]]) -> Client:
    def on_message(_client: Client, _userdata: object, message: MQTTMessage) -> None:
        seen[message.topic.split("/")[2]].append((time.monotonic_ns(), message.payload.decode()))

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.subscribe("3cx/users/+/state", 1)
    client.loop_start()
    return client


def delays_of(events: list[str], seen: Mapping[str, deque[tuple[float, str]]]) -> tuple[list[float], int]:
    """The delays in milliseconds of the events that were seen, and how many were not.

    `events` are lines of `busy_pbx`; `seen` are the states of each DN with the monotonic time in nanoseconds, in order.
    """
    delays, missed = [], 0
    for line in filter(None, events):
        happened, dn, state = line.split()
        waiting = seen[dn]
        while waiting and waiting[0][0] < int(happened):
            waiting.popleft()
        if waiting and waiting[0][1] == state:
            delays.append((waiting.popleft()[0] - int(happened)) / 1e6)
        else:
            missed += 1
    return delays, missed


def _line(events: list[str], seen: Mapping[str, deque[tuple[float, str]]], share: float, *, push: bool) -> str:
    delays, missed = delays_of(events, seen)
    cuts = statistics.quantiles(delays, n=100)
    return (
        f"event to state by {'push' if push else 'polling'}: {len(delays)} events, p50 {cuts[49]:.1f} ms, "
        f"p99 {cuts[98]:.1f} ms, worst {max(delays):.1f} ms, not seen {missed}; bridge {share:.1%} of a core"
    )


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
