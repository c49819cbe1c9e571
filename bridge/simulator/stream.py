"""The websocket of Call Control: sends events to all connected clients."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSCloseCode, web

_MOST_WAITING = 10_000


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

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket, from the upgrade to its end."""
        socket = web.WebSocketResponse()
        with suppress(ConnectionError):  # the client has gone meanwhile
            await socket.prepare(request)
        if not socket.prepared:
            return web.Response()
        queue: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._queues[socket], self._sequences[socket] = queue, 0
        sender = asyncio.create_task(_send(socket, queue), name="call-control-events")
        try:
            async for _ in socket:
                pass
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
            event = {"event_type": event_type, "entity": entity, "attached_data": attached}
            text = json.dumps({"sequence": self._sequences[socket], "event": event})
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


async def _send(socket: web.WebSocketResponse, queue: asyncio.Queue[str]) -> None:
    while True:
        await socket.send_str(await queue.get())
