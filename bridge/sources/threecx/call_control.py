"""The source `call_control`: the websocket that pushes every change of a call the moment it happens.

The socket tells that a participant changed, not how, so each is fetched.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp

from bridge.domain.model import Calls, Failure, UserCalls
from bridge.errors import (
    SourceError,
    SourcePermissionError,
    SourceProtocolError,
    SourceUnavailable,
)
from bridge.log import Recurring
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.call_control import CallControlApi
from bridge.sources.threecx.participants import Key, Participants
from bridge.sources.threecx.poll import STEP, Pauses, Tools, good_for, wish_of
from bridge.sources.threecx.settings import CallControlSettings, Enabled

NAME = "call_control"

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two connections, and so long must one have lasted to start with a short pause again."""
_LEAST_PAUSE = 1.0
"""Seconds between two readings of everything, however many events went missing."""
_PATIENCE = 3
"""So many failures to read everything end a connection."""

_logger = logging.getLogger(__name__)


class CallControl:
    """Follows the calls of all extensions that the API client may monitor."""

    name = NAME

    def __init__(self, tools: Tools, api: CallControlApi, settings: CallControlSettings) -> None:
        self._tools = tools
        self._api = api
        self._settings = settings
        self._pauses = Pauses(_FIRST_PAUSE, _LONGEST_PAUSE, tools.rng)
        self._odd = Recurring(_logger)
        self._opened = float("inf")
        self._wake = asyncio.Event()
        """Read everything anew, or connect, without waiting any longer."""

    def refresh(self) -> None:
        """Read everything anew now."""
        self._wake.set()

    async def run(self, report: Report) -> None:
        """Stay connected for ever."""
        while True:
            self._wake.clear()
            self._tools.liveness.expect(NAME, STEP)
            self._opened = float("inf")
            try:
                await self._one_connection(report)
            except SourceError as error:
                if self._tools.clock.monotonic() - self._opened >= _LONGEST_PAUSE:
                    self._pauses.reset()
                await self._failed(error, report)

    async def _one_connection(self, report: Report) -> None:
        """From connect to loss; always raises what ended it."""
        async with self._api.websocket() as socket:
            self._opened = self._tools.clock.monotonic()
            try:
                async with asyncio.TaskGroup() as tasks:
                    follower = _Follower(self._api, tasks, report, self._wake, self._odd, self._settings.resync)
                    tasks.create_task(self._keep_in_step(follower), name="call-control-resync")
                    await follower.listen(_texts(socket))
                    raise SourceUnavailable(f"Call Control: the connection was lost (code {socket.close_code})")
            except ExceptionGroup as group:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError from group  # Python 3.11 forgets this where both come at once
                raise _source_error(group) from group

    async def _keep_in_step(self, follower: "_Follower") -> None:
        """Read everything at the start, every `resync` seconds, and whenever events are missing."""
        failed = 0
        while True:
            self._tools.liveness.expect(NAME, STEP)
            try:
                await follower.read_everything(self._tools.clock.monotonic())
            except SourceUnavailable as error:
                failed += 1
                if failed == _PATIENCE:
                    raise
                _logger.debug("Call Control: %s", error)
                pause = max(_LEAST_PAUSE, wish_of(error))
                self._tools.liveness.expect(NAME, pause + STEP)
                await asyncio.sleep(pause)
                continue
            failed = 0
            self._tools.troubles.recovered(NAME)
            await asyncio.sleep(_LEAST_PAUSE)
            await self._tools.rest(NAME, self._wake, self._settings.resync - _LEAST_PAUSE)
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
        self._tools.troubles.failed(NAME, reason, logging.ERROR if needed else logging.WARNING)
        await self._tools.rest(NAME, self._wake, self._pauses.after(error), wish_of(error))


class _Follower:
    """One connection's view of the participants, kept in step with the PBX."""

    def __init__(
        self,
        api: CallControlApi,
        tasks: asyncio.TaskGroup,
        report: Report,
        missed: asyncio.Event,
        odd: Recurring,
        resync: float,
    ) -> None:
        """Participants are fetched in `tasks`; `missed` is set when everything should be read anew."""
        self._api = api
        self._tasks = tasks
        self._report = report
        self._missed = missed
        self._odd = odd
        self._resync = resync
        self._participants = Participants()
        self._fetching: set[Key] = set()
        self._sequence: int | None = None
        self._in_step = False

    async def listen(self, texts: AsyncIterator[str]) -> None:
        """Take in events in their order, until the connection ends."""
        async for text in texts:
            try:
                event = parse.event(text)
            except SourceProtocolError as error:
                self._odd.failed(f"Call Control sent {error}; it is passed over")
                continue
            self._count(event.sequence)
            if event.type is not None:
                self._take(event, (event.dn, event.id))

    async def read_everything(self, now: float) -> None:
        """Ask what everybody does, and report it; what events told meanwhile holds. `now` is monotonic."""
        self._participants.asking_for_all()
        extensions = await self._api.everything()
        self._participants.all_answered(extensions)
        covered = frozenset(extension.dn for extension in extensions)
        self._report(Calls(NAME, self._participants.all_legs(), covered, now, good_for(self._resync), live=True))
        self._in_step = True

    def _count(self, sequence: int | None) -> None:
        """Events come numbered; where one is missing, everything is read anew. Some come twice."""
        if sequence is None:
            return
        if self._sequence is not None and sequence not in {self._sequence, self._sequence + 1}:
            self._missed.set()
        self._sequence = sequence

    def _take(self, event: parse.Event, key: Key) -> None:
        if event.type is parse.EventType.REMOVE:
            self._participants.told(key, None)
        elif event.participant is not None:
            self._participants.told(key, event.participant)
        else:
            self._participants.changed(key)
            if key not in self._fetching:
                self._fetching.add(key)
                self._tasks.create_task(self._fetch(key), name=f"call-control-{key[0]}-{key[1]}")
            return
        self._tell(key[0])

    async def _fetch(self, key: Key) -> None:
        """Ask until the answer is newer than every event."""
        try:
            while (ticket := self._participants.asking(key)) is not None:
                participant = await self._api.participant(*key)
                if self._participants.answered(key, ticket, participant):
                    self._tell(key[0])
        except (SourceUnavailable, SourcePermissionError, SourceProtocolError) as error:
            _logger.debug("Call Control: participant %d of %s: %s", key[1], key[0], error)
            self._participants.given_up(key)
            await asyncio.sleep(wish_of(error))
            self._missed.set()
        finally:
            self._fetching.discard(key)

    def _tell(self, dn: str) -> None:
        if self._in_step:
            self._report(UserCalls(NAME, dn, self._participants.legs(dn)))


async def _texts(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[str]:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            yield message.data


def _source_error(group: ExceptionGroup[Exception]) -> Exception:
    """The one that matters: a fault of our own before a trouble with the PBX."""
    faults = [error for error in group.exceptions if not isinstance(error, SourceError)]
    return faults[0] if faults else group.exceptions[0]
