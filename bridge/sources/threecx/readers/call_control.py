"""The source `call_control`: the websocket that pushes every change of a call as it happens."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp

from bridge.domain.updates import Failure
from bridge.errors import SourceError, SourcePermissionError, SourceUnavailable
from bridge.log import RepeatedFailure
from bridge.ports import Report
from bridge.sources.threecx.client.call_control import CallControlApi
from bridge.sources.threecx.follower import Follower
from bridge.sources.threecx.parse.shapes import close_shapes, event_shapes
from bridge.sources.threecx.retry import Pauses, least_pause
from bridge.sources.threecx.settings import Enabled, SourceSettings
from bridge.sources.threecx.shapes import Shapes
from bridge.sources.threecx.tools import Tools

NAME = "call_control"

_MOST_FAILURES = 3
"""So many failures in a row to read everything end a connection."""

_logger = logging.getLogger(__name__)


class CallControl:
    """Follows the calls of all extensions that the API client may monitor."""

    name = NAME

    def __init__(self, tools: Tools, settings: SourceSettings, api: CallControlApi) -> None:
        """The settings' `interval` is the option `resync`: from one complete reading to the next."""
        self._tools = tools
        self._api = api
        self._settings = settings
        timing = tools.timing
        self._pauses = Pauses(timing.reconnect_first, timing.reconnect_longest, tools.rng, timing)
        self._odd = RepeatedFailure(_logger)
        self._opened = float("inf")
        """When the connection was opened (monotonic seconds)."""
        self._wake = asyncio.Event()
        """Set: read everything again, or connect, without waiting any longer."""

    def refresh(self) -> None:
        """Read everything again now."""
        self._wake.set()

    async def run(self, report: Report) -> None:
        """Stay connected until cancelled."""
        self._tools.directory.follow(NAME, self._wake.set)
        while True:
            self._wake.clear()
            self._tools.liveness.expect(NAME, self._tools.timing.step)
            self._opened = float("inf")
            try:
                await self._one_connection(report)
            except SourceError as error:
                if self._tools.clock.monotonic() - self._opened >= self._tools.timing.reconnect_longest:
                    self._pauses.reset()
                await self._failed(error, report)

    async def _one_connection(self, report: Report) -> None:
        """From connect to loss; always raises what ended it."""
        good_for = self._tools.timing.good_for(self._settings.interval)
        async with self._api.websocket() as socket:
            self._opened = self._tools.clock.monotonic()
            try:
                async with asyncio.TaskGroup() as tasks:
                    follower = Follower(
                        NAME, self._api, tasks, report, self._wake, self._odd, good_for, self._tools.directory
                    )
                    tasks.create_task(self._resync(follower), name="call-control-resync")
                    await follower.listen(_texts(socket, self._tools.shapes))
                    self._tools.shapes.note(close_shapes(socket.close_code))
                    raise SourceUnavailable(f"Call Control: the connection was lost (code {socket.close_code})")
            except ExceptionGroup as group:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError from group  # Python 3.11 forgets this where both come at once
                raise _most_severe(group) from group

    async def _resync(self, follower: Follower) -> None:
        """Read everything at the start, at every interval, and whenever events are missing."""
        timing, failed = self._tools.timing, 0
        while True:
            self._tools.liveness.expect(NAME, timing.step)
            try:
                await follower.read_everything(self._tools.clock.monotonic())
            except SourceUnavailable as error:
                failed += 1
                if failed == _MOST_FAILURES:
                    raise
                _logger.debug("Call Control: %s", error)
                pause = max(timing.resync_pause, least_pause(error))
                self._tools.liveness.expect(NAME, pause + timing.step)
                await asyncio.sleep(pause)
                continue
            failed = 0
            self._tools.failures.recovered(NAME)
            await asyncio.sleep(timing.resync_pause)
            await self._tools.rest(NAME, self._wake, self._settings.interval - timing.resync_pause)
            self._wake.clear()

    async def _failed(self, error: SourceError, report: Report) -> None:
        reason = str(error)
        if isinstance(error, SourcePermissionError):
            reason = (
                f"{error}: in Integrations > API of the 3CX admin console tick 'Call Control API Access' for this "
                "client and list the extensions to monitor; until then calls are only polled"
            )
        report(Failure(NAME, error, reason))
        needed = self._settings.enabled is Enabled.TRUE and not isinstance(error, SourceUnavailable)
        self._tools.failures.failed(NAME, reason, logging.ERROR if needed else logging.WARNING)
        await self._tools.rest(NAME, self._wake, self._pauses.after(error), least_pause(error))


async def _texts(socket: aiohttp.ClientWebSocketResponse, shapes: Shapes) -> AsyncIterator[str]:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            shapes.note(event_shapes(message.data))
            yield message.data


def _most_severe(group: ExceptionGroup[Exception]) -> Exception:
    """The error to raise: an internal one, if there is any, rather than a failure of the PBX."""
    internal = [error for error in group.exceptions if not isinstance(error, SourceError)]
    return internal[0] if internal else group.exceptions[0]
