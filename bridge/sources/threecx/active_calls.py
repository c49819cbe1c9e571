"""The source `active_calls`: polls the list of all calls of the PBX."""

from collections import defaultdict

from bridge.domain.model import Calls, Leg
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.paging import Collection
from bridge.sources.threecx.poll import Poll, Tools, good_for
from bridge.sources.threecx.settings import ActiveCallsSettings, QueryOptions

NAME = "active_calls"

RELAXED = 15.0
"""Seconds from round to round while Call Control pushes everybody's calls."""

_QUERY = QueryOptions(count=False, orderby="Id")


class ActiveCalls:
    """Reads who is in a call with whom. Calls shorter than the interval are never seen."""

    name = NAME

    def __init__(self, tools: Tools, settings: ActiveCallsSettings) -> None:
        self._tools = tools
        self._interval = settings.interval
        self._calls: Collection[parse.ActiveCall] = Collection(
            "ActiveCalls", tools.xapi.active_calls, parse.active_call, lambda call: call.id
        )
        self._poll = Poll(NAME, settings.interval, tools, self._read)

    def refresh(self) -> None:
        """Start the next round now."""
        self._poll.wake()

    def relax(self, *, relaxed: bool) -> None:
        """Poll less often, because all calls are pushed; or as configured again, and at once."""
        interval = max(self._interval, RELAXED) if relaxed else self._interval
        if interval != self._poll.interval:
            self._poll.interval = interval
            if not relaxed:
                self._poll.wake()

    async def run(self, report: Report) -> None:
        """Poll for ever and report every round, finished or failed."""
        await self._poll.run(report)

    async def _read(self) -> Calls:
        asked = self._tools.clock.monotonic()
        reading = await self._calls.read(_QUERY)
        legs: defaultdict[str, tuple[Leg, ...]] = defaultdict(tuple)
        for call in reading.items:
            for number, leg in call.sides:
                legs[number] += (leg,)
        now = max((call.now for call in reading.items if call.now is not None), default=None)
        return Calls(NAME, legs, None, asked, good_for(self._poll.interval), now=now)
