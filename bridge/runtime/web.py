"""The web server of a bridge: what the board is told, and what may be changed from it.

Modules that need aiohttp's server are imported when it is started: a bridge without one need not load 3 MB of it.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bridge import __version__
from bridge.config import Config
from bridge.domain.clock import Clock, utc_text
from bridge.domain.finding import Finding
from bridge.engine.commands import CommandDesk
from bridge.engine.engine import Engine
from bridge.outputs.lights.output import LightsOutput
from bridge.ports import Publisher
from bridge.runtime.about import Identity
from bridge.runtime.process import Exhibit, Exhibition, Process
from bridge.statistics import Statistics
from bridge.web.board import Board, Contact
from bridge.web.feed import Feed
from bridge.web.timing import WebTiming

if TYPE_CHECKING:
    from bridge.web.changes import Changes
    from bridge.web.site import Site


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a bridge that the web server shows."""

    engine: Engine
    publisher: Publisher
    statistics: Statistics
    findings: Callable[[], Iterable[Finding]]
    """As `3cx2mqtt check` prints them, for everything."""
    pbx_findings: Callable[[], Iterable[Finding]]
    """Those of PBX and sources."""
    why_not: Callable[[], str | None]
    """What keeps the bridge from the broker; None where it is connected."""
    standby: Callable[[], str | None]
    """That the bridge stands by while another one of its pair works; None: it works."""


class WebSide:
    """The board, if there is one, and the server. `attach` comes before anything else is called."""

    _parts: Parts

    def __init__(self, config: Config, clock: Clock, process: Process) -> None:
        self._exhibition = process.exhibition
        self._config = config
        self._clock = clock
        self._about = _about(config, process.identity)
        self._follows = {light.name: light.follows for light in config.lights}
        self._last_news: float | None = None
        self._feed: Feed | None = None
        if self._exhibition is not None:
            self._feed = self._exhibition.feed
        elif config.web.serves_board:
            self._feed = Feed(secrets.token_hex(4), clock.monotonic)
        name = config.pbx.name
        self._board = None if self._feed is None else Board(name, self._feed, self._contact, self._describe)

    @property
    def observers(self) -> tuple[Board, ...]:
        """What has to be told of every change."""
        return () if self._board is None else (self._board,)

    def attach(self, parts: Parts) -> None:
        """Show these parts, as they are now."""
        self._parts = parts
        for _ in parts.engine.snapshot(self.observers):
            pass

    def light(self, name: str, document: Mapping[str, object]) -> None:
        """A light shows this."""
        if self._board is not None:
            self._board.light(name, {**document, "follows": self._follows[name]})

    def warning(self, line: str) -> None:
        """A warning or an error was logged, given as JSON."""
        if self._board is not None:
            self._board.warning(line)

    async def serve(
        self, lights: LightsOutput, desk: CommandDesk | None, rng: random.Random, timing: WebTiming
    ) -> None:
        """Serve until cancelled, or let the server of the process show it until then."""
        from bridge.web.changes import Changes  # noqa: PLC0415  # see above
        from bridge.web.metrics import Metrics  # noqa: PLC0415
        from bridge.web.probes import Probes  # noqa: PLC0415
        from bridge.web.server import Web  # noqa: PLC0415

        parts = self._parts
        shared = self._exhibition is not None
        status = parts.engine, parts.publisher, parts.statistics
        metrics = Metrics(*status, parts.pbx_findings, parts.standby, of_process=not shared)
        probes = Probes(parts.engine, parts.publisher, parts.why_not, metrics, parts.standby)
        changes = Changes(lights.receive, None if desk is None else desk.receive, parts.standby)
        if self._exhibition is not None:
            await self._exhibit(self._exhibition, Exhibit(self._board, changes, probes, metrics))
            return
        site = None
        if self._board is not None and self._feed is not None:
            site = self._site(self._board, self._feed, changes, timing)
        await Web(self._config.web, probes, site, rng, timing).run()

    async def _exhibit(self, exhibition: Exhibition, exhibit: Exhibit) -> None:
        name = self._config.pbx.name
        exhibition.show(name, exhibit)
        try:
            await asyncio.Event().wait()
        finally:
            exhibition.remove(name, exhibit)

    def _site(self, board: Board, feed: Feed, changes: "Changes", timing: WebTiming) -> "Site":
        from bridge.web.access import Access  # noqa: PLC0415  # see above
        from bridge.web.events import Events  # noqa: PLC0415
        from bridge.web.pages import Pages  # noqa: PLC0415
        from bridge.web.site import Site  # noqa: PLC0415

        settings = self._config.web
        access = Access(settings, (board.name,), self._clock.monotonic, self._clock.wall)
        events = Events(feed, (board,), self._clock, timing, can_log_in=access.can_log_in)
        return Site(access, Pages(settings.language), events, {board.name: changes}, settings.frame_ancestors, timing)

    def _contact(self) -> Contact:
        parts = self._parts
        broker, pbx = parts.publisher.in_sync, parts.engine.pbx_online
        if broker and pbx:
            self._last_news = parts.engine.last_answer
        return Contact(broker, pbx, self._last_news, parts.standby())

    def _describe(self) -> Mapping[str, object]:
        parts = self._parts
        return {
            **self._about,
            "why_not": parts.why_not(),
            "findings": [
                {"about": each.about, "verdict": each.verdict.lower(), "message": each.message}
                for each in parts.findings()
            ],
            "health": parts.statistics.report(parts.engine.population),
        }


def _about(config: Config, identity: Identity) -> dict[str, object]:
    """What does not change while the bridge runs."""
    commands = asdict(config.commands)
    return {
        "version": __version__,
        "instance": identity.instance,
        "started": utc_text(int(identity.started)),
        "host": urlsplit(config.pbx.url).hostname or "",
        "commands": {name: commands[name] for name in ("profile", "queue")},
    }
