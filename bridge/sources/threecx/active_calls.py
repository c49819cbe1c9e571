"""The source `active_calls`: polls the list of all calls of the PBX."""

from collections import defaultdict
from collections.abc import Iterable

from bridge.domain.model import Calls, Legs
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.paging import Collection
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
        self._last: dict[str, parse.ActiveCall] = {}
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
        now = max((call.now for call in reading.items if call.now is not None), default=None)
        calls = {call.id: call for call in reading.items}
        if reading.pages > 1:  # a call that ended between two pages made others slip: believe that once more
            calls |= {call_id: call for call_id, call in self._last.items() if call_id not in calls}
        self._last = {call.id: call for call in reading.items}
        return Calls(NAME, _by_number(calls.values()), None, asked, good_for(self._poll.interval), now=now)


def _by_number(calls: Iterable[parse.ActiveCall]) -> dict[str, Legs]:
    """The calls of each number; a number that stands on both sides of a call has it once."""
    found: defaultdict[str, Legs] = defaultdict(tuple)
    for call in calls:
        for number, leg in dict(call.sides).items():
            found[number] += (leg,)
    return found
