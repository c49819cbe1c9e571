"""The process around one bridge: signals, and reading the configuration again."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

from bridge import __version__, log
from bridge.aio import in_daemon_thread
from bridge.config import Config
from bridge.errors import ConfigError, Problem
from bridge.runtime.process import Process
from bridge.runtime.supervision import Supervision
from bridge.runtime.tenant import Tenant
from bridge.sources.threecx.client.login_backoff import LoginBackoff, state_directory

_logger = logging.getLogger(__name__)


async def run(path: Path, config: Config, read: Callable[[], Config], supervision: Supervision) -> None:
    """The daemon: run `config` until SIGTERM or SIGINT; on SIGHUP, go on with what `read` returns then.

    `path` is the file that is read, for the log.
    """
    _logger.info("3cx2mqtt %s, with %s", __version__, path)
    daemon = Daemon(path, read, LoginBackoff(config.pbx, state_directory()), supervision)
    handle_signals(daemon.stop, daemon.reload.set)
    await daemon.run(config)


def handle_signals(stop: Callable[[], None], reload: Callable[[], None]) -> None:
    """Call these on SIGTERM and SIGINT, and on SIGHUP.

    SIGHUP is blocked since the start: one that came then comes now.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


class Daemon:
    """Runs one PBX, and reads its configuration again when asked to."""

    def __init__(
        self, path: Path, read: Callable[[], Config], refusals: LoginBackoff, supervision: Supervision
    ) -> None:
        self._path = path
        self._read_config = read
        self._supervision = supervision
        self._tenant = Tenant(refusals, Process(supervision=supervision))
        self._tenant.stopping = supervision.stopping
        self.reload = asyncio.Event()

    def stop(self) -> None:
        """End `run`."""
        self._tenant.change(None)

    async def run(self, config: Config) -> None:
        """Run until `stop`."""
        announce(config.warnings)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read_when_asked(), name="reload")
            await self._tenant.run(config)
            reading.cancel()

    async def _read_when_asked(self) -> None:
        while True:
            await self.reload.wait()
            self.reload.clear()
            if (config := await self._read()) is not None:
                announce(config.warnings)
                self._tenant.change(config)

    async def _read(self) -> Config | None:
        """The new configuration; None, with its errors logged, where it is not valid."""
        self._supervision.reloading()
        try:
            # The disk may be slow, and calls come in meanwhile.
            config = await in_daemon_thread("reload", self._read_config, lambda _: None)
        except ConfigError as error:
            _logger.error("not reloaded, the running configuration stays:")  # noqa: TRY400
            log_problems(error.problems)
            self._supervision.reload_rejected()
            return None
        log.setup(config.log, config.secrets())
        _logger.info("configuration read again from %s", self._path)
        return config


def announce(warnings: Iterable[str]) -> None:
    """Log the warnings about a configuration."""
    for warning in warnings:
        _logger.warning("%s", warning)


def log_problems(problems: Iterable[Problem]) -> None:
    """Log what is wrong with a configuration."""
    for problem in problems:
        _logger.error("%s", problem)
