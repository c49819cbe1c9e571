"""The source `system`: polls what the PBX says about itself as a whole."""

from bridge.domain.updates import SystemSeen
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.poll import Poll
from bridge.sources.threecx.settings import SourceSettings
from bridge.sources.threecx.tools import Tools

NAME = "system"


class System:
    """Reads how many calls, trunks and extensions there are, and until when the licence lasts."""

    name = NAME

    def __init__(self, tools: Tools, settings: SourceSettings) -> None:
        self._tools = tools
        self._interval = settings.interval
        self._poll = Poll(NAME, settings.interval, tools, self._read, required=settings.required)

    def refresh(self) -> None:
        """Read now."""
        self._poll.wake()

    async def run(self, report: Report) -> None:
        """Poll until cancelled and report every reading, whether it succeeded or failed."""
        await self._poll.run(report)

    async def _read(self) -> SystemSeen:
        status = parse.system(await self._tools.xapi.system_status())
        return SystemSeen(NAME, status, self._tools.timing.good_for(self._interval))
