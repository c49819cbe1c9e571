"""Composition root: builds the parts from the configuration, runs them together, and stops them in order."""

import asyncio
import logging
import os
import random
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bridge import log
from bridge.aio import wait_for
from bridge.config import Config, load
from bridge.controls import Controls
from bridge.domain.clock import Clock
from bridge.domain.message import Message
from bridge.domain.model import Failure, SourceReport, Update, UserCalls
from bridge.domain.presence import DEFAULT_PROFILES, NO_PRESENCE
from bridge.engine.commands import CommandDesk
from bridge.engine.core import Engine, Policy
from bridge.errors import ConfigError, SourceUnavailable
from bridge.health import Health
from bridge.log import Published, Troubles
from bridge.mqtt.outbox import Outbox
from bridge.mqtt.readback import Readback
from bridge.mqtt.router import Router
from bridge.mqtt.session import Hooks, Session
from bridge.outputs.hass.discovery import DiscoveryOutput
from bridge.outputs.hass.gate import Gate
from bridge.outputs.state import StateOutput
from bridge.ports import Output, Source
from bridge.sources.threecx import active_calls, call_control, monitor_status, parse, users
from bridge.sources.threecx.access import Access
from bridge.sources.threecx.active_calls import ActiveCalls
from bridge.sources.threecx.auth import TokenAuth
from bridge.sources.threecx.call_control import CallControl
from bridge.sources.threecx.call_control_api import CallControlApi
from bridge.sources.threecx.http import Http
from bridge.sources.threecx.monitor_status import MonitorStatus
from bridge.sources.threecx.poll import Tools, good_for
from bridge.sources.threecx.probe import Probe
from bridge.sources.threecx.refusals import Refusals
from bridge.sources.threecx.settings import Enabled, QueryOptions
from bridge.sources.threecx.users import Users
from bridge.sources.threecx.writer import Writer
from bridge.sources.threecx.xapi import Xapi
from bridge.topics import Topics

PATIENCE = 5.0
"""Seconds that the first publish waits for the first word of the PBX, to spare everybody a flash of `unknown`."""

RESTART = 30.0
"""Seconds after which a source that failed by a fault of the bridge itself is started anew."""

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
        refusals: Refusals | None = None,
    ) -> None:
        """`refusals` is the memory of an earlier life: no login is tried again too soon because of a reload."""
        self._config = config
        self._clock = clock or Clock()
        self._rng = rng or random.Random()  # noqa: S311  # jitter
        self._topics = Topics(config.mqtt.base_topic, config.pbx.name, config.homeassistant.discovery_prefix)
        self._options = _options(config)
        self._outbox = outbox = Outbox()
        self._gate = Gate(outbox, self._topics, self._clock.monotonic)
        self._engine = Engine(_policy(config), self._outputs(), self._gate, self._clock)
        self._born = asyncio.Event()
        self._settled = asyncio.Event()
        self._synchronised = False
        self._health = Health(self._clock)
        self._http = Http(config.pbx)
        refusals = refusals or Refusals(config.pbx, None, self._clock.wall)
        auth = TokenAuth(self._http, config.pbx, refusals, self._clock)
        access = Access(self._http, auth, self._clock)
        xapi = Xapi(access)
        tools = Tools(xapi, config.place, Troubles(_logger), self._clock, self._rng, self._health)
        self._active_calls = ActiveCalls(tools, config.active_calls) if config.active_calls.enabled else None
        self._sources = [Probe(tools, access, self._look_again), *self._enabled_sources(tools, access)]
        self._writer = Writer(xapi, self._engine.row, self._look_again)
        desk = CommandDesk(config.commands, lambda dn: self._engine.row(dn) is not None, self._writer.submit)
        self._writable = config.commands.profile or config.commands.queue
        listeners = {}
        if config.homeassistant.enabled:
            listeners[config.homeassistant.birth_topic] = self._homeassistant_spoke
        self._controls = Controls(self._topics, outbox, self._engine, self._health, self._refresh)
        setter = desk.receive if self._writable else None
        self._router = Router(self._topics, self._controls.operations, listeners, outbox, setter, self._gate.received)
        self._session = Session(
            config.mqtt,
            self._topics,
            outbox,
            Hooks(
                ready=self._ready,
                synchronise=self._synchronise,
                filters=self._router.filters,
                request_filters=self._router.request_filters,
                kept_filters=(self._topics.discovery("+"),),
                receive=self._router.receive,
            ),
            self._clock,
            self._rng,
            self._health,
        )

    async def run(self) -> None:
        """Work until cancelled; then say `offline` and go."""
        with Published(self._controls.publish_log, self._config.secrets()):
            await self._work()

    async def _work(self) -> None:
        async with self._http, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._session.run(), name="mqtt")
            tasks.create_task(self._keep_time(), name="clock")
            tasks.create_task(self._controls.tell_health(), name="health")
            tasks.create_task(self._greet_homeassistant(), name="birth")
            if self._writable:
                tasks.create_task(self._writer.run(), name="commands")
            for source in self._sources:
                tasks.create_task(self._keep_reading(source), name=source.name)

    async def _keep_reading(self, source: Source) -> None:
        """Whatever a PBX may answer that nobody has thought of: the other sources go on, and this one starts over."""
        while True:
            try:
                await source.run(self._report)
            except Exception as error:  # see above
                _logger.exception("%s failed in a way that should not happen, please report it", source.name)
                reason = f"failed by a fault of the bridge ({type(error).__name__})"
                self._engine.apply(Failure(source.name, SourceUnavailable(reason), reason))
            await asyncio.sleep(RESTART)

    def _outputs(self) -> Iterable[Output]:
        config = self._config
        host = urlsplit(config.pbx.url).hostname or ""
        about = {
            "pbx": {"name": config.pbx.name, "host": host},
            "options": self._options,
            "config": config.public(),
        }
        yield StateOutput(self._topics, about, monitor=config.monitor_status.enabled is not Enabled.FALSE)
        if config.homeassistant.enabled:
            profiles = tuple(DEFAULT_PROFILES) if config.commands.profile else ()
            yield DiscoveryOutput(self._topics, config.pbx.url, profiles=profiles, queue=config.commands.queue)

    def _enabled_sources(self, tools: Tools, access: Access) -> Iterable[Source]:
        config = self._config
        if config.monitor_status.enabled is not Enabled.FALSE:
            yield MonitorStatus(tools, config.monitor_status, partial(parse.monitor_row, caller_id=config.caller_id))
        if config.users_source.enabled:
            yield Users(tools, config.users_source)
        if self._active_calls is not None:
            yield self._active_calls
        if config.call_control.enabled is not Enabled.FALSE:
            yield CallControl(tools, CallControlApi(access), config.call_control)

    def _report(self, update: Update) -> None:
        was_online = self._engine.pbx_online
        self._engine.apply(update)
        if self._settled.is_set() and self._engine.pbx_online and not was_online:
            self._look_again()  # whoever still waits after a failure need not
        if self._active_calls is not None and not isinstance(update, UserCalls):
            self._active_calls.relax(relaxed=self._engine.pushed)
        if not self._settled.is_set() and self._engine.settled:
            self._settled.set()
            self._tell_sources()

    def _tell_sources(self) -> None:
        sources = self._engine.sources()
        if any(report.in_use for report in sources):  # else each has said already why not
            _logger.info("sources: %s", "; ".join(_in_words(report) for report in sources))
        if any(user.reason == NO_PRESENCE for user in self._engine.users()):
            _logger.warning("monitor status tells no presence on this 3CX: states are unknown; set sources.users on")

    def _look_again(self) -> None:
        for source in self._sources:
            if not isinstance(source, Probe):
                source.refresh()

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
        wanted = (*self._engine.snapshot(), *self._controls.retained())
        return list(self._gate.passing(retained.difference(self._gate.allowed(wanted))))

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._engine.tick()
            self._gate.tick()

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
                    self._gate.publish(message)

    def _refresh(self) -> None:
        self._engine.refresh()
        deleted = self._gate.restore()
        for message in self._engine.snapshot() if deleted else ():
            if message.topic in deleted:
                self._gate.publish(message)
        for source in self._sources:
            source.refresh()


