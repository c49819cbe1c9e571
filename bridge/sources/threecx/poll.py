"""Polling: round after round at a fixed rate, and after a failure as the class of the error says."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.aio import Backoff, wait_for
from bridge.domain.clock import Clock
from bridge.domain.model import Failure, Update
from bridge.errors import (
    SourceAuthError,
    SourceError,
    SourceMissing,
    SourcePermissionError,
    SourceQueryError,
    SourceUnavailable,
)
from bridge.log import Troubles
from bridge.ports import Liveness, Report
from bridge.sources.threecx.client.xapi import Xapi
from bridge.sources.threecx.settings import QueryOptions
from bridge.sources.threecx.timing import USUAL, ThreecxTiming
from bridge.statistics import Statistics

_LONGEST_BACKOFF = 30.0
_LONGEST_ROUND = 1800.0
"""Seconds after which a round must have come to an end: 200 pages of a PBX that needs nine seconds for each are no
fault of the bridge."""
_LEAST_TRUST = 20.0
STEP = 600.0
"""Seconds after which a source must have made a step: more than a few requests can take, each with its own time-out."""
_FIRST_LOOK = 5.0
_LOOK_AGAIN = ((SourceMissing, 600.0), (SourcePermissionError, 120.0), (SourceQueryError, 60.0))
"""Seconds at most after which to look whether an administrator has changed what the bridge cannot. The first looks come
sooner, as a PBX that is starting answers in these ways too."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What every source of the PBX works with."""

    xapi: Xapi
    place: Callable[[str], str]
    """Where an option was written: `config.yaml:14`."""
    troubles: Troubles
    clock: Clock
    rng: random.Random
    statistics: Statistics
    liveness: Liveness
    timing: ThreecxTiming = USUAL

    async def rest(self, source: str, wake: asyncio.Event, seconds: float, least: float = 0.0) -> None:
        """Wait until `wake` is set, for `least` to `seconds`; nobody expects a step of `source` before that."""
        self.liveness.expect(source, seconds + STEP)
        await asyncio.sleep(least)
        await wait_for(wake, seconds - least)


def good_for(interval: float) -> float:
    """Seconds for which facts that are read every `interval` seconds are to be trusted."""
    return max(_LEAST_TRUST, 3 * interval)


class Pauses:
    """How long to wait after an error, as its class says; longer each time until all is well."""

    def __init__(self, first: float, most: float, rng: random.Random) -> None:
        """Seconds, for errors that time may mend."""
        self._passing = Backoff(first, most, rng)
        self._lasting = tuple((kind, Backoff(_FIRST_LOOK, seconds, rng)) for kind, seconds in _LOOK_AGAIN)

    def reset(self) -> None:
        """All is well."""
        self._passing.reset()
        for _, backoff in self._lasting:
            backoff.reset()

    def after(self, error: SourceError) -> float:
        """Seconds to wait before the next attempt."""
        if isinstance(error, SourceAuthError):
            return error.retry_in
        for kind, backoff in self._lasting:
            if isinstance(error, kind):
                return backoff.next()
        wish = error.retry_in if isinstance(error, SourceUnavailable) else None
        return max(self._passing.next(), wish or 0.0)


class Poll:
    """The loop of a source that polls. A slow PBX stretches the interval: rounds never overlap."""

    def __init__(
        self,
        name: str,
        interval: float,
        tools: Tools,
        read: Callable[[], Awaitable[Update]],
        explain: Callable[[SourceError], str] = str,
        *,
        required: bool = True,
        phase: float = 1.0,
    ) -> None:
        """`phase` shortens the first pause, so that sources with the same interval take turns."""
        self.interval = interval
        self._name = name
        self._tools = tools
        self._read = read
        self._explain = explain
        self._required = required
        self._phase = phase
        self._pauses = Pauses(interval, max(interval, _LONGEST_BACKOFF), tools.rng)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Start the next round now."""
        self._wake.set()

    async def run(self, report: Report) -> None:
        """Poll for ever and report every round, finished or failed."""
        clock = self._tools.clock
        while True:
            started = clock.monotonic()
            self._wake.clear()
            self._tools.liveness.expect(self._name, _LONGEST_ROUND)
            try:
                update = await self._read()
            except SourceError as error:
                await self._failed(error, report)
            else:
                report(update)
                self._pauses.reset()
                self._tools.troubles.recovered(self._name)
                self._tools.statistics.polled(self._name, clock.monotonic() - started)
                await self._tools.rest(
                    self._name, self._wake, self.interval * self._phase - (clock.monotonic() - started)
                )
                self._phase = 1.0

    async def _failed(self, error: SourceError, report: Report) -> None:
        reason = self._explain(error)
        report(Failure(self._name, error, reason))
        self._tools.statistics.poll_failed(self._name)
        expected = isinstance(error, SourceMissing) and not self._required
        self._tools.troubles.failed(self._name, reason, logging.INFO if expected else level_of(error))
        await self._tools.rest(self._name, self._wake, self._pauses.after(error), wish_of(error))


def wish_of(error: SourceError) -> float:
    """Seconds for which a PBX that is well wants to be left alone; whoever answers in its place has no say in that."""
    return error.retry_in or 0.0 if isinstance(error, SourceUnavailable) and error.answered else 0.0


def level_of(error: SourceError) -> int:
    """How loud to be: what time may mend is a warning, what somebody has to mend is an error."""
    return logging.WARNING if isinstance(error, SourceUnavailable) else logging.ERROR


def explain_query(error: SourceQueryError, key: str, query: QueryOptions, tools: Tools) -> str:
    """The PBX's own words, and the options that it may mean with the lines where they stand."""
    suspects = [name for name in ("filter", "search") if getattr(query, name) is not None] or ["top", "skip"]
    if query.orderby is not None and f"'{query.orderby.split()[0]}'" in error.pbx_message:
        suspects = ["orderby"]
    places = [f"{tools.place(f'{key}.{name}')} {key}.{name}" for name in suspects]
    return f"{', '.join(places)}: the PBX rejected the query: {error.pbx_message}"
