"""One PBX for as long as its configuration is wanted: reloads, the pair, and what outlives both."""

import asyncio
import random
from collections.abc import Callable

from bridge.config import Config
from bridge.mqtt.standby.pair import Pair
from bridge.runtime.bridge import Bridge
from bridge.runtime.process import Process
from bridge.sources.threecx.client.login_backoff import LoginBackoff


class Tenant:
    """Runs one bridge after another as the configuration changes, on one connection to the broker where possible."""

    def __init__(self, refusals: LoginBackoff, process: Process) -> None:
        """`refusals` outlives reloads: a reload is no reason to try a refused login again too soon."""
        self._refusals = refusals
        self._process = process
        self._wanted: Config | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self.bridge: Bridge | None = None
        """The one that works, or stands by."""
        self.stopping: Callable[[], None] = lambda: None
        """Called once, before the last bridge is ended."""

    def change(self, config: Config | None) -> None:
        """Go on with this configuration; None: stop."""
        self._wanted = config
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """End `run` with this error."""
        self._failure = error
        self._changed.set()

    async def run(self, config: Config) -> None:
        """Run until `change(None)`; raises what a bridge fails with."""
        wanted: Config | None = config
        while wanted is not None:
            wanted = await self._one_connection(wanted)

    async def _one_connection(self, config: Config) -> Config | None:
        """Run on one connection to the broker, across all reloads that keep its options.

        Returns the configuration that needs another connection, or None to stop.
        """
        pair, current = self._pair(config), config
        self.bridge = bridge = self._bridge(current, pair)
        session = bridge.session
        link = asyncio.create_task(session.run(), name="mqtt")
        work = asyncio.create_task(bridge.work(), name="bridge")
        try:
            while True:
                wanted = await self._next(link, work, current)
                if wanted is None or _connection_of(wanted) != _connection_of(config):
                    return wanted
                await _ended(work)  # before the new one begins: a second login would end the token of the first
                current = wanted
                earlier, bridge = bridge, self._bridge(current, pair)
                bridge.take_over(session, earlier)
                self.bridge = bridge
                work = asyncio.create_task(bridge.work(), name="bridge")
        finally:
            try:
                await _ended(link)  # first, as it publishes `offline` after everything else
            finally:
                await _ended(work)

    async def _next(self, link: asyncio.Task[None], work: asyncio.Task[None], current: Config) -> Config | None:
        """Wait for a change and return its configuration, or None to stop; raises the error of a task that failed.

        The `current` one is returned where another bridge of the pair has become the active one.
        """
        changed = asyncio.create_task(self._changed.wait(), name="change")
        try:
            await asyncio.wait({link, work, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        for task in (link, work):
            if task.done():
                await task
        if not self._changed.is_set():
            return current
        self._changed.clear()
        if self._failure is not None:
            raise self._failure
        if self._wanted is None:
            self.stopping()
        return self._wanted

    def _pair(self, config: Config) -> Pair | None:
        """The pair that this process is one of; None where it is alone."""
        if not config.standby.enabled:
            return None
        rng = random.Random()  # noqa: S311  # jitter
        return Pair(config.mqtt, config.standby, config.topics, self._process.identity.instance, rng)

    def _bridge(self, config: Config, pair: Pair | None) -> Bridge:
        self._refusals = self._refusals.for_settings(config.pbx)
        return Bridge(config, refusals=self._refusals, process=self._process, pair=pair)


def _connection_of(config: Config) -> tuple[object, ...]:
    """The options that a connection to the broker depends on."""
    return config.mqtt, config.pbx.name, config.standby


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel the task and wait for its end; raises the error that it failed with."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is not None:
        await task
