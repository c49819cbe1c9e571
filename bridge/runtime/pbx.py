"""Reads the PBX: runs the sources that the configuration uses, restarts them, and passes what they report on."""

import asyncio
import logging
import random
from collections.abc import Iterable
from dataclasses import replace

from bridge.config import Config
from bridge.domain.clock import Clock
from bridge.domain.finding import Finding
from bridge.domain.model import Command, Failure, Update, UserCalls
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
from bridge.sources.threecx.timing import USUAL, ThreecxTiming
from bridge.sources.threecx.tools import Tools
from bridge.sources.threecx.writer import Writer
from bridge.statistics import Statistics

_logger = logging.getLogger(__name__)


class PbxReader:
    """The sources of one PBX, all over one login. `run` is its whole life."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        clock: Clock,
        rng: random.Random,
        statistics: Statistics,
        liveness: Liveness,
        refusals: LoginBackoff,
        timing: ThreecxTiming = USUAL,
        *,
        renews: bool = True,
    ) -> None:
        """For `renews` see AuthorisedClient."""
        self._config = config
        self._engine = engine
        self._timing = timing
        self._http = Http(config.pbx)
        auth = TokenAuth(self._http, config.pbx, refusals, clock)
        client = AuthorisedClient(self._http, auth, clock, renews=renews)
        tools = Tools(
            client=client,
            xapi=Xapi(client, config.pbx.url),
            place=config.place,
            failures=RepeatedFailures(_logger, monotonic=clock.monotonic),
            clock=clock,
            rng=rng,
            statistics=statistics,
            liveness=liveness,
            caller_id=config.caller_id,
            timing=timing,
        )
        self._sources = [
            TABLE[name].factory(tools, settings) for name, settings in config.sources.items() if settings.on
        ]
        self._relaxable = [source for source in self._sources if isinstance(source, Relaxable)]
        self._probe = Probe(tools, self._refresh_sources)
        self._writer = Writer(tools.xapi, engine.row, self._refresh_sources, timing)
        self._diagnosis = Diagnosis(config, engine, lambda: auth.granted)
        self.settled = asyncio.Event()
        """Set once every source has reported: its first poll has finished, or it reported why it cannot."""
        self.reported = asyncio.Event()
        """Set once the probe has reported too, so that `findings` has something to say about everything."""

    async def run(self) -> None:
        """Read until cancelled."""
        async with self._http, asyncio.TaskGroup() as tasks:
            if self._config.commands.any:
                tasks.create_task(self._writer.run(), name="commands")
            for source in (self._probe, *self._sources):
                tasks.create_task(self._keep_running(source), name=source.name)

    def refresh(self) -> None:
        """Read everything again now, the probe's answer included."""
        self._probe.refresh()
        self._refresh_sources()

    def write(self, command: Command) -> None:
        """Change a user in the PBX soon; BridgeError where too many commands are waiting already."""
        self._writer.submit(command)

    def findings(self) -> Iterable[Finding]:
        """How PBX and sources are doing, as `check` prints it."""
        return self._diagnosis.findings()

    @property
    def problem(self) -> str | None:
        """What keeps the PBX from being read; None: nothing, or nothing that anybody has to fix."""
        return self._diagnosis.problem

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

    def _report(self, update: Update) -> None:
        if isinstance(update, Failure):  # the reason may quote what the PBX sent
            update = replace(update, reason=redacted(update.reason, self._config.secrets()))
        self._diagnosis.note(update)
        was_online = self._engine.pbx_online
        self._engine.apply(update)
        if self.settled.is_set() and self._engine.pbx_online and not was_online:
            self._refresh_sources()  # those that are still pausing after a failure
        if not isinstance(update, UserCalls):  # which come often, and never change what is covered
            for source in self._relaxable:
                source.relax(relaxed=self._engine.pushed)
        if not self.settled.is_set() and self._engine.settled:
            self.settled.set()
            self._diagnosis.log_sources()
        if self.settled.is_set() and self._diagnosis.probed:
            self.reported.set()

    def _refresh_sources(self) -> None:
        for source in self._sources:
            source.refresh()
