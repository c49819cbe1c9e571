"""The websocket of Call Control: sends events to all connected clients."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSCloseCode, WSMsgType, web

_MOST_WAITING = 10_000
_ANSWER = 4
"""The event_type of an answer to a client's request (seen in others' captures)."""

Lookup = Callable[[str], tuple[int, object]]
"""HTTP status and body of a path of Call Control."""


class Stream:
    """All open sockets. Every event goes to each of them, with a sequence number per socket."""

    def __init__(self) -> None:
        self._queues: dict[web.WebSocketResponse, asyncio.Queue[str]] = {}
        self._sequences: dict[web.WebSocketResponse, int] = {}
        self.losing = 0
        """So many of the next events are not sent, though they are numbered. For faults."""
        self.doubling = False
        """Whether every event is sent twice. For faults."""
        self.attach: Callable[[str], object] = lambda _entity: None
        """What `attached_data` holds; null on real PBXs."""

    def __len__(self) -> int:
        return len(self._queues)

    async def serve(self, request: web.Request, lookup: Lookup) -> web.StreamResponse:
        """Serve one socket, from the upgrade to its end; `lookup` answers requests for paths."""
        socket = web.WebSocketResponse()
        with suppress(ConnectionError):  # the client has gone meanwhile
            await socket.prepare(request)
        if not socket.prepared:
            return web.Response()
        queue: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._queues[socket], self._sequences[socket] = queue, 0
        sender = asyncio.create_task(_send(socket, queue), name="call-control-events")
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and (answered := _answer(message.data, lookup)) is not None:
                    self._sequences[socket] += 1
                    queue.put_nowait(_event(self._sequences[socket], _ANSWER, "", answered))
        finally:
            sender.cancel()
            del self._queues[socket], self._sequences[socket]
        return socket

    def event(self, entity: str, event_type: int) -> None:
        """Send an event about `entity`, such as `/callcontrol/101/participants/8107`; type 0: changed, 1: gone."""
        attached = self.attach(entity) if event_type == 0 else None
        for socket, queue in self._queues.items():
            self._sequences[socket] += 1
            if self.losing:
                continue
            text = _event(self._sequences[socket], event_type, entity, attached)
            for _ in range(2 if self.doubling else 1):
                queue.put_nowait(text)
        self.losing = max(0, self.losing - 1)

    def raw(self, text: str) -> None:
        """Send `text` as it is."""
        for queue in self._queues.values():
            queue.put_nowait(text)

    async def drop(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        """Close all sockets."""
        for socket in list(self._queues):
            await socket.close(code=code)


def _event(sequence: int, event_type: int, entity: str, attached: object) -> str:
    event = {"event_type": event_type, "entity": entity, "attached_data": attached}
    return json.dumps({"sequence": sequence, "event": event})


def _answer(text: str, lookup: Lookup) -> dict[str, object] | None:
    """The answer to `{"RequestID": …, "Path": …}`; None to anything else."""
    try:
        asked = json.loads(text)
        number, path = asked["RequestID"], str(asked["Path"])
    except (ValueError, KeyError, TypeError):
        return None
    status, body = lookup(path)
    return {"RequestID": number, "Path": path, "StatusCode": status, "Response": body}


async def _send(socket: web.WebSocketResponse, queue: asyncio.Queue[str]) -> None:
    while True:
        await socket.send_str(await queue.get())
