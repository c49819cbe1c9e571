"""The process around the bridge: signals, reloads, and what outlives a reload."""

import asyncio
import logging
import random
import signal
from collections.abc import Callable
from pathlib import Path

from bridge import __version__, log
from bridge.aio import in_daemon_thread
from bridge.config import Config
from bridge.errors import ConfigError
from bridge.mqtt.standby.pair import Pair
from bridge.runtime.about import new_identity
from bridge.runtime.bridge import Bridge
from bridge.runtime.supervision import Supervision
from bridge.sources.threecx.client.login_backoff import LoginBackoff, state_directory

_logger = logging.getLogger(__name__)


async def run(path: Path, config: Config, read: Callable[[], Config], supervision: Supervision) -> None:
    """The daemon: run `config` until SIGTERM or SIGINT; on SIGHUP, go on with what `read` returns then.

    `path` is the file that is read, for the log.
    """
    _logger.info("3cx2mqtt %s, with %s", __version__, path)
    daemon = Daemon(path, read, LoginBackoff(config.pbx, state_directory()), supervision)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop.set)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # blocked since the start: one that came then comes now
    await daemon.run(config)


class Daemon:
    """Runs one bridge after another as the configuration changes, on one connection to the broker where possible."""

    def __init__(
        self, path: Path, read: Callable[[], Config], refusals: LoginBackoff, supervision: Supervision
    ) -> None:
        """`refusals` outlives reloads: a reload is no reason to try a refused login again too soon."""
        self._path = path
        self._read_config = read
        self._refusals = refusals
        self._supervision = supervision
        self._identity = new_identity()
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()

    async def run(self, config: Config) -> None:
        """Run until `stop` is set."""
        wanted: Config | None = self._announced(config)
        while wanted is not None:
            wanted = await self._one_connection(wanted)

    async def _one_connection(self, config: Config) -> Config | None:
        """Run on one connection to the broker, across all reloads that keep its options.

        Returns the configuration that needs another connection, or None to stop.
        """
        pair = self._pair(config)
        current = config
        bridge = self._bridge(current, pair)
        session = bridge.session
        link = asyncio.create_task(session.run(), name="mqtt")
        work = asyncio.create_task(bridge.work(), name="bridge")
        try:
            while True:
                wanted = await self._wanted(link, work, current)
                if wanted is None or _connection_of(wanted) != _connection_of(config):
                    return wanted
                await _ended(work)  # before the new one begins: a second login would end the token of the first
                current = wanted
                earlier, bridge = bridge, self._bridge(current, pair)
                bridge.take_over(session, earlier)
                work = asyncio.create_task(bridge.work(), name="bridge")
        finally:
            try:
                await _ended(link)  # first, as it publishes `offline` after everything else
            finally:
                await _ended(work)

    def _pair(self, config: Config) -> Pair | None:
        """The pair that this process is one of; None where it is alone."""
        if not config.standby.enabled:
            return None
        rng = random.Random()  # noqa: S311  # jitter
        return Pair(config.mqtt, config.standby, config.topics, self._identity.instance, rng)

    def _bridge(self, config: Config, pair: Pair | None) -> Bridge:
        self._refusals = self._refusals.for_settings(config.pbx)
        return Bridge(
            config,
            refusals=self._refusals,
            supervision=self._supervision,
            identity=self._identity,
            pair=pair,
        )

    async def _wanted(self, link: asyncio.Task[None], work: asyncio.Task[None], current: Config) -> Config | None:
        """Wait for a reload and return its configuration, or None to stop; raises the error of a task that failed.

        The `current` one is returned where another bridge of the pair has become the active one.
        """
        stopped = asyncio.create_task(self.stop.wait(), name="stop")
        try:
            while True:
                reloading = asyncio.create_task(self.reload.wait(), name="reload")
                await asyncio.wait({link, work, stopped, reloading}, return_when=asyncio.FIRST_COMPLETED)
                reloading.cancel()
                for task in (link, work):
                    if task.done():
                        await task
                if self.stop.is_set():
                    self._supervision.stopping()
                    return None
                if not self.reload.is_set():
                    return current
                self.reload.clear()
                if (config := await self._read()) is not None:
                    return self._announced(config)
        finally:
            stopped.cancel()

    def _announced(self, config: Config) -> Config:
        """The configuration, its warnings logged."""
        for warning in config.warnings:
            _logger.warning("%s", warning)
        return config

    async def _read(self) -> Config | None:
        """The new configuration; None, with its errors logged, where it is not valid."""
        self._supervision.reloading()
        try:
            # The disk may be slow, and calls come in meanwhile.
            config = await in_daemon_thread("reload", self._read_config, lambda _: None)
        except ConfigError as error:
            _logger.error("not reloaded, the running configuration stays:")  # noqa: TRY400
            for problem in error.problems:
                _logger.error("%s", problem)  # noqa: TRY400
            self._supervision.reload_rejected()
            return None
        log.setup(config.log, config.secrets())
        _logger.info("configuration read again from %s", self._path)
        return config


def _connection_of(config: Config) -> tuple[object, ...]:
    """The options that a connection to the broker depends on."""
    return config.mqtt, config.pbx.name, config.standby


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel the task and wait for its end; raises the error that it failed with."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is not None:
        await task
