"""Many PBXs in one process: a supervised bridge for each file of a folder, and one web server and log for all."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bridge import __version__, log
from bridge.aio import in_daemon_thread
from bridge.config import Config
from bridge.config.fleet import FleetConfig, ProcessConfig, conflicts
from bridge.domain.clock import Clock
from bridge.errors import ConfigError
from bridge.runtime import garbage
from bridge.runtime.about import new_identity
from bridge.runtime.daemon import announce, handle_signals, log_problems
from bridge.runtime.hall import Hall
from bridge.runtime.member import Condition, Member
from bridge.runtime.process import Process
from bridge.runtime.supervision import Supervision
from bridge.sources.threecx.client.login_backoff import state_directory
from bridge.web.many import Tenants
from bridge.web.settings import WebSettings

_AT_ONCE = 20
"""Bridges that start at a time: each logs in, reads its PBX and compares what the broker retains."""
_LOOK = 10.0
"""Seconds between two looks at whether the bridges are on time."""

_logger = logging.getLogger(__name__)


async def run(
    directory: Path, config: FleetConfig, read: Callable[[], FleetConfig], supervision: Supervision, name: str
) -> None:
    """Run all PBXs until SIGTERM or SIGINT; on SIGHUP, go on with what `read` returns then.

    `name` is that of the heartbeat file.
    """
    _logger.info("3cx2mqtt %s, with %s", __version__, directory)
    fleet = Fleet(read, supervision, config.process)
    handle_signals(fleet.stop.set, fleet.reload.set)
    await fleet.run(config, name)


class Fleet:
    """The members, and what is wrong with the files of those that are none."""

    def __init__(
        self, read: Callable[[], FleetConfig], supervision: Supervision, process: ProcessConfig | None
    ) -> None:
        self._read_config = read
        self._supervision = supervision
        self._rng = random.Random()  # noqa: S311  # jitter
        web = WebSettings(enabled=False, host="127.0.0.1", port=1) if process is None else process.web
        self._hall = Hall(web, self.tenants, Clock(), self._rng)
        self._process = Process(new_identity(), exhibition=self._hall)
        self._directory = state_directory()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._members: dict[str, Member] = {}
        self._broken: dict[str, str] = {}
        """By stem, for people."""
        self._left = 0
        """Bridges of members that are gone, each counted for its start and its end."""
        self._leaving: set[asyncio.Task[None]] = set()
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()

    def tenants(self) -> Tenants:
        """How the members are doing, by stem."""
        failed = {stem: each.problem for stem, each in self._members.items() if each.problem is not None}
        started = {stem: each.started for stem, each in self._members.items()}
        return Tenants(started, {**self._broken, **failed})

    async def run(self, config: FleetConfig, name: str) -> None:
        """Run until `stop` is set."""
        self._apply(config)
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(self._serve(), name="hall"),
                tasks.create_task(self._look(), name="look"),
                tasks.create_task(garbage.set_aside(self._bridges), name="garbage"),
                tasks.create_task(self._supervision.attend(name, self, self._status, self._broken_now), name="health"),
                tasks.create_task(self._reload_when_asked(), name="reload"),
            ]
            await self.stop.wait()
            self._supervision.stopping()
            await asyncio.gather(*(member.end() for member in self._members.values()), *self._leaving)
            for task in beside:
                task.cancel()

    def late(self) -> Iterator[str]:
        """Nobody: a member that is late is started again, the process is not."""
        return iter(())

    def _bridges(self) -> int:
        """How many bridges have come and gone."""
        return self._left + sum(member.bridges for member in self._members.values())

    def _broken_now(self) -> Mapping[str, str]:
        """What is wrong with which file, for the heartbeat."""
        return self.tenants().broken

    def _status(self) -> str:
        tenants = self.tenants()
        running = sum(each.condition is Condition.RUNNING for each in self._members.values())
        status = f"{running} of {len(self._members) + len(set(self._broken) - set(self._members))} PBXs"
        if tenants.broken:
            status = f"{status}; broken: {', '.join(sorted(tenants.broken))}"
        return status

    async def _serve(self) -> None:
        """An internal error in the web server must not end the bridges."""
        while True:
            try:
                await self._hall.run()
            except Exception:  # see above
                _logger.exception("web: internal error, please report it; started again in %.0f s", _LOOK)
            await asyncio.sleep(_LOOK)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            for member in list(self._members.values()):
                member.look()
                await asyncio.sleep(0)

    async def _reload_when_asked(self) -> None:
        while True:
            await self.reload.wait()
            self.reload.clear()
            self._supervision.reloading()
            try:
                # Hundreds of files, and calls come in meanwhile.
                config = await in_daemon_thread("reload", self._read_config, lambda _: None)
            except ConfigError as error:
                _logger.error("not reloaded, all PBXs go on as they are:")  # noqa: TRY400
                log_problems(error.problems)
                self._supervision.reload_rejected()
                continue
            self._apply(config)
            self._supervision.reloaded()

    def _apply(self, config: FleetConfig) -> None:
        """Go on with what was read."""
        if config.process is not None:
            # With the secrets of those that go on with what they have, as their files are wrong now.
            running = (secret for member in self._members.values() for secret in member.config.secrets())
            log.setup(config.process.log, (*config.secrets(), *running))
        self._announce(config)
        self._arrange(config)

    def _announce(self, config: FleetConfig) -> None:
        """Log what is wrong with the process, and apply its options."""
        if config.process is None:
            _logger.error("fleet.yaml is not used, as it is wrong:")
            log_problems(config.problems)
            return
        announce(config.process.warnings)
        if self._hall.change(config.process.web):
            for member in self._members.values():
                member.change(member.config)  # another bridge, with a board or without

    def _arrange(self, config: FleetConfig) -> None:
        """Start, change and stop members, so that all run that can."""
        running = {stem: member.config for stem, member in self._members.items()}
        # A file that has become wrong leaves its bridge as it is, and so does a conflict.
        wanted = {stem: running[stem] for stem in config.broken if stem in running} | dict(config.tenants)
        refused = _without_conflicts(wanted, running)
        self._broken = {
            **{stem: "; ".join(map(str, problems)) for stem, problems in config.broken.items()},
            **refused,
        }
        for stem, problem in sorted(self._broken.items()):
            goes_on = ", the running configuration stays" if stem in running else ""
            _logger.error("%s.yaml is not used%s: %s", stem, goes_on, problem)
        for stem in [stem for stem in self._members if stem not in wanted]:
            self._leave(stem, "its file is gone")
        for stem, new in wanted.items():
            if stem not in refused and stem not in config.broken:
                self._go_on(stem, new)

    def _go_on(self, stem: str, config: Config) -> None:
        """Run this configuration under the name of its file."""
        member = self._members.get(stem)
        if member is not None and member.config.pbx.name != config.pbx.name:
            self._leave(stem, "it has another name now")
            member = None
        if member is None:
            self._members[stem] = member = Member(config, self._process, self._directory, self._turn, self._rng)
            announce(config.warnings)
            # Not before those have ended whose files are gone: they may have had the same name, topics or API client.
            member.begin(after=tuple(self._leaving))
        elif member.config.options != config.options:
            announce(config.warnings)
            member.change(config)
            _logger.info("%s.yaml was read again", stem)

    def _leave(self, stem: str, why: str) -> None:
        member = self._members.pop(stem)
        self._left += member.bridges + 1
        _logger.info("%s.yaml: stopping the bridge of %s, as %s", stem, member.name, why)
        task = asyncio.create_task(member.end(), name=f"end of {member.name}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _without_conflicts(wanted: dict[str, Config], running: Mapping[str, Config]) -> dict[str, str]:
    """Why which of `wanted` are refused; those that run go on with what they have, which may refuse others in turn."""
    refused: dict[str, str] = {}
    while True:
        found = dict(conflicts(wanted, running))
        back = [stem for stem in found if stem in running and wanted[stem] is not running[stem]]
        refused |= found
        if not back:
            return refused
        wanted |= {stem: running[stem] for stem in back}
