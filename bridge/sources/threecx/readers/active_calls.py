"""The source `active_calls`: polls the list of all calls of the PBX."""

from collections import defaultdict
from collections.abc import Iterable

from bridge.domain.calls import joined
from bridge.domain.model import Leg, Legs
from bridge.domain.updates import Calls
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.paging import Collection, Reading
from bridge.sources.threecx.directory import Directory
from bridge.sources.threecx.numbers import read_numbers
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
            lambda call: call.key,
            tools.xapi.url("ActiveCalls"),
        )
        self._last: dict[object, parse.ActiveCall] = {}
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
        self._tools.directory.follow(NAME, self._poll.wake)
        await self._poll.run(report)

    async def _read(self) -> Calls:
        await read_numbers(self._tools)
        asked = self._tools.clock.monotonic()
        reading = await self._calls.read(_QUERY)
        now = max((call.now for call in reading.items if call.now is not None), default=None)
        found: dict[object, parse.ActiveCall] = {call.key: call for call in reading.items}
        last, self._last = self._last, found
        if reading.pages > 1:  # a call that ended between two pages may have hidden others: trust the last round once
            ids = {call.id for call in reading.items}
            found = found | {key: call for key, call in last.items() if call.id not in ids}
        good_for = self._tools.timing.good_for(self._poll.interval)
        legs = _by_number(found.values(), self._tools.directory)
        return Calls(NAME, legs, None, asked, good_for, now=now, unread=_unread(reading), queues=None)


def _by_number(calls: Iterable[parse.ActiveCall], directory: Directory) -> dict[str, Legs]:
    """The calls of each number; a number on both sides of one call, or in several rows of it, has that call once."""
    found: defaultdict[str, dict[str, Leg]] = defaultdict(dict)
    for call in calls:
        for number, leg in call.sides(directory):
            before = found[number].get(call.id)
            found[number][call.id] = leg if before is None else joined(before, leg)
    return {number: tuple(legs.values()) for number, legs in found.items()}


def _unread(reading: Reading[parse.ActiveCall]) -> frozenset[str] | None:
    """Who may have calls that this reading lacks; see Calls."""
    numbers = [parse.numbers_in(raw) for raw in reading.odd]
    if not reading.ended or None in numbers:
        return None
    return frozenset(number for pair in numbers if pair is not None for number in pair)
