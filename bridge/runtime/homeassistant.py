"""Publishes discovery again: when Home Assistant has started, and on a refresh what was deleted there."""

import asyncio
import random
from collections.abc import Callable, Container, Iterable

from bridge.domain.message import Message
from bridge.mqtt.router import Listener
from bridge.outputs.hass import birth
from bridge.outputs.hass.settings import HassSettings
from bridge.outputs.hass.throttle import DiscoveryThrottle

_PER_TURN = 50
"""Payloads rendered before other tasks get a turn: some 3 ms. All of 10,000 users would take half a second."""


class DiscoveryRepublisher:
    """Publishes all of discovery or a part of it. `run` works until cancelled; the other methods never wait."""

    def __init__(
        self,
        settings: HassSettings,
        discovery: Callable[[], Iterable[Message]],
        throttle: DiscoveryThrottle,
        rng: random.Random,
        repair: Callable[[], None],
    ) -> None:
        """`discovery` renders what should be retained, each device when its turn comes; `repair` mends all else."""
        self._settings = settings
        self._discovery = discovery
        self._throttle = throttle
        self._rng = rng
        self._repair = repair
        self._started = asyncio.Event()
        self._restored: set[str] = set()
        self._restoring = asyncio.Event()

    def receive(self, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as Listener demands
        """Take in a message of the birth topic."""
        if birth.is_start(self._settings, payload, retained=retained):
            self._started.set()

    def restore(self) -> None:
        """Publish the devices again whose discovery another client has cleared."""
        self._restored |= self._throttle.restore()
        if self._restored:
            self._restoring.set()

    async def run(self) -> None:
        """Publish when asked to, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._after_starts(), name="birth")
            tasks.create_task(self._after_refreshes(), name="restore")

    async def _after_starts(self) -> None:
        while True:
            await self._started.wait()
            await asyncio.sleep(self._rng.uniform(*birth.DELAY))
            self._started.clear()  # a second start during the wait is answered by the same publish
            await self._publish()
            self._repair()

    async def _after_refreshes(self) -> None:
        while True:
            await self._restoring.wait()
            self._restoring.clear()
            topics, self._restored = self._restored, set()
            await self._publish(topics)

    async def _publish(self, topics: Container[str] | None = None) -> None:
        """Publish discovery, or what of it is under `topics`."""
        if not self._throttle.in_sync:
            return  # the next connect synchronises all of it
        for number, message in enumerate(self._discovery(), start=1):
            if topics is None or message.topic in topics:
                self._throttle.publish(message)
            if number % _PER_TURN == 0:
                await asyncio.sleep(0)


def both(first: Listener, second: Listener | None) -> Listener:
    """One listener for a topic that means two things: the birth topic may be a light's availability topic too."""

    def receive(payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as Listener demands
        first(payload, retained)
        if second is not None:
            second(payload, retained)

    return receive
