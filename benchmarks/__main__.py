"""`python -m benchmarks [NAMES] [--users 100 1000] [--seconds 30]`: all benchmarks, or those named."""

import argparse
import asyncio
import platform
import tempfile
from argparse import Namespace
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks import failover, fleet, groups, latency, rate, start, web
from tests.support.mosquitto import Mosquitto


async def _start(options: Namespace) -> AsyncIterator[str]:
    for users in options.users:
        for max_rate in (1000, 0):
            with tempfile.TemporaryDirectory() as folder:
                async with Mosquitto(Path(folder)) as broker:
                    yield await start.measure(Path(folder), broker, users, max_rate, options.seconds)


async def _latency(options: Namespace) -> AsyncIterator[str]:
    for push, events_a_second in ((True, 100.0), (False, 20.0)):
        with tempfile.TemporaryDirectory() as folder:
            async with Mosquitto(Path(folder)) as broker:
                yield await latency.measure(
                    Path(folder), broker, 1000, rate=events_a_second, seconds=options.seconds, push=push
                )


async def _rate(options: Namespace) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        async with Mosquitto(Path(folder)) as broker:
            for qos in (1, 0):
                yield await rate.measure(broker.port, qos, options.messages)


async def _groups(options: Namespace) -> AsyncIterator[str]:
    for users in options.users:
        yield groups.measure(users)


async def _web(options: Namespace) -> AsyncIterator[str]:
    for users in options.users:
        with tempfile.TemporaryDirectory() as folder:
            async with Mosquitto(Path(folder)) as broker:
                changes = 100.0 if users == _LIVELY else 0.0
                async for line in web.measure(Path(folder), broker, users, rate=changes, seconds=options.seconds):
                    yield line
    with tempfile.TemporaryDirectory() as folder:
        async with Mosquitto(Path(folder)) as broker:
            yield await web.idle(Path(folder), broker, _LIVELY, 200, options.seconds)


async def _failover(_options: Namespace) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        async for line in failover.all_of_them(Path(folder)):
            yield line


async def _fleet(options: Namespace) -> AsyncIterator[str]:
    for pbxs, single in ((options.pbxs, False), (min(options.pbxs, _SINGLES), True)):
        with tempfile.TemporaryDirectory() as folder:
            (broker_folder := Path(folder, "broker")).mkdir()
            (configurations := Path(folder, "pbxs")).mkdir()
            async with Mosquitto(broker_folder) as broker:
                measured = fleet.measure(configurations, broker, pbxs, _USERS_EACH, options.seconds, single=single)
                async for line in measured:
                    yield line


_SINGLES = 20
"""PBXs with a process each; more would need more memory than there is."""
_USERS_EACH = 40
_LIVELY = 1000
"""The size of PBX with which changes are timed."""

_BENCHMARKS = {
    "web": _web,
    "start": _start,
    "latency": _latency,
    "rate": _rate,
    "groups": _groups,
    "failover": _failover,
    "fleet": _fleet,
}


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(_BENCHMARKS)}; default: all")
    parser.add_argument("--users", type=int, nargs="*", default=[100, 1000, 10_000], help="sizes of the PBX")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the steady state is watched")
    parser.add_argument("--pbxs", type=int, default=300, help="how many PBXs a fleet has")
    parser.add_argument("--messages", type=int, default=10_000, help="how many messages the publish rate is taken over")
    options = parser.parse_args()
    if unknown := set(options.names) - _BENCHMARKS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: there are {', '.join(_BENCHMARKS)}")
    print(f"Python {platform.python_version()}, PBX, broker, bridge and subscriber on this machine\n")
    for name in options.names or _BENCHMARKS:
        async for line in _BENCHMARKS[name](options):
            print(line, flush=True)


asyncio.run(_main())
