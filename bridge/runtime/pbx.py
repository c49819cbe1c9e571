"""Everything that reads the PBX: the sources that the configuration wants, and what each of them found last."""

import asyncio
import logging
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from bridge.config import Config
from bridge.domain.clock import Clock
from bridge.domain.finding import Finding, Verdict, fail, ok, warn
from bridge.domain.model import Answered, Calls, Command, Failure, Round, SourceReport, Update, UserCalls
from bridge.domain.presence import NO_PRESENCE
from bridge.engine.engine import Engine, Policy
from bridge.errors import EXIT_UNREACHABLE, SourceMissing, SourcePermissionError, SourceUnavailable
from bridge.log import Troubles, redacted
from bridge.ports import Liveness, Source
from bridge.sources.threecx import active_calls, call_control, monitor_status, parse, probe, users
from bridge.sources.threecx.active_calls import ActiveCalls
from bridge.sources.threecx.call_control import CallControl
from bridge.sources.threecx.client.auth import TokenAuth
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.client.call_control import CallControlApi
from bridge.sources.threecx.client.http import Http
from bridge.sources.threecx.client.login_backoff import LoginBackoff
from bridge.sources.threecx.client.xapi import Xapi
from bridge.sources.threecx.monitor_status import MonitorStatus
from bridge.sources.threecx.poll import Tools, good_for
from bridge.sources.threecx.probe import Probe
from bridge.sources.threecx.settings import Enabled
from bridge.sources.threecx.timing import USUAL, ThreecxTiming
from bridge.sources.threecx.users import Users
from bridge.sources.threecx.writer import Writer
from bridge.statistics import Statistics

RESTART = 30.0
"""Seconds after which a source that failed by a fault of the bridge itself is started anew."""

_NO_PRESENCE = "monitor status tells no presence on this 3CX: states are unknown; set sources.users.enabled to true"

_logger = logging.getLogger(__name__)


