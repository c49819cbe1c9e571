"""`/api/snapshot` and `/api/events`: what the board shows now, and every change from then on."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from aiohttp import web

from bridge import __version__
from bridge.documents import encode
from bridge.domain.clock import Clock, utc_text
from bridge.topics import to_json
from bridge.web.access import Viewer
from bridge.web.board import Board, Contact
from bridge.web.connections import lasting
from bridge.web.feed import Feed, Filter, Reader, event
from bridge.web.scope import Scope
from bridge.web.timing import WebTiming

_RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a browser connects again."""

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would keep events back
}


class Events:
    """Serves snapshots and streams of the boards."""

    def __init__(
        self, feed: Feed, boards: Sequence[Board], clock: Clock, timing: WebTiming, *, can_log_in: bool
    ) -> None:
        """`boards` may change while it serves; `can_log_in`: there is a password."""
        self._feed = feed
        self._boards = boards
        self._can_log_in = can_log_in
        self._clock = clock
        self._timing = timing

    async def snapshot(self, viewer: Viewer) -> web.Response:
        """Everything that the viewer may see, as JSON."""
        await self._render()
        text = self._snapshot(viewer, self._scope(viewer))
        return web.Response(body=encode(text), content_type="application/json", charset="utf-8")

    async def stream(self, request: web.Request, viewer: Viewer) -> web.StreamResponse:
        """Server-sent events until the client goes, or reads too slowly."""
        if self._feed.full:
            raise web.HTTPServiceUnavailable(text="too many readers\n", headers={"Retry-After": "10"})
        connection = lasting(request)
        response = web.StreamResponse(headers=_HEADERS)
        reader, scope = Reader(connection.abort), self._scope(viewer)
        await response.prepare(request)
        await self._render()
        # No other task runs between these two, so that no change is missed or comes twice.
        first = self._first(request.headers.get("Last-Event-ID"), viewer, scope)
        self._feed.add(reader, scope)
        try:
            # A client that has gone, or takes nothing any more, ends its stream; that is nothing to report.
            with suppress(ConnectionError, TimeoutError):
                await self._write(response, _RETRY + first)
                while True:
                    await self._write(response, await reader.take())
        finally:
            self._feed.remove(reader)
            connection.abort()
        return response

    async def beat(self) -> None:
        """Send a beat to all readers every second, until cancelled."""
        while True:
            contacts = {board.name: board.contact for board in self._boards}  # also without readers: it keeps the time
            self._feed.beat(partial(self._beat, contacts))
            await asyncio.sleep(self._timing.beat)

    async def look_again(self) -> None:
        """Now and then, let the boards publish what changes without anybody telling, until cancelled."""
        while True:
            await asyncio.sleep(self._timing.look_again)
            for board in tuple(self._boards):
                board.look_again()
                await asyncio.sleep(0)

    def _beat(self, contacts: Mapping[str, Contact], sees: Filter | None) -> str:
        boards = sees.boards if isinstance(sees, Scope) else self._boards
        shown = [(board.name, contacts[board.name]) for board in boards if board.name in contacts]
        pbxs = [{"name": name, **contact.document()} for name, contact in shown]
        return to_json({"time": utc_text(self._clock.wall()), "revision": self._feed.revision, "pbxs": pbxs})

    def _first(self, last_event_id: str | None, viewer: Viewer, scope: Scope | None) -> bytes:
        """The changes that the client has missed, or a snapshot."""
        missed = None if scope is not None else self._feed.since(last_event_id)
        if missed is not None:
            return missed
        return event("snapshot", self._snapshot(viewer, scope), self._feed.id_of(self._feed.revision))

    def _scope(self, viewer: Viewer) -> Scope | None:
        token = viewer.token
        return None if token is None or not token.is_limited else Scope(token, self._boards)

    async def _render(self) -> None:
        for board in tuple(self._boards):
            await board.render()

    def _snapshot(self, viewer: Viewer, scope: Scope | None) -> str:
        if scope is None:
            pbxs = [board.snapshot() for board in self._boards]
        else:
            pbxs = [scope.part(board) for board in scope.boards]
        head = {
            "instance": self._feed.instance,
            "revision": self._feed.revision,
            "version": __version__,
            "time": utc_text(self._clock.wall()),
            "viewer": {"admin": viewer.admin, "limited": scope is not None, "can_log_in": self._can_log_in},
        }
        return f'{to_json(head)[:-1]},"pbxs":[{",".join(pbxs)}]}}'

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        async with asyncio.timeout(self._timing.longest_write):
            await response.write(data)
