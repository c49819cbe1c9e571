"""`python -m benchmarks [--users 100 1000 10000] [--seconds 30]`: start, steady state, latency and publish rate."""

import argparse
import asyncio
import platform
import tempfile
from pathlib import Path

from benchmarks import latency, rate, start
from tests.support.mosquitto import Mosquitto


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--users", type=int, nargs="*", default=[100, 1000, 10_000], help="sizes of the PBX")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the steady state is watched")
    parser.add_argument("--messages", type=int, default=10_000, help="how many messages the publish rate is taken over")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, PBX, broker, bridge and subscriber on this machine\n")
    for users in options.users:
        for max_rate in (1000, 0):
            with tempfile.TemporaryDirectory() as folder:
                async with Mosquitto(Path(folder)) as broker:
                    print(await start.measure(Path(folder), broker, users, max_rate, options.seconds), flush=True)
    for push, events_a_second in ((True, 100.0), (False, 20.0)):
        with tempfile.TemporaryDirectory() as folder:
            async with Mosquitto(Path(folder)) as broker:
                told = latency.measure(
                    Path(folder), broker, 1000, rate=events_a_second, seconds=options.seconds, push=push
                )
                print(await told, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        async with Mosquitto(Path(folder)) as broker:
            for qos in (1, 0):
                print(await rate.measure(broker.port, qos, options.messages), flush=True)


asyncio.run(_main())
