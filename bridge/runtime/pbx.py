"""Reads the PBX: runs the sources that the configuration uses, restarts them, and passes what they report on."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bridge.config import Config
from bridge.domain.clock import Clock
from bridge.domain.finding import Finding
from bridge.domain.model import Command
from bridge.domain.updates import Failure, ShapesSeen, Update, UserCalls
from bridge.engine.engine import Engine
from bridge.errors import SourceUnavailable
from bridge.log import RepeatedFailures, redacted
from bridge.ports import Liveness, Relaxable, Source
from bridge.runtime.diagnosis import Diagnosis
from bridge.sources.table import TABLE
from bridge.sources.threecx.client.auth import TokenAuth
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.client.http import Http
from bridge.sources.threecx.client.login_backoff import LoginBackoff
from bridge.sources.threecx.client.xapi import Xapi
from bridge.sources.threecx.probe import Probe
from bridge.sources.threecx.recording.recorder import Recorder
from bridge.sources.threecx.search_check import SearchCheck
from bridge.sources.threecx.timing import USUAL, ThreecxTiming
from bridge.sources.threecx.tools import Tools
from bridge.sources.threecx.writer import Writer
from bridge.statistics import Statistics

_SHORTEST_WAIT = 0.01
"""Seconds: what is due a moment before or after now is published in one go."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Instruments:
    """What the reader shares with the rest of the process."""

    clock: Clock
    rng: random.Random
    statistics: Statistics
    liveness: Liveness


class PbxReader:
    """The sources of one PBX, all over one login. `run` is its whole life."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        instruments: Instruments,
        refusals: LoginBackoff,
        timing: ThreecxTiming = USUAL,
        *,
        renews: bool = True,
        permitted: Callable[[], bool] = lambda: True,
    ) -> None:
        """For `renews` see AuthorisedClient, for `permitted` Http."""
        self._config = config
        self._engine = engine
        self._clock = clock = instruments.clock
        self._timing = timing
        self._waiting = asyncio.Event()
        """Set while the engine has events of calls to publish later."""
        self._http = Http(config.pbx, permitted)
        auth = TokenAuth(self._http, config.pbx, refusals, clock)
        tools = _tools(config, AuthorisedClient(self._http, auth, clock, renews=renews), instruments, timing)
        self._sources = [
            TABLE[name].factory(tools, settings) for name, settings in config.sources.items() if settings.on
        ]
        self._relaxable = [source for source in self._sources if isinstance(source, Relaxable)]
        self._probe = Probe(tools, self._refresh_sources)
        self._writer = Writer(tools.xapi, engine.row, self._refresh_sources, timing)
        pushes = any(each.on and each.pushes for each in config.source_descriptions)
        self.recorder = Recorder(tools.client, self.refresh, config.secrets(), clock, pushes=pushes)
        self._shapes = tools.shapes
        self._new_shapes = asyncio.Event()
        self._shapes.changed = self._new_shapes.set
        self._search_check = SearchCheck(tools, config.sources)
        self._diagnosis = Diagnosis(
            config, engine, lambda: auth.granted, lambda: auth.shared, self._search_check.problems
        )
        self._searched = False
        """Whether the check of `search` was tried."""
        self.opened = asyncio.Event()
        """Set once requests can be sent."""
        self.settled = asyncio.Event()
        """Set once every source has reported: its first poll has finished, or it reported why it cannot."""
        self.reported = asyncio.Event()
        """Set once the probe has reported and `search` was checked, so that `findings` covers everything."""

    async def run(self) -> None:
        """Read until cancelled."""
        async with self._http, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publish_due(), name="call events")
            if self._config.commands.any:
                tasks.create_task(self._writer.run(), name="commands")
            for source in (self._probe, *self._sources):
                tasks.create_task(self._keep_running(source), name=source.name)
            tasks.create_task(self._report_shapes(), name="shapes")
            self.opened.set()
            await self.settled.wait()
            while not await self._search_check.run():
                self._note_reported(searched=True)
                await asyncio.sleep(self._timing.extras_interval)
            self._note_reported(searched=True)

    def refresh(self) -> None:
        """Read everything again now, the probe's answer included."""
        self._probe.refresh()
        self._refresh_sources()

    def write(self, command: Command) -> asyncio.Future[str | None]:
        """Change a user in the PBX soon, see `Writer.submit`; BridgeError where too many commands wait already."""
        return self._writer.submit(command)

    def findings(self) -> Iterable[Finding]:
        """How PBX and sources are doing, as `check` prints it."""
        return self._diagnosis.findings()

    @property
    def problem(self) -> str | None:
        """What keeps the PBX from being read; None: nothing, or nothing that an administrator has to fix."""
        return self._diagnosis.problem

    def shapes(self) -> dict[str, dict[str, int]]:
        """How often what the PBX sent was of which shape, by kind."""
        return self._shapes.counts()

    async def _report_shapes(self) -> None:
        """Report new shapes, not too often: each report is a message to all who follow `bridge/info`."""
        await self.settled.wait()
        while True:
            await self._new_shapes.wait()
            self._new_shapes.clear()
            self._report(ShapesSeen(self._shapes.seen()))
            await asyncio.sleep(self._timing.shapes_interval)

    async def _keep_running(self, source: Source) -> None:
        """An internal error in one source must not end the others; it is logged, and the source is started again."""
        while True:
            try:
                await source.run(self._report)
            except Exception as error:  # see above
                _logger.exception("%s: internal error, please report it", source.name)
                reason = f"internal error ({type(error).__name__}): please report it with the log"
                self._report(Failure(source.name, SourceUnavailable(reason), reason))
            await asyncio.sleep(self._timing.restart)

    async def _publish_due(self) -> None:
        """Publish events of calls when they are due: the engine waits for nothing, and ticks are far apart."""
        while True:
            await self._waiting.wait()
            due = self._engine.next_due
            if due is None:
                self._waiting.clear()
                continue
            await asyncio.sleep(max(_SHORTEST_WAIT, due - self._clock.monotonic()))
            self._engine.publish_due()

    def _report(self, update: Update) -> None:
        if isinstance(update, Failure):  # the reason may quote what the PBX sent
            update = replace(update, reason=redacted(update.reason, self._config.secrets()))
        self._diagnosis.note(update)
        was_online = self._engine.pbx_online
        self._engine.apply(update)
        if self._engine.next_due is not None:
            self._waiting.set()
        if self.settled.is_set() and self._engine.pbx_online and not was_online:
            self._refresh_sources()  # those that are still pausing after a failure
        if not isinstance(update, UserCalls):  # which come often, and never change what is covered
            for source in self._relaxable:
                source.relax(relaxed=self._engine.pushed)
        if not self.settled.is_set() and self._engine.settled:
            self.settled.set()
            self._diagnosis.log_sources()
        self._note_reported()

    def _note_reported(self, *, searched: bool = False) -> None:
        self._searched |= searched
        if self.settled.is_set() and self._diagnosis.probed and self._searched:
            self.reported.set()

    def _refresh_sources(self) -> None:
        for source in self._sources:
            source.refresh()


def _tools(config: Config, client: AuthorisedClient, instruments: Instruments, timing: ThreecxTiming) -> Tools:
    """What all sources share."""
    return Tools(
        client=client,
        xapi=Xapi(client, config.pbx.url),
        place=config.place,
        failures=RepeatedFailures(_logger, monotonic=instruments.clock.monotonic),
        clock=instruments.clock,
        rng=instruments.rng,
        statistics=instruments.statistics,
        liveness=instruments.liveness,
        caller_id=config.caller_id,
        timing=timing,
    )
