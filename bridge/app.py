"""Composition root: builds the parts from the configuration, runs them together, and stops them in order."""

import asyncio
import logging
import os
import random
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bridge.aio import wait_for
from bridge.config import Config, load
from bridge.domain.clock import Clock
from bridge.domain.message import Message
from bridge.domain.model import SourceReport, Update
from bridge.engine.core import Engine
from bridge.errors import ConfigError
from bridge.log import setup
from bridge.mqtt.outbox import Outbox
from bridge.mqtt.readback import Readback
from bridge.mqtt.router import Router
from bridge.mqtt.session import Hooks, Session
from bridge.outputs.hass.discovery import DiscoveryOutput
from bridge.outputs.state import StateOutput
from bridge.ports import Output, Source
from bridge.sources.threecx import monitor_status
from bridge.sources.threecx.auth import TokenAuth
from bridge.sources.threecx.http import Http
from bridge.sources.threecx.monitor_status import MonitorStatus
from bridge.sources.threecx.refusals import Refusals
from bridge.sources.threecx.settings import Enabled
from bridge.sources.threecx.xapi import Xapi
from bridge.topics import Topics

PATIENCE = 5.0
"""Seconds that the first publish waits for the first word of the PBX, to spare everybody a flash of `unknown`."""

_TICK = 1.0

_logger = logging.getLogger(__name__)


class Bridge:
    """One PBX, one broker, and everything between. `run` is its whole life."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        state_directory: Path | None = None,
    ) -> None:
        self._config = config
        self._clock = clock or Clock()
        self._rng = rng or random.Random()  # noqa: S311  # jitter
        self._topics = Topics(config.mqtt.base_topic, config.pbx.name, config.homeassistant.discovery_prefix)
        self._options = _options(config)
        self._outbox = outbox = Outbox()
        self._engine = Engine(
            config.users,
            SourceReport(monitor_status.NAME, in_use=False, reason=_why_not(config)),
            config.monitor_status.interval,
            self._outputs(),
            outbox,
            self._clock,
        )
        self._born = asyncio.Event()
        self._settled = asyncio.Event()
        self._synchronised = False
        listeners = {}
        if config.homeassistant.enabled:
            listeners[config.homeassistant.birth_topic] = self._homeassistant_spoke
        self._router = Router(self._topics, {"refresh": self._refresh}, listeners, outbox)
        self._session = Session(
            config.mqtt,
            self._topics,
            outbox,
            Hooks(self._ready, self._synchronise, self._router.filters, self._router.receive),
            self._clock,
            self._rng,
        )
        self._http = Http(config.pbx)
        auth = TokenAuth(self._http, config.pbx, Refusals(config.pbx, state_directory, self._clock.wall), self._clock)
        self._sources = self._enabled_sources(Xapi(self._http, auth))

    async def run(self) -> None:
        """Work until cancelled; then say `offline` and go."""
        async with self._http, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._session.run(), name="mqtt")
            tasks.create_task(self._keep_time(), name="clock")
            tasks.create_task(self._greet_homeassistant(), name="birth")
            for source in self._sources:
                tasks.create_task(source.run(self._report), name=source.name)

    def _outputs(self) -> Iterable[Output]:
        config = self._config
        host = urlsplit(config.pbx.url).hostname or ""
        about = {
            "pbx": {"name": config.pbx.name, "host": host},
            "options": self._options,
            "config": config.public(),
        }
        yield StateOutput(self._topics, about)
        if config.homeassistant.enabled:
            yield DiscoveryOutput(self._topics, host)

    def _enabled_sources(self, xapi: Xapi) -> list[Source]:
        config = self._config
        if config.monitor_status.enabled is Enabled.FALSE:
            self._settled.set()
            return []
        return [MonitorStatus(xapi, config.monitor_status, config.place, self._clock, self._rng)]

    def _report(self, update: Update) -> None:
        self._engine.apply(update)
        if self._engine.settled:
            self._settled.set()

    async def _ready(self) -> None:
        await wait_for(self._settled, PATIENCE)

    def _synchronise(self, retained: Readback) -> Iterable[Message]:
        if retained.owner not in {None, self._config.pbx.name}:
            _logger.error(
                "the topics under %s belong to the bridge of the PBX %r: give each bridge its own mqtt.base_topic "
                "(if that was this bridge's earlier pbx.name, its old topics stay until they are cleared)",
                self._config.mqtt.base_topic,
                retained.owner,
            )
        if not self._synchronised:
            self._synchronised = True
            self._engine.adopt(retained.remembered(), same_options=retained.options == self._options)
        return list(retained.difference(self._engine.snapshot()))

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._engine.tick()

    def _homeassistant_spoke(self, payload: bytes) -> None:
        if payload == self._config.homeassistant.birth_payload.encode():
            self._born.set()

    async def _greet_homeassistant(self) -> None:
        """After a start of Home Assistant, publish discovery again; not at once, as every bridge does so."""
        while True:
            await self._born.wait()
            await asyncio.sleep(self._rng.uniform(1, 10))
            self._born.clear()
            for message in self._engine.snapshot():
                if self._topics.is_discovery(message.topic):
                    self._outbox.publish(message)

    def _refresh(self, _request: Mapping[str, object]) -> object:
        self._engine.refresh()
        for source in self._sources:
            source.refresh()
        return None


async def run(path: Path, config: Config) -> None:
    """The daemon: run until SIGTERM or SIGINT; SIGHUP reads the file at `path` again and starts over with it."""
    loop = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    while not stop.is_set():
        for warning in config.warnings:
            _logger.warning("%s", warning)
        life = asyncio.create_task(Bridge(config, state_directory=_state_directory()).run(), name="bridge")
        config = await _until(life, stop, reload, path, config)


async def _until(
    life: asyncio.Task[None], stop: asyncio.Event, reload: asyncio.Event, path: Path, config: Config
) -> Config:
    """Wait for a reason to end this life of the bridge, end it, and return the configuration for the next."""
    stopped = asyncio.create_task(stop.wait(), name="stop")
    try:
        while True:
            reloading = asyncio.create_task(reload.wait(), name="reload")
            await asyncio.wait({life, stopped, reloading}, return_when=asyncio.FIRST_COMPLETED)
            reloading.cancel()
            if life.done() or stopped.done():
                return config
            reload.clear()
            try:
                return _reloaded(path)
            except ConfigError as error:
                _logger.error("not reloaded, the running configuration stays:\n%s", error)  # noqa: TRY400
    finally:
        stopped.cancel()
        life.cancel()
        await asyncio.wait({life})
        if not life.cancelled() and life.exception() is not None:
            await life


def _reloaded(path: Path) -> Config:
    config = load(path, os.environ)
    setup(config.log, config.secrets())
    _logger.info("configuration read again from %s", path)
    return config


def _state_directory() -> Path | None:
    """systemd's $STATE_DIRECTORY; the first, should there be several."""
    first = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(first) if first else None


def _options(config: Config) -> dict[str, object]:
    """What decides who is published; compared with the last run's to know whether it changed meanwhile."""
    query, users = config.monitor_status.query, config.users
    return {
        "monitor_status": {
            "enabled": config.monitor_status.enabled.value,
            "top": query.top,
            "skip": query.skip,
            "search": query.search,
            "filter": query.filter,
        },
        "users": {
            "include": list(users.include),
            "exclude": list(users.exclude),
            "special": users.special,
        },
    }


def _why_not(config: Config) -> str:
    if config.monitor_status.enabled is Enabled.FALSE:
        return "switched off by sources.monitor_status.enabled"
    return "not read yet"
