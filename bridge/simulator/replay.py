"""A PBX that says what a recorded one said, at its pace.

Answers go by path and query; where that query was not recorded, by path. Messages of the websocket are sent at their
times, and what Call Control answers follows from them. After the end the last answers stay.
"""

import asyncio
import copy
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

from aiohttp import web

from bridge.simulator.recorded import Recorded, RecordedAnswer, RecordedFrame
from bridge.simulator.serving import served

_ORIGIN = b"https://pbx.invalid"
"""Stands in recordings for the address of the PBX."""
_CALL_CONTROL = "/callcontrol"
_SOCKET = f"{_CALL_CONTROL}/ws"
_UPSERT, _REMOVE = 0, 1
_HEADERS = ("X-3CX-Version", "Retry-After", "WWW-Authenticate", "Content-Type")
_LIFETIME = 3600

Participants = dict[str, dict[str, Any]]
"""By DN: the row of /callcontrol."""


class Story:
    """What the recorded PBX said, as answers for a moment in seconds since the recording began."""

    def __init__(self, recorded: Recorded) -> None:
        self.frames: Sequence[RecordedFrame] = recorded.frames
        self.seconds = recorded.seconds
        self._exact: defaultdict[object, list[RecordedAnswer]] = defaultdict(list)
        self._by_path: defaultdict[object, list[RecordedAnswer]] = defaultdict(list)
        for answer in recorded.answers:
            self._exact[answer.method, answer.path, frozenset(answer.query.items())].append(answer)
            self._by_path[answer.method, answer.path].append(answer)

    def answer(self, method: str, path: str, query: Mapping[str, str], now: float) -> RecordedAnswer | None:
        """The latest answer to this request, or to one like it; before the first one, the first."""
        exact = self._exact.get((method, path, frozenset(query.items())))
        if exact:
            return _latest(exact, now)
        skip = query.get("$skip", "0")
        alike = [each for each in self._by_path.get((method, path), ()) if each.query.get("$skip", "0") == skip]
        good = [each for each in alike if each.status < HTTPStatus.BAD_REQUEST]
        return _latest(good or alike, now) if alike else None

    def knows(self, method: str, path: str) -> bool:
        """Whether there is any answer from this path."""
        return (method, path) in self._by_path

    def refused_socket(self, now: float) -> RecordedAnswer | None:
        """The refusal, where the PBX opened no websocket at all."""
        return None if self.frames else self.answer("GET", _SOCKET, {}, now)

    def participant(self, path: str, now: float) -> object | None:
        """The participant with this path, as its last event left it; None: there is none."""
        event = self._last_event(path, now)
        if event is None:
            answers = [each for each in self._by_path.get(("GET", path), ()) if each.at <= now]
            return _content(answers[-1]) if answers else self._in_list(path, now)
        return self._after(event)

    def extensions(self, now: float) -> Participants | None:
        """The rows of /callcontrol; None where there are none to tell."""
        answers = self._by_path.get(("GET", _CALL_CONTROL))
        if not answers or not isinstance((start := _latest(answers, now)).content, list):
            return None
        rows: Participants = {}
        for row in copy.deepcopy(start.content):
            if isinstance(row, dict):
                rows[str(row.get("dn"))] = row
        for frame in self.frames:
            if frame.line > start.line and start.at <= now and frame.at <= now:
                self._apply(frame, rows)
        return rows

    def _apply(self, frame: RecordedFrame, rows: Participants) -> None:
        _, _, dn, kind, number, *_ = *frame.entity.split("/"), "", "", "", "", ""
        row = rows.get(dn)
        if row is None or kind != "participants" or frame.event_type not in {_UPSERT, _REMOVE}:
            return
        others = [each for each in row.get("participants") or () if str(each.get("id")) != number]
        changed = self._after(frame)
        row["participants"] = others if changed is None else [*others, changed]

    def _after(self, event: RecordedFrame) -> object | None:
        """The participant after this event: what came with it, else what the PBX answered next."""
        if event.event_type == _REMOVE:
            return None
        if event.attached is not None:
            return event.attached
        answers = self._by_path.get(("GET", event.entity), [])
        later = [each for each in answers if each.line > event.line]
        return _content(later[0]) if later else _content(answers[-1]) if answers else None

    def _last_event(self, path: str, now: float) -> RecordedFrame | None:
        about = [
            each
            for each in self.frames
            if each.entity == path and each.at <= now and each.event_type in {_UPSERT, _REMOVE}
        ]
        return about[-1] if about else None

    def _in_list(self, path: str, now: float) -> object | None:
        _, _, dn, _, number, *_ = *path.split("/"), "", "", "", "", ""
        row = (self.extensions(now) or {}).get(dn, {})
        return next((each for each in row.get("participants") or () if str(each.get("id")) == number), None)


