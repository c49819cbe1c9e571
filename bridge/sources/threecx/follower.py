"""One websocket connection of Call Control: from its events to the calls of users.

An event says that a participant has changed, but not how, so each is requested.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from bridge.domain.updates import Calls, UserCalls
from bridge.errors import SourcePermissionError, SourceProtocolError, SourceUnavailable
from bridge.log import RepeatedFailure
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.call_control import CallControlApi
from bridge.sources.threecx.directory import Directory
from bridge.sources.threecx.participants import Key, Participants
from bridge.sources.threecx.retry import least_pause

_YIELD_EVERY = 20
"""Events after which other tasks get their turn: while more of them wait, nothing else makes `listen` pause."""
_MOST_FETCHES = 100
"""Participants that are requested at a time. Past that, everything is read again instead."""

_logger = logging.getLogger(__name__)


class Follower:
    """Keeps the participants of one connection in sync with the PBX, and reports the calls that follow from them."""

    def __init__(
        self,
        source: str,
        api: CallControlApi,
        tasks: asyncio.TaskGroup,
        report: Report,
        missed: asyncio.Event,
        odd: RepeatedFailure,
        good_for: float,
        directory: Directory,
    ) -> None:
        """Participants are requested in `tasks`; `missed` is set when everything must be read again.

        `odd` logs events that make no sense; reports may be used for `good_for` seconds.
        """
        self._source = source
        self._api = api
        self._tasks = tasks
        self._report = report
        self._missed = missed
        self._odd = odd
        self._good_for = good_for
        self._directory = directory
        self._participants = Participants(directory)
        self._callers = Participants(directory)
        """Of the queues: apart, as a queue is no side of a call that a user has."""
        self._queues: frozenset[str] = frozenset()
        self._fetching: set[Key] = set()
        self._sequence: int | None = None
        self._covered: frozenset[str] | None = None
        """The extensions that are followed. None until everything has been read once: before that a single user's calls
        would be reported without the others'."""

    async def listen(self, texts: AsyncIterator[str]) -> None:
        """Process events in their order, until the connection ends."""
        number = 0
        async for text in texts:
            number += 1
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            try:
                event = parse.event(text)
            except SourceProtocolError as error:
                self._odd.failed(f"Call Control sent {error}; it is ignored")
                continue
            self._count(event.sequence)
            if event.type is not None and self._covers(event.dn):
                self._take(event, (event.dn, event.id))

    async def read_everything(self, now: float) -> None:
        """Request all participants and report all calls. Events that arrive meanwhile are newer than the answer.

        `now` is in monotonic seconds.
        """
        self._participants.requesting_all()
        self._callers.requesting_all()
        snapshot = await self._api.everything()
        self._directory.learn(self._source, snapshot.numbers)
        self._participants.all_received(snapshot.extensions)
        self._callers.all_received(snapshot.queues)
        self._queues = frozenset(queue.dn for queue in snapshot.queues if not queue.unread)
        self._covered = covered = frozenset(extension.dn for extension in snapshot.extensions)
        unread = frozenset(extension.dn for extension in snapshot.extensions if extension.unread)
        if unread:
            self._odd.failed(f"Call Control sent participants without an id, of {len(unread)} extensions")
        legs = self._participants.all_legs() | self._callers.all_legs()
        queues = self._queues
        self._report(Calls(self._source, legs, covered, now, self._good_for, live=True, unread=unread, queues=queues))

    def _count(self, sequence: int | None) -> None:
        """Events are numbered: a gap means that some were missed. Some events are sent twice."""
        if sequence is None:
            return
        if self._sequence is not None and sequence not in {self._sequence, self._sequence + 1}:
            self._missed.set()
        self._sequence = sequence

    def _covers(self, dn: str) -> bool:
        """Whether an event may be about a user or a queue; there are events about trunks too."""
        return self._covered is None or dn in self._covered or dn in self._queues

    def _of(self, dn: str) -> Participants:
        return self._callers if dn in self._queues else self._participants

    def _take(self, event: parse.Event, key: Key) -> None:
        if event.type is parse.EventType.REMOVE:
            self._of(event.dn).store(key, None)
        elif self._of(event.dn).is_full(key) or len(self._fetching) >= _MOST_FETCHES:
            self._missed.set()
            return
        elif event.participant is not None:
            self._of(event.dn).store(key, event.participant)
        else:
            self._of(event.dn).changed(key)
            if key not in self._fetching:
                self._fetching.add(key)
                self._tasks.create_task(self._fetch(key), name=f"call-control-{key[0]}-{key[1]}")
            return
        self._report_user(key[0])

    async def _fetch(self, key: Key) -> None:
        """Request the participant until the answer is newer than every event about it."""
        try:
            while (ticket := self._of(key[0]).requesting(key)) is not None:
                participant = await self._api.participant(*key)
                if self._of(key[0]).received(key, ticket, participant):
                    self._report_user(key[0])
        except (SourceUnavailable, SourcePermissionError, SourceProtocolError) as error:
            _logger.debug("Call Control: participant %d of %s: %s", key[1], key[0], error)
            self._of(key[0]).give_up(key)
            await asyncio.sleep(least_pause(error))
            self._missed.set()
        finally:
            self._fetching.discard(key)

    def _report_user(self, dn: str) -> None:
        if self._covered is not None:
            self._report(UserCalls(self._source, dn, self._of(dn).legs(dn)))
            if dn in self._queues:
                return
            for other in sorted(self._participants.in_doubt(dn)):
                self._report(UserCalls(self._source, other, self._participants.legs(other)))
