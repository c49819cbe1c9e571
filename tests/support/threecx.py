"""The 3CX client against the simulated PBX, with a clock that the test turns."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from bridge.domain.updates import Update
from bridge.log import RepeatedFailures
from bridge.ports import Source
from bridge.runtime.supervision import Pulse
from bridge.sources.threecx.client.auth import TokenAuth
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.client.http import Http
from bridge.sources.threecx.client.login_backoff import LoginBackoff
from bridge.sources.threecx.client.xapi import Xapi
from bridge.sources.threecx.settings import Enabled, PbxSettings, QueryOptions, SourceSettings
from bridge.sources.threecx.timing import USUAL, ThreecxTiming
from bridge.sources.threecx.tools import Tools
from bridge.statistics import Statistics
from tests.support.beside import beside
from tests.support.bridges import Hasty
from tests.support.clock import FakeClock
from tests.support.limits import limit

T = TypeVar("T", bound=Update)


def settings(url: str, client_secret: str = "simulated-key", timeout: float = 2.0) -> PbxSettings:
    return PbxSettings("hq", url, "busylights", client_secret, verify_tls=True, timeout=timeout)


def source_settings(
    interval: float = 3600.0, query: QueryOptions | None = None, enabled: Enabled = Enabled.TRUE
) -> SourceSettings:
    """Of a source that reads once, unless it is refreshed."""
    return SourceSettings(enabled, interval, query or QueryOptions())


@asynccontextmanager
async def tools(
    pbx_settings: PbxSettings,
    clock: FakeClock,
    directory: Path | None = None,
    timing: ThreecxTiming = USUAL,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[tuple[Tools, AuthorisedClient]]:
    """What a source works with, and the client that it reads with; `sleep` is how logins wait."""
    async with Http(pbx_settings) as http:
        refusals = LoginBackoff(pbx_settings, directory, clock.clock.wall)
        access = AuthorisedClient(http, TokenAuth(http, pbx_settings, refusals, clock.clock, sleep), clock.clock)
        failures = RepeatedFailures(logging.getLogger("bridge.test"))
        found = Tools(
            client=access,
            xapi=Xapi(access, pbx_settings.url),
            place=lambda key: f"file:{key}",
            failures=failures,
            clock=clock.clock,
            rng=Hasty(),
            statistics=Statistics(clock.clock),
            liveness=Pulse(clock.clock),
            timing=timing,
        )
        yield found, access


@asynccontextmanager
async def connected(pbx_settings: PbxSettings, clock: FakeClock, directory: Path | None = None) -> AsyncIterator[Xapi]:
    async with tools(pbx_settings, clock, directory) as (found, _):
        yield found.xapi


class Reports:
    """A source at work, and what it reported."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.reports: list[Update] = []
        self._news = asyncio.Event()

    def __call__(self, update: Update) -> None:
        self.reports.append(update)
        self._news.set()

    async def next(self, kind: type[T], matching: Callable[[T], bool] = lambda _: True) -> T:
        """The next report of this kind; those before it are dropped."""
        async with asyncio.timeout(limit(5)):
            while True:
                while self.reports:
                    update = self.reports.pop(0)
                    if isinstance(update, kind) and matching(update):
                        return update
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def at_work(source: Source) -> AsyncIterator[Reports]:
    """The source running in a task of its own."""
    reports = Reports(source)
    async with beside(source.run(reports)):
        yield reports
