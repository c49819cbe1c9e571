"""The source `queues`: polls the queues with their agents."""

from bridge.domain.dn import why_unpublishable
from bridge.domain.queues import Queue
from bridge.domain.updates import Queues as QueuesUpdate
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.paging import Collection
from bridge.sources.threecx.poll import Poll
from bridge.sources.threecx.settings import QueryOptions, SourceSettings
from bridge.sources.threecx.tools import Tools

NAME = "queues"

_QUERY = QueryOptions(count=False, orderby="Number")


class Queues:
    """Reads which queues there are, and who their agents are. Who waits in them, the sources of calls say."""

    name = NAME

    def __init__(self, tools: Tools, settings: SourceSettings) -> None:
        self._tools = tools
        self._interval = settings.interval
        self._queues: Collection[Queue] = Collection(
            "Queues", tools.xapi.queues, parse.queue, lambda queue: queue.number, tools.xapi.url("Queues")
        )
        self._poll = Poll(NAME, settings.interval, tools, self._read, required=settings.required)

    def refresh(self) -> None:
        """Start the next round now."""
        self._poll.wake()

    async def run(self, report: Report) -> None:
        """Poll until cancelled and report every round, whether it succeeded or failed."""
        await self._poll.run(report)

    async def _read(self) -> QueuesUpdate:
        reading = await self._queues.read(_QUERY, parse.QUEUE_FIELDS)
        queues = {queue.number: queue for queue in reading.items if why_unpublishable(queue.number) is None}
        return QueuesUpdate(NAME, queues, self._tools.timing.good_for(self._interval))
