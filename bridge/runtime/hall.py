"""The web server of a process with several bridges: one port for the board, metrics and probes of all."""

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping
from typing import TypeVar

from bridge.domain.clock import Clock
from bridge.runtime.process import Exhibit
from bridge.web.access import Access
from bridge.web.board import Board
from bridge.web.changes import Changes
from bridge.web.events import Events
from bridge.web.feed import Feed
from bridge.web.many import ManyMetrics, ManyProbes, Tenants
from bridge.web.metrics import Metrics
from bridge.web.pages import Pages
from bridge.web.probes import Probes
from bridge.web.server import Web
from bridge.web.settings import WebSettings
from bridge.web.site import Site
from bridge.web.timing import USUAL, WebTiming

T = TypeVar("T")

_SETTLE = 1.0
"""Seconds in which bridges come and go before the readers of the board get a new snapshot: each is a large one."""


class Hall:
    """An Exhibition. It stays while bridges come and go, and while `web:` changes."""

    def __init__(
        self,
        settings: WebSettings,
        tenants: Callable[[], Tenants],
        clock: Clock,
        rng: random.Random,
        timing: WebTiming = USUAL,
    ) -> None:
        self._settings = settings
        self._tenants = tenants
        self._clock = clock
        self._rng = rng
        self._timing = timing
        self._exhibits: dict[str, Exhibit] = {}
        self._boards: list[Board] = []
        self._changes: dict[str, Changes] = {}
        self._probes: dict[str, Probes] = {}
        self._metrics: dict[str, Metrics] = {}
        self._moved = asyncio.Event()
        self._resettle = asyncio.Event()
        self._feed = self._new_feed()

    @property
    def feed(self) -> Feed | None:
        """The stream of changes of all boards; None: there is no board."""
        return self._feed

    def show(self, name: str, exhibit: Exhibit) -> None:
        """Show this of the bridge of the PBX `name` from now on."""
        self._exhibits[name] = exhibit
        self._arrange()

    def remove(self, name: str, exhibit: Exhibit) -> None:
        """Show it no longer, unless another one of this name has taken its place."""
        if self._exhibits.get(name) is exhibit:
            del self._exhibits[name]
            self._arrange()

    def change(self, settings: WebSettings) -> bool:
        """Serve by these settings from now on; says whether the bridges have to be made again, for a board or none."""
        before, self._settings = self._settings, settings
        if before != settings:
            self._resettle.set()
        if before.serves_board == settings.serves_board:
            return False
        self._feed = self._new_feed()
        return True

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._announce(), name="board")
            while True:
                self._resettle.clear()
                serving = tasks.create_task(self._serve(), name="web")
                await self._resettle.wait()
                serving.cancel()
                await asyncio.wait({serving})

    async def _serve(self) -> None:
        settings = self._settings
        if not settings.enabled:
            return
        probes = ManyProbes(self._probes, self._tenants, ManyMetrics(self._metrics, self._tenants))
        site = None if self._feed is None else self._site(settings, self._feed)
        await Web(settings, probes, site, self._rng, self._timing).run()

    def _site(self, settings: WebSettings, feed: Feed) -> Site:
        access = Access(settings, (), self._clock.monotonic, self._clock.wall)
        events = Events(feed, self._boards, self._clock, self._timing, can_log_in=access.can_log_in)
        pages = Pages(settings.language)
        return Site(access, pages, events, self._changes, settings.frame_ancestors, self._timing)

    def _new_feed(self) -> Feed | None:
        return Feed(secrets.token_hex(4), self._clock.monotonic) if self._settings.serves_board else None

    def _arrange(self) -> None:
        """The server goes by these collections, which change in place."""
        shown = dict(sorted(self._exhibits.items()))
        self._boards[:] = [each.board for each in shown.values() if each.board is not None]
        _replace(self._changes, {name: each.changes for name, each in shown.items()})
        _replace(self._probes, {name: each.probes for name, each in shown.items()})
        _replace(self._metrics, {name: each.metrics for name, each in shown.items()})
        self._moved.set()

    async def _announce(self) -> None:
        """Let the readers of the board come back for a new snapshot, not too often."""
        while True:
            await self._moved.wait()
            await asyncio.sleep(_SETTLE)
            self._moved.clear()
            if self._feed is not None:
                self._feed.start_over()


def _replace(collection: dict[str, T], content: Mapping[str, T]) -> None:
    collection.clear()
    collection.update(content)