class Intake:
    """Feeds the engine with what the PBX says. `run` is its whole life."""

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
        self._http = Http(config.pbx)
        self._auth = TokenAuth(self._http, config.pbx, refusals, clock)
        access = AuthorisedClient(self._http, self._auth, clock, renews=renews)
        xapi = Xapi(access)
        tools = Tools(
            xapi, config.place, Troubles(_logger, monotonic=clock.monotonic), clock, rng, statistics, liveness, timing
        )
        self._active_calls = ActiveCalls(tools, config.active_calls) if config.active_calls.enabled else None
        self._sources = [Probe(tools, access, self._look_again), *self._enabled_sources(tools, access)]
        self._writer = Writer(xapi, engine.row, self._look_again, timing)
        self._on = {source.name for source in self._sources}
        self._last: dict[str, Update] = {}
        """By source: its last round, or why there was none."""
        self.settled = asyncio.Event()
        """Set once every source has been heard, for better or worse."""
        self.heard = asyncio.Event()
        """Set once the probe has been heard too: there is a finding about everything."""

    async def run(self) -> None:
        """Read until cancelled."""
        async with self._http, asyncio.TaskGroup() as tasks:
            if self._config.commands.any:
                tasks.create_task(self._writer.run(), name="commands")
            for source in self._sources:
                tasks.create_task(self._keep_reading(source), name=source.name)

    def refresh(self) -> None:
        """Have every source look at once."""
        for source in self._sources:
            source.refresh()

    def write(self, command: Command) -> None:
        """Change a user in the PBX, soon; BridgeError where too much waits already."""
        self._writer.submit(command)

    def findings(self) -> Iterator[Finding]:
        """How PBX and sources stand: token and version first, and the sources only if the PBX lets the client in."""
        entry = list(self._entry(self._last.get(probe.NAME)))
        yield from entry
        if any(finding.verdict is Verdict.FAIL for finding in entry):
            return
        for report in self._engine.sources():
            last = self._last.get(report.name)
            if isinstance(last, Failure):
                yield self._explained(last)
            elif last is not None:
                yield self._praised(report, last)
            elif report.name in self._on:
                yield fail(report.name, "has not answered yet", EXIT_UNREACHABLE)
            else:
                yield ok(report.name, f"{report.reason}")

    @property
    def trouble(self) -> str | None:
        """What keeps the PBX from being read, None while nothing does that anybody should mend."""
        if not self._last:
            return "no answer yet"
        failures = [last for last in self._last.values() if isinstance(last, Failure)]
        bad = (finding for finding in map(self._explained, failures) if finding.verdict is Verdict.FAIL)
        return next((finding.message for finding in bad), None)

    def _entry(self, last: Update | None) -> Iterator[Finding]:
        """Whether the PBX is there and lets the API client in."""
        pbx = self._config.pbx
        granted = ok("token", f"{pbx.url} accepts client_id {pbx.client_id!r}")
        match last:
            case Answered(version=version):
                yield granted
                yield (
                    ok("version", f"3CX {version}") if version else warn("version", "the PBX does not tell its version")
                )
            case Failure(error=error) if error.answered and self._auth.granted:
                yield granted
                yield warn("version", last.reason)
            case Failure(error=error):
                yield fail("token", last.reason, error.exit_code)
            case _:
                yield fail("token", f"no answer from {pbx.url} yet", EXIT_UNREACHABLE)

    def _explained(self, failure: Failure) -> Finding:
        """A source that the PBX refuses; nobody misses one that is only used where it can be."""
        modes = {
            monitor_status.NAME: self._config.monitor_status.enabled,
            call_control.NAME: self._config.call_control.enabled,
        }
        optional = modes.get(failure.source) is Enabled.AUTO
        if optional and isinstance(failure.error, SourceMissing):
            return ok(failure.source, f"not used: {failure.reason}")
        if optional and isinstance(failure.error, SourcePermissionError):
            return warn(failure.source, failure.reason)
        return fail(failure.source, failure.reason, failure.error.exit_code)

    def _praised(self, report: SourceReport, last: Update) -> Finding:
        if report.reason is not None:
            return warn(report.name, report.reason)
        if isinstance(last, Round):
            if (nobody := self._nobody()) is not None:
                return warn(report.name, nobody)
            if report.name == monitor_status.NAME and self._presence_is_missing():
                return warn(report.name, _NO_PRESENCE)
            return ok(report.name, f"{len(last.rows)} rows")
        if isinstance(last, Calls) and last.covered is not None:
            return ok(report.name, f"pushes the calls of {len(last.covered)} extensions")
        return ok(report.name, "is read")

    async def _keep_reading(self, source: Source) -> None:
        """Whatever a PBX may answer that nobody has thought of: the other sources go on, and this one starts over."""
        while True:
            try:
                await source.run(self._report)
            except Exception as error:  # see above
                _logger.exception("%s failed in a way that should not happen, please report it", source.name)
                reason = f"failed by a fault of the bridge ({type(error).__name__})"
                self._report(Failure(source.name, SourceUnavailable(reason), reason))
            await asyncio.sleep(RESTART)

    def _enabled_sources(self, tools: Tools, access: AuthorisedClient) -> Iterable[Source]:
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
        if isinstance(update, Failure):  # the PBX's own words are in it
            update = replace(update, reason=redacted(update.reason, self._config.secrets()))
        self._note(update)
        was_online = self._engine.pbx_online
        self._engine.apply(update)
        if self.settled.is_set() and self._engine.pbx_online and not was_online:
            self._look_again()  # whoever still waits after a failure need not
        if self._active_calls is not None and not isinstance(update, UserCalls):
            self._active_calls.relax(relaxed=self._engine.pushed)
        if not self.settled.is_set() and self._engine.settled:
            self.settled.set()
            self._tell_sources()
        if self.settled.is_set() and probe.NAME in self._last:
            self.heard.set()

    def _note(self, update: Update) -> None:
        match update:
            case Answered():
                self._last[probe.NAME] = update
            case Round(source=source) | Calls(source=source) | Failure(source=source):
                self._last[source] = update

    def _tell_sources(self) -> None:
        sources = self._engine.sources()
        used, unused = (
            ", ".join(report.name for report in sources if report.in_use is wanted) for wanted in (True, False)
        )
        if used:  # else each has said already why not
            count = len(self._engine.users())
            _logger.info("%d users from %s%s", count, used, f"; not in use: {unused}" if unused else "")
        if (nobody := self._nobody()) is not None:
            _logger.warning("%s", nobody)
        if self._presence_is_missing():
            _logger.warning("%s", _NO_PRESENCE)

    def _nobody(self) -> str | None:
        """Why nobody is published although the PBX reports users; None where that is not so."""
        reported = max((len(last.rows) for last in self._last.values() if isinstance(last, Round)), default=0)
        if not reported or self._engine.users():
            return None
        place = self._config.place("users")
        return f"{place} users: of {reported} users that the PBX reports, include, exclude and special let through none"

    def _presence_is_missing(self) -> bool:
        return any(user.reason == NO_PRESENCE for user in self._engine.users())

    def _look_again(self) -> None:
        for source in self._sources:
            if not isinstance(source, Probe):
                source.refresh()


def policy(config: Config) -> Policy:
    """What the engine has to know of the configuration."""
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
