"""A whole bridge with its board, for a browser: a simulated PBX with any number of people, a broker, the bridge."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bridge.domain.clock import Clock
from bridge.runtime.bridge import Bridge
from bridge.simulator import SimulatedPbx
from bridge.simulator.life import live, settle
from tests.support.beside import beside
from tests.support.bridges import Hasty, read_config
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.subscriber import Subscriber

_LONG_AGO = 9000.0
"""Seconds."""

_CONFIG = """\
pbx: {{name: {name}, url: "{url}", client_id: {client_id}, client_secret: {client_secret}}}
sources:
  monitor_status: {{enabled: false}}
  users: {{interval: 1s}}
  queues: {{interval: 5s}}
mqtt: {{host: 127.0.0.1, port: {broker}}}
homeassistant: {{enabled: false}}
groups:
  Reception: ["100", "103", "106"]
  Sales: {{departments: [Sales]}}
lights:
  - {{name: ada, driver: zigbee2mqtt, topic: zigbee2mqtt/ada, users: ["100"]}}
  - {{name: bruno, driver: tasmota, topic: bruno, users: ["101"]}}
  - {{name: office, driver: wled, topic: wled/office, users: ["*"]}}
  - {{name: hotline, driver: shelly_gen2, topic: shellies/hotline, queue: "8000"}}
web: {{enabled: true, port: {port}{web}}}
{more}
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """What runs, and where the board is."""

    pbx: SimulatedPbx
    broker: Mosquitto
    port: int
    clock: "Past"
    bridge: "Running"

    @property
    def url(self) -> str:
        """The board's address."""
        return f"http://127.0.0.1:{self.port}/"


@asynccontextmanager
async def scene(
    folder: Path, *, users: int = 8, web: str = "", more: str = "", name: str = "hq", busy: int = 0
) -> AsyncIterator[Scene]:
    """Run all of it. `busy` is how many things have happened in the last hours, the same ones every time."""
    past = Past()
    pbx = SimulatedPbx(users=users, version="20.0.10.120", clock=past)
    settle(pbx)
    port = free_port()
    async with Mosquitto(folder) as broker, pbx.serve() as url:
        path = folder / "config.yaml"
        path.write_text(
            _CONFIG.format(
                name=name,
                url=url,
                client_id=pbx.client_id,
                client_secret=pbx.client_secret,
                broker=broker.port,
                port=port,
                web=f", {web}" if web else "",
                more=more,
            )
        )
        path.chmod(0o600)
        clock = Clock(wall=past)
        if busy:
            past.behind = _LONG_AGO
        async with Running(path, clock) as bridge, Subscriber(broker.port) as subscriber:
            await subscriber.until_latest("3cx/bridge/pbx", "online")
            await _happen(pbx, past, busy)
            yield Scene(pbx, broker, port, past, bridge)


class Running:
    """The bridge, which can be stopped and started again."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        bridge = Bridge(read_config(self._path), clock=self._clock, rng=Hasty())
        await self._stack.enter_async_context(beside(bridge.run()))

    async def stop(self) -> None:
        await self._stack.aclose()


class Past:
    """A clock that can be set back, so that states and calls have lasted for a while."""

    def __init__(self) -> None:
        self.behind = 0.0

    def __call__(self) -> float:
        return time.time() - self.behind


class _EnoughError(Exception):
    pass


async def _happen(pbx: SimulatedPbx, past: Past, times: int) -> None:
    """Let so many things happen between then and now."""
    left = times

    async def sleep(_: float) -> None:
        nonlocal left
        if left == 0:
            raise _EnoughError
        past.behind = _LONG_AGO * (left / times) ** 3
        left -= 1
        await asyncio.sleep(0.01)  # the bridge follows meanwhile

    if times:
        with suppress(_EnoughError):
            await live(pbx, rng=random.Random(7), sleep=sleep)
    past.behind = 0.0
