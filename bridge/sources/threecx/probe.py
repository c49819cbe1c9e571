"""The probe: a cheap request, sent while no other gets an answer, that shows whether the PBX is there and its build.

It is no row in the table of sources: it reports no facts about users and cannot be switched off.
"""

import asyncio
from collections.abc import Callable

from bridge.aio import wait_for
from bridge.domain.updates import Answered, Failure
from bridge.errors import SourceAuthError, SourceError
from bridge.ports import Report
from bridge.sources.threecx.retry import least_pause, level_of
from bridge.sources.threecx.tools import Tools

NAME = "the PBX"


class Probe:
    """Reports the build, and notices when the PBX comes back or has been upgraded."""

    name = NAME

    def __init__(self, tools: Tools, changed: Callable[[], None]) -> None:
        """`changed` is called when all sources should be read again at once."""
        self._tools = tools
        self._changed = changed
        self._wake = asyncio.Event()
        self._version: str | None = None
        self._down = False

    def refresh(self) -> None:
        """Probe now."""
        self._wake.set()

    async def run(self, report: Report) -> None:
        """Probe until cancelled."""
        while True:
            self._wake.clear()
            self._tools.liveness.expect(NAME, self._tools.timing.step)
            try:
                version = await self._tools.xapi.version()
            except SourceError as error:
                report(Failure(NAME, error, str(error)))
                self._tools.failures.failed(NAME, str(error), level_of(error))
                self._down = not error.answered
                await self._tools.rest(NAME, self._wake, self._pause_after(error), least_pause(error))
            else:
                self._tools.failures.recovered(NAME)
                report(Answered(version))
                if self._down or (self._version is not None and version != self._version):
                    self._changed()
                self._version, self._down = version, False
                await self._wait_for_silence()

    async def _wait_for_silence(self) -> None:
        """Until no request has been answered for `probe_after` seconds, but for `probe_interval` at most."""
        clock, timing = self._tools.clock, self._tools.timing
        end = clock.monotonic() + timing.probe_interval
        while (left := min(end, self._tools.client.answered_at + timing.probe_after) - clock.monotonic()) > 0:
            if await wait_for(self._wake, left):
                return

    def _pause_after(self, error: SourceError) -> float:
        if isinstance(error, SourceAuthError):
            return error.retry_in
        return max(self._tools.timing.probe_after / 2, least_pause(error))
