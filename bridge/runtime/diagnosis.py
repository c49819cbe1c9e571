"""What `check` and the status line say about PBX and sources: texts for people, from what the sources reported last."""

import logging
from collections.abc import Callable, Iterator, Mapping

from bridge.config import Config
from bridge.domain.finding import Finding, Verdict, fail, ok, warn
from bridge.domain.model import FactKind, SourceReport
from bridge.domain.presence import NO_PRESENCE
from bridge.domain.updates import Answered, Calls, Failure, Queues, Round, SystemSeen, Update
from bridge.engine.engine import Engine
from bridge.errors import EXIT_UNREACHABLE, SourceMissing, SourcePermissionError
from bridge.sources.threecx import probe

_logger = logging.getLogger(__name__)


class Diagnosis:
    """Explains the state of PBX and sources. `note` is called with every update, ahead of the engine."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        has_token: Callable[[], bool],
        shared: Callable[[], str | None],
        ignored: Mapping[str, str],
    ) -> None:
        """`has_token`: whether the PBX has accepted the login. `shared`: that another program uses the same API client.

        `ignored`: problems of options that the PBX ignores, by source.
        """
        self._config = config
        self._engine = engine
        self._has_token = has_token
        self._shared = shared
        self._ignored = ignored
        self._last: dict[str, Update] = {}
        """By source: its last complete reading, or why there was none."""

    def note(self, update: Update) -> None:
        """A source has reported this."""
        match update:
            case Answered():
                self._last[probe.NAME] = update
            case (
                Round(source=source)
                | Calls(source=source)
                | Queues(source=source)
                | SystemSeen(source=source)
                | Failure(source=source)
            ):
                self._last[source] = update

    @property
    def probed(self) -> bool:
        """Whether the probe has reported."""
        return probe.NAME in self._last

    def findings(self) -> Iterator[Finding]:
        """Token and version first; the sources only if the PBX accepts the login."""
        login = list(self._login(self._last.get(probe.NAME)))
        yield from login
        if any(finding.verdict is Verdict.FAIL for finding in login):
            return
        for report in self._engine.sources():
            last = self._last.get(report.name)
            if isinstance(last, Failure):
                yield self._failed(last)
            elif last is not None:
                yield self._works(report, last)
            elif self._config.sources[report.name].on:
                yield fail(report.name, "has not answered yet", EXIT_UNREACHABLE)
            else:
                yield ok(report.name, f"{report.reason}")

    @property
    def problem(self) -> str | None:
        """What keeps the PBX from being read; None: nothing, or nothing that an administrator has to fix."""
        if not self._last:
            return "no answer yet"
        if (shared := self._shared()) is not None:
            return shared
        failures = [last for last in self._last.values() if isinstance(last, Failure)]
        bad = (finding for finding in map(self._failed, failures) if finding.verdict is Verdict.FAIL)
        return next((finding.message for finding in bad), None)

    def log_sources(self) -> None:
        """Log which sources are in use, and why users are missing or unknown. Once, when all sources have reported."""
        sources = self._engine.sources()
        used, unused = (
            ", ".join(report.name for report in sources if report.in_use is wanted) for wanted in (True, False)
        )
        if used:  # otherwise each source has logged already why it is not in use
            count = len(self._engine.users())
            _logger.info("%d users from %s%s", count, used, f"; not in use: {unused}" if unused else "")
        for problem in (self._none_admitted(), self._no_presence()):
            if problem is not None:
                _logger.warning("%s", problem)

    def _login(self, last: Update | None) -> Iterator[Finding]:
        """Whether the PBX answers and accepts the API client."""
        pbx = self._config.pbx
        shared = self._shared()
        granted = warn("token", shared) if shared else ok("token", f"{pbx.url} accepts client_id {pbx.client_id!r}")
        match last:
            case Answered(version=version):
                yield granted
                yield (
                    ok("version", f"3CX {version}")
                    if version
                    else warn("version", "the PBX does not report its version")
                )
            case Failure(error=error) if error.answered and self._has_token():
                yield granted
                yield warn("version", last.reason)
            case Failure(error=error):
                yield fail("token", last.reason, error.exit_code)
            case _:
                yield fail("token", f"no answer from {pbx.url} yet", EXIT_UNREACHABLE)

    def _failed(self, failure: Failure) -> Finding:
        """A source that cannot be read; where it is optional (`enabled: auto`), a refusal is no failure of `check`."""
        settings = self._config.sources.get(failure.source)
        optional = settings is not None and not settings.required
        if optional and isinstance(failure.error, SourceMissing):
            return ok(failure.source, f"not used: {failure.reason}")
        if optional and isinstance(failure.error, SourcePermissionError):
            return warn(failure.source, failure.reason)
        return fail(failure.source, failure.reason, failure.error.exit_code)

    def _works(self, report: SourceReport, last: Update) -> Finding:
        if report.reason is not None:
            return warn(report.name, report.reason)
        if isinstance(last, Round):
            problem = self._ignored.get(report.name) or self._none_passed(report.name, last) or self._none_admitted()
            if problem is None and report.name in self._monitor_sources():
                problem = self._no_presence()
            return ok(report.name, f"{len(last.rows)} rows") if problem is None else warn(report.name, problem)
        if isinstance(last, Calls) and last.covered is not None:
            return ok(report.name, f"pushes the calls of {len(last.covered)} extensions")
        if isinstance(last, Queues):
            return ok(report.name, f"{len(last.queues)} queue{'' if len(last.queues) == 1 else 's'}")
        return ok(report.name, "works")

    def _none_passed(self, source: str, last: Round) -> str | None:
        """Which options of the source hide all rows; None where there are some, or none of its options hides any."""
        query = self._config.sources[source].query
        options = {"filter": query.filter, "search": query.search, "skip": query.skip or None}
        named = [name for name, value in options.items() if value is not None]
        if last.rows or not named:
            return None
        place = self._config.place(f"sources.{source}.{named[0]}")
        return f"no rows: {place} sources.{source}.{' and '.join(named)} lets nobody through"

    def _none_admitted(self) -> str | None:
        """Why no user is published although the PBX reports some; None where that is not so."""
        reported = max((len(last.rows) for last in self._last.values() if isinstance(last, Round)), default=0)
        if not reported or self._engine.population:
            return None
        place = self._config.place("users")
        return f"{place} users: of {reported} users that the PBX reports, include, exclude and special admit none"

    def _monitor_sources(self) -> list[str]:
        return [each.name for each in self._config.source_descriptions if each.on and each.monitor_rows]

    def _no_presence(self) -> str | None:
        """What to do where only monitor rows are read, and they carry no state; None where that is not so."""
        if not any(user.reason == NO_PRESENCE for user in self._engine.users()):
            return None
        people = [each for each in self._config.source_descriptions if each.kind is FactKind.PEOPLE]
        options = " or ".join(f"sources.{each.name}.enabled" for each in people if not each.monitor_rows)
        return f"{NO_PRESENCE} on this 3CX: states are unknown; set {options} to true"
