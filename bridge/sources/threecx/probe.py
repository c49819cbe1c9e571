"""Whether the PBX is there at all and which build it is: a cheap probe, where nothing else has asked for a while."""

import asyncio
from collections.abc import Callable

from bridge.aio import wait_for
from bridge.domain.model import Answered, Failure
from bridge.errors import SourceAuthError, SourceError
from bridge.ports import Report
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.poll import STEP, Tools, level_of, wish_of

NAME = "the PBX"

SILENCE = 10.0
"""Seconds without any answer after which the PBX is asked for one."""
_LONGEST = 60.0
"""Seconds after which the version is asked for anyway: an upgrade can change what every source may do."""


class Probe:
    """Reports the version, and tells when the PBX is another one or came back."""

    name = NAME

    def __init__(self, tools: Tools, access: AuthorisedClient, changed: Callable[[], None]) -> None:
        """`changed` is called when everything deserves another look at once."""
        self._tools = tools
        self._access = access
        self._changed = changed
        self._wake = asyncio.Event()
        self._version: str | None = None
        self._down = False

    def refresh(self) -> None:
        """Probe now."""
        self._wake.set()

    async def run(self, report: Report) -> None:
        """Probe for ever."""
        while True:
            self._wake.clear()
            self._tools.liveness.expect(NAME, STEP)
            try:
                version = await self._tools.xapi.version()
            except SourceError as error:
                report(Failure(NAME, error, str(error)))
                self._tools.troubles.failed(NAME, str(error), level_of(error))
                self._down = not error.answered
                await self._tools.rest(NAME, self._wake, _pause_after(error), wish_of(error))
            else:
                self._tools.troubles.recovered(NAME)
                report(Answered(version))
                if self._down or (self._version is not None and version != self._version):
                    self._changed()
                self._version, self._down = version, False
                await self._wait_for_silence()

    async def _wait_for_silence(self) -> None:
        """Until nothing else has had an answer for a while, and for a minute at most."""
        clock = self._tools.clock
        end = clock.monotonic() + _LONGEST
        while (left := min(end, self._access.answered_at + SILENCE) - clock.monotonic()) > 0:
            if await wait_for(self._wake, left):
                return


def _pause_after(error: SourceError) -> float:
    if isinstance(error, SourceAuthError):
        return error.retry_in
    return max(SILENCE / 2, wish_of(error))
