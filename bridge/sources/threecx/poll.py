"""Polling: a round at every interval, and after a failure a pause that the class of the error decides."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bridge.domain.updates import Failure, Update
from bridge.errors import SourceError, SourceMissing, SourceQueryError
from bridge.ports import Report
from bridge.sources.threecx.retry import Pauses, least_pause, level_of
from bridge.sources.threecx.settings import QueryOptions
from bridge.sources.threecx.tools import Tools


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
        """`read` reads one round; `explain` says for an administrator why it failed.

        `phase` shortens the first pause, so that sources with the same interval take turns. `required`: that the PBX
        lacks the function is an error, not something to be expected.
        """
        self.interval = interval
        self._name = name
        self._tools = tools
        self._read = read
        self._explain = explain
        self._required = required
        self._phase = phase
        self._pauses = Pauses(interval, max(interval, tools.timing.longest_backoff), tools.rng, tools.timing)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Start the next round now."""
        self._wake.set()

    async def run(self, report: Report) -> None:
        """Poll until cancelled and report every round, whether it succeeded or failed."""
        clock = self._tools.clock
        while True:
            started = clock.monotonic()
            self._wake.clear()
            self._tools.liveness.expect(self._name, self._tools.timing.longest_round)
            try:
                update = await self._read()
            except SourceError as error:
                await self._failed(error, report)
            else:
                report(update)
                self._pauses.reset()
                self._tools.failures.recovered(self._name)
                took = clock.monotonic() - started
                self._tools.statistics.polled(self._name, took)
                await self._tools.rest(self._name, self._wake, self.interval * self._phase - took)
                self._phase = 1.0

    async def _failed(self, error: SourceError, report: Report) -> None:
        reason = self._explain(error)
        report(Failure(self._name, error, reason))
        self._tools.statistics.poll_failed(self._name)
        expected = isinstance(error, SourceMissing) and not self._required
        self._tools.failures.failed(self._name, reason, logging.INFO if expected else level_of(error))
        await self._tools.rest(self._name, self._wake, self._pauses.after(error), least_pause(error))


def explain_query(error: SourceQueryError, key: str, query: QueryOptions, tools: Tools) -> str:
    """The PBX's own message, and the options under `key` that it may be about, with the lines where they stand."""
    suspects = [name for name in ("filter", "search") if getattr(query, name) is not None] or ["top", "skip"]
    if query.orderby is not None and f"'{query.orderby.split()[0]}'" in error.pbx_message:
        suspects = ["orderby"]
    places = [f"{tools.place(f'{key}.{name}')} {key}.{name}" for name in suspects]
    return f"{', '.join(places)}: the PBX rejected the query: {error.pbx_message}"
