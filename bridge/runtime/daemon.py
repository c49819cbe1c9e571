"""The process around the bridge: signals, reloads, and what outlives a reload."""

import asyncio
import logging
import os
import signal
from pathlib import Path

from bridge import __version__, log
from bridge.config import Config, load
from bridge.errors import ConfigError
from bridge.runtime.bridge import Bridge
from bridge.runtime.supervision import Supervision
from bridge.sources.threecx.client.login_backoff import LoginBackoff, state_directory

_logger = logging.getLogger(__name__)


async def run(path: Path, config: Config, supervision: Supervision) -> None:
    """The daemon: run until SIGTERM or SIGINT; SIGHUP reads the file at `path` again and goes on with it."""
    _logger.info("3cx2mqtt %s, with %s", __version__, path)
    daemon = Daemon(path, LoginBackoff(config.pbx, state_directory()), supervision)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop.set)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload.set)
    await daemon.run(config)


class Daemon:
    """One bridge after another, as the configuration changes; the connection to the broker stays where it can."""

    def __init__(self, path: Path, refusals: LoginBackoff, supervision: Supervision) -> None:
        """`refusals` outlives reloads: no login is tried again too soon because of one."""
        self._path = path
        self._refusals = refusals
        self._supervision = supervision
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()

    async def run(self, config: Config) -> None:
        """Work until `stop` is set."""
        wanted: Config | None = config
        while wanted is not None:
            wanted = await self._one_connection(wanted)

    async def _one_connection(self, config: Config) -> Config | None:
        """As long as the broker may stay the same one; gives the configuration to go on with, None to stop."""
        bridge = self._bridge(config)
        session = bridge.session
        link = asyncio.create_task(session.run(), name="mqtt")
        life = asyncio.create_task(bridge.work(), name="bridge")
        try:
            while True:
                wanted = await self._wanted(link, life)
                if wanted is None or (wanted.mqtt, wanted.pbx.name) != (config.mqtt, config.pbx.name):
                    return wanted
                await _ended(life)
                earlier, bridge = bridge, self._bridge(wanted)
                bridge.take_over(session, earlier)
                life = asyncio.create_task(bridge.work(), name="bridge")
        finally:
            try:
                await _ended(link)  # first: it has the last word at the broker
            finally:
                await _ended(life)

    def _bridge(self, config: Config) -> Bridge:
        for warning in config.warnings:
            _logger.warning("%s", warning)
        self._refusals = self._refusals.for_settings(config.pbx)
        return Bridge(config, refusals=self._refusals, supervision=self._supervision)

    async def _wanted(self, *tasks: asyncio.Task[None]) -> Config | None:
        """Wait until another configuration is wanted, or None to stop; raises what one of the tasks failed by."""
        stopped = asyncio.create_task(self.stop.wait(), name="stop")
        try:
            while True:
                reloading = asyncio.create_task(self.reload.wait(), name="reload")
                await asyncio.wait({*tasks, stopped, reloading}, return_when=asyncio.FIRST_COMPLETED)
                reloading.cancel()
                for task in tasks:
                    if task.done():
                        await task
                if self.stop.is_set():
                    self._supervision.stopping()
                    return None
                self.reload.clear()
                if (config := self._read()) is not None:
                    return config
        finally:
            stopped.cancel()

    def _read(self) -> Config | None:
        self._supervision.reloading()
        try:
            config = load(self._path, os.environ)
        except ConfigError as error:
            _logger.error("not reloaded, the running configuration stays:")  # noqa: TRY400
            for problem in error.problems:
                _logger.error("%s", problem)  # noqa: TRY400
            self._supervision.reload_rejected()
            return None
        log.setup(config.log, config.secrets())
        _logger.info("configuration read again from %s", self._path)
        return config


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel, and wait for the end; what it failed by is raised."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is not None:
        await task