async def run(path: Path, config: Config) -> None:
    """The daemon: run until SIGTERM or SIGINT; SIGHUP reads the file at `path` again and starts over with it."""
    loop = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    refusals = Refusals(config.pbx, _state_directory())
    while not stop.is_set():
        refusals = refusals.for_settings(config.pbx)
        for warning in config.warnings:
            _logger.warning("%s", warning)
        life = asyncio.create_task(Bridge(config, refusals=refusals).run(), name="bridge")
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
    log.setup(config.log, config.secrets())
    _logger.info("configuration read again from %s", path)
    return config


def _state_directory() -> Path | None:
    """systemd's $STATE_DIRECTORY; the first, should there be several."""
    first = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(first) if first else None


def _policy(config: Config) -> Policy:
    off = "switched off by sources.{}.enabled".format
    sources = {
        monitor_status.NAME: config.monitor_status.enabled is not Enabled.FALSE,
        users.NAME: config.users_source.enabled,
        active_calls.NAME: config.active_calls.enabled,
        call_control.NAME: config.call_control.enabled is not Enabled.FALSE,
    }
    intervals = [
        settings.interval
        for name, settings in (
            (monitor_status.NAME, config.monitor_status),
            (users.NAME, config.users_source),
            (active_calls.NAME, config.active_calls),
        )
        if sources[name]
    ]
    return Policy(
        users=config.users,
        rules=config.rules,
        caller_id=config.caller_id,
        groups=config.groups,
        sources={name: None if on else off(name) for name, on in sources.items()},
        push_required=config.call_control.enabled is Enabled.TRUE,
        bound=good_for(min(intervals, default=config.call_control.resync)),
    )


def _options(config: Config) -> dict[str, object]:
    """What decides who is published; compared with the last run's to know whether it changed meanwhile."""
    who = config.users
    return {
        monitor_status.NAME: {"enabled": config.monitor_status.enabled.value} | _query(config.monitor_status.query),
        users.NAME: {"enabled": config.users_source.enabled} | _query(config.users_source.query),
        "include": list(who.include),
        "exclude": list(who.exclude),
        "special": who.special,
    }


def _query(query: QueryOptions) -> dict[str, object]:
    return {"top": query.top, "skip": query.skip, "search": query.search, "filter": query.filter}


def _in_words(report: SourceReport) -> str:
    use = "in use" if report.in_use else "not in use"
    return f"{report.name} {use}" + (f" ({report.reason})" if report.reason else "")
