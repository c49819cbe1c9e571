"""The source `monitor_status`: polls GetMonitorStatus() of all users with the configured OData options."""

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.aio import Backoff, wait_for
from bridge.domain.clock import Clock
from bridge.domain.model import Answered, Failure, MonitorRow, Round
from bridge.errors import (
    SourceAuthError,
    SourceError,
    SourceMissing,
    SourcePermissionError,
    SourceProtocolError,
    SourceQueryError,
    SourceUnavailable,
)
from bridge.log import Recurring
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.odata import MAX_PAGES, Walk, narrows
from bridge.sources.threecx.settings import Enabled, MonitorStatusSettings
from bridge.sources.threecx.xapi import Xapi

NAME = "monitor_status"
KEY = f"sources.{NAME}"

_LONGEST_BACKOFF = 30.0
_PROBE_INTERVAL = 5.0
_LOOK_AGAIN = {SourceMissing: 600.0, SourcePermissionError: 120.0, SourceQueryError: 60.0}
"""Seconds after which to look whether an administrator has changed what the bridge cannot."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Page:
    digest: bytes
    """Of the page's text: the same text holds the same rows."""
    rows: tuple[MonitorRow, ...]
    length: int
    """How many rows the PBX sent, odd ones included."""
    total: int | None


class MonitorStatus:
    """Polls at a fixed rate; a slow PBX stretches the interval, since the next round starts after the last."""

    name = NAME

    def __init__(
        self,
        xapi: Xapi,
        settings: MonitorStatusSettings,
        place: Callable[[str], str],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._xapi = xapi
        self._settings = settings
        self._place = place
        self._clock = clock
        self._backoff = Backoff(settings.interval, max(settings.interval, _LONGEST_BACKOFF), rng)
        self._trouble = Recurring(_logger)
        self._odd_rows = Recurring(_logger)
        self._wake = asyncio.Event()
        self._version: str | None = None
        self._pages: list[_Page] = []
        """What each page held in the last round: most pages come back unchanged."""

    def refresh(self) -> None:
        """Start the next round now."""
        self._wake.set()

    async def run(self, report: Report) -> None:
        """Poll for ever and report every round, finished or failed."""
        while True:
            started = self._clock.monotonic()
            self._wake.clear()
            try:
                result = await self._round()
            except SourceError as error:
                await self._failed(error, report)
            else:
                report(result)
                self._backoff.reset()
                self._trouble.recovered("monitor status is read again")
                if self._version is None:
                    await self._probe(report)
                await wait_for(self._wake, self._settings.interval - (self._clock.monotonic() - started))

    async def _round(self) -> Round:
        walk = Walk(self._settings.query)
        rows: dict[str, MonitorRow] = {}
        total: int | None = None
        while (query := walk.next_query()) is not None:
            if walk.pages == MAX_PAGES:
                raise SourceProtocolError(f"GetMonitorStatus() did not end after {MAX_PAGES} pages")
            page = self._page(walk.pages, await self._xapi.monitor_status(query))
            total = page.total
            known = len(rows)
            rows.update((row.dn, row) for row in page.rows)
            walk.took(page.length, total)
            if page.rows and len(rows) == known and not walk.ended:
                raise SourceProtocolError("GetMonitorStatus() gives the same page again: $skip is ignored")
        del self._pages[walk.pages :]
        return Round(NAME, rows, walk.ended and bool(rows) and not narrows(self._settings.query), total)

    def _page(self, number: int, body: bytes) -> _Page:
        digest = hashlib.blake2b(body, digest_size=16).digest()
        if number < len(self._pages) and self._pages[number].digest == digest:
            return self._pages[number]
        parsed = parse.page(body)
        page = _Page(digest, tuple(self._rows(parsed.rows)), len(parsed.rows), parsed.total)
        self._pages[number : number + 1] = [page]
        return page

    def _rows(self, raw_rows: list[object]) -> Iterator[MonitorRow]:
        for raw in raw_rows:
            try:
                yield parse.monitor_row(raw)
            except SourceProtocolError as error:
                self._odd_rows.failed(f"GetMonitorStatus() gave {error}; it is left out")

    async def _probe(self, report: Report) -> None:
        """Ask for the version: it also tells whether the PBX answers at all."""
        try:
            self._version = await self._xapi.version() or self._version
        except SourceError as error:
            if not error.answered:
                report(Failure(NAME, error, str(error)))
                return
        report(Answered(self._version))

    async def _failed(self, error: SourceError, report: Report) -> None:
        """Report, tell and wait: as long as the class of the error says, or until somebody asks for a refresh."""
        if error.answered:
            await self._probe(report)
        reason = self._explained(error)
        report(Failure(NAME, error, reason))
        self._trouble.failed(reason, self._level(error))
        if type(error) in _LOOK_AGAIN:
            await self._wait_while_probing(_LOOK_AGAIN[type(error)], report)
        elif isinstance(error, SourceAuthError):
            await wait_for(self._wake, error.retry_in)
        else:
            wish = error.retry_in if isinstance(error, SourceUnavailable) else None
            await wait_for(self._wake, max(self._backoff.next(), wish or 0.0))

    async def _wait_while_probing(self, seconds: float, report: Report) -> None:
        """Nothing to poll: probe instead, so that `bridge/pbx` still tells whether the PBX answers."""
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            if await wait_for(self._wake, min(left, max(self._settings.interval, _PROBE_INTERVAL))):
                return
            before = self._version
            await self._probe(report)
            if self._version != before:
                return  # the PBX was upgraded or put back: look at once

    def _explained(self, error: SourceError) -> str:
        if isinstance(error, SourceMissing):
            build = f" {self._version}" if self._version else ""
            return (
                f"this 3CX{build} has no GetMonitorStatus() (HTTP 404): builds 20.0.4 to 20.0.8 have it; "
                f"{self._place(KEY + '.enabled')} {KEY}.enabled"
            )
        if isinstance(error, SourceQueryError):
            query = self._settings.query
            suspects = [name for name in ("filter", "search") if getattr(query, name) is not None]
            places = [f"{self._place(f'{KEY}.{name}')} {KEY}.{name}" for name in suspects or ["top", "skip"]]
            return f"{', '.join(places)}: the PBX rejected the query: {error.pbx_message}"
        return str(error)

    def _level(self, error: SourceError) -> int:
        if isinstance(error, SourceMissing) and self._settings.enabled is Enabled.AUTO:
            return logging.WARNING
        return logging.WARNING if isinstance(error, SourceUnavailable) else logging.ERROR