class ReplayedPbx:
    """Serves a recording. Its time begins with the first request that is no login."""

    client_id = "replay"
    client_secret = "any-key"  # noqa: S105  # any other is accepted as well

    def __init__(
        self,
        recorded: Recorded,
        speed: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        waits: bool = False,
    ) -> None:
        """`waits`: its time stands still until `begin` is called, whatever is requested."""
        self.story = Story(recorded)
        self._speed = speed
        self._monotonic = monotonic
        self._waits = waits
        self._began: float | None = None
        self._running = asyncio.Event()

    def begin(self) -> None:
        """Let its time run."""
        if self._began is None:
            self._began = self._monotonic()
            self._running.set()

    @property
    def now(self) -> float:
        """Seconds since the recording began; 0 until its time runs."""
        return 0.0 if self._began is None else (self._monotonic() - self._began) * self._speed

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve on `port`, or a free one; gives the URL."""
        application = web.Application()
        sockets: set[web.WebSocketResponse] = set()

        async def hang_up(_: web.Application) -> None:
            for socket in list(sockets):
                await socket.close()

        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, sockets)

        application.on_shutdown.append(hang_up)
        application.router.add_route("*", "/{path:.*}", answer)
        async with served(application, host, port) as url:
            yield url

    async def _answer(self, request: web.Request, sockets: set[web.WebSocketResponse]) -> web.StreamResponse:
        if request.path == "/connect/token":
            return web.json_response({"token_type": "Bearer", "expires_in": _LIFETIME, "access_token": "replayed"})
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return web.Response(status=HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
        if not self._waits:
            self.begin()
        if request.path == _SOCKET:
            return await self._events(request, sockets)
        if request.method == "GET" and request.path.startswith(_CALL_CONTROL):
            found = self._of_call_control(request.path)
            if found is not None:
                return found
        return self._recorded(request)

    def _of_call_control(self, path: str) -> web.Response | None:
        """What follows from the messages so far; None where what was recorded is the answer."""
        now = self.now
        rows = self.story.extensions(now)
        if rows is None:
            return None
        match path.split("/")[2:]:
            case []:
                return web.json_response(list(rows.values()))
            case [dn] if dn in rows:
                return web.json_response(rows[dn])
            case [dn, "participants" | "devices" as kind] if dn in rows:
                return web.json_response(rows[dn].get(kind) or [])
            case [_, "participants", _]:
                found = self.story.participant(path, now)
                return web.Response(status=HTTPStatus.NOT_FOUND) if found is None else web.json_response(found)
        return None

    def _recorded(self, request: web.Request) -> web.Response:
        found = self.story.answer(request.method, request.path, dict(request.query), self.now)
        if found is not None:
            headers = {name: found.headers[name] for name in _HEADERS if name in found.headers}
            body = found.body.replace(_ORIGIN, str(request.url.origin()).encode())
            return web.Response(status=found.status, headers=headers, body=body)
        if request.method == "GET" and self.story.knows("GET", request.path):
            return web.json_response({"value": []})  # a page behind those that were recorded
        message = f"{request.method} {request.path} was not recorded"
        return web.json_response({"error": {"code": "", "message": message}}, status=HTTPStatus.NOT_FOUND)

    async def _events(self, request: web.Request, sockets: set[web.WebSocketResponse]) -> web.StreamResponse:
        refusal = self.story.refused_socket(self.now)
        if refusal is not None:
            return web.Response(status=refusal.status)
        if not self.story.knows("GET", _CALL_CONTROL) and not self.story.frames:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        socket = web.WebSocketResponse()
        with suppress(ConnectionError):  # the client has gone meanwhile
            await socket.prepare(request)
        if not socket.prepared:
            return web.Response()
        sockets.add(socket)
        sender = asyncio.create_task(self._send(socket, self.now), name="replay-events")
        try:
            async for _ in socket:
                pass
        finally:
            sender.cancel()
            sockets.discard(socket)
        return socket

    async def _send(self, socket: web.WebSocketResponse, since: float) -> None:
        """Send the messages after `since` at their times, until the PBX closed the websocket."""
        await self._running.wait()
        frames = self.story.frames
        for frame in frames[bisect_right(frames, since, key=lambda each: each.at) :]:
            await asyncio.sleep(max(0.0, frame.at - self.now) / self._speed)
            if frame.closes:
                await socket.close(code=frame.code)
                return
            await socket.send_str(frame.text)


def _latest(answers: Sequence[RecordedAnswer], now: float) -> RecordedAnswer:
    return answers[max(0, bisect_right(answers, now, key=lambda each: each.at) - 1)]


def _content(answer: RecordedAnswer) -> object | None:
    return answer.content if answer.status == HTTPStatus.OK else None
