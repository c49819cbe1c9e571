"""The source `active_calls`: polls the list of all calls of the PBX."""

from collections import defaultdict
from collections.abc import Iterable

from bridge.domain.model import Calls, Legs
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.paging import Collection
from bridge.sources.threecx.parse.shapes import active_call_shapes
from bridge.sources.threecx.poll import Poll
from bridge.sources.threecx.settings import QueryOptions, SourceSettings
from bridge.sources.threecx.tools import Tools

NAME = "active_calls"

_QUERY = QueryOptions(count=False, orderby="Id")


class ActiveCalls:
    """Reads who is in a call with whom. It never sees a call that is shorter than the interval."""

    name = NAME

    def __init__(self, tools: Tools, settings: SourceSettings) -> None:
        self._tools = tools
        self._interval = settings.interval
        self._calls: Collection[parse.ActiveCall] = Collection(
            "ActiveCalls",
            tools.xapi.active_calls,
            tools.shapes.noting(parse.active_call, active_call_shapes),
            lambda call: call.id,
        )
        self._last: dict[str, parse.ActiveCall] = {}
        self._poll = Poll(NAME, settings.interval, tools, self._read)

    def refresh(self) -> None:
        """Start the next round now."""
        self._poll.wake()

    def relax(self, *, relaxed: bool) -> None:
        """Poll less often, as all calls are pushed; or at the configured interval again, starting at once."""
        interval = max(self._interval, self._tools.timing.relaxed_interval) if relaxed else self._interval
        if interval != self._poll.interval:
            self._poll.interval = interval
            if not relaxed:
                self._poll.wake()

    async def run(self, report: Report) -> None:
        """Poll until cancelled and report every round, whether it succeeded or failed."""
        await self._poll.run(report)

    async def _read(self) -> Calls:
        asked = self._tools.clock.monotonic()
        reading = await self._calls.read(_QUERY)
        now = max((call.now for call in reading.items if call.now is not None), default=None)
        calls = {call.id: call for call in reading.items}
        if reading.pages > 1:  # a call that ended between two pages may have hidden others: trust the last round once
            calls |= {call_id: call for call_id, call in self._last.items() if call_id not in calls}
        self._last = {call.id: call for call in reading.items}
        good_for = self._tools.timing.good_for(self._poll.interval)
        return Calls(NAME, _by_number(calls.values()), None, asked, good_for, now=now)


def _by_number(calls: Iterable[parse.ActiveCall]) -> dict[str, Legs]:
    """The calls of each number; a number on both sides of one call has that call once."""
    found: defaultdict[str, Legs] = defaultdict(tuple)
    for call in calls:
        for number, leg in dict(call.sides).items():
            found[number] += (leg,)
    return found
