"""The tap: where a recording listens to what the PBX answers and pushes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp


class Tap(Protocol):
    """Gets a copy of everything that comes from the PBX. Must neither raise nor wait."""

    def answered(self, method: str, target: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A complete answer of any status; `target` is path and encoded query."""

    def opened(self) -> None:
        """The websocket of Call Control was opened."""

    def message(self, text: str) -> None:
        """A text message of the websocket."""

    def closed(self, code: int | None) -> None:
        """The PBX closed the websocket; None: without a code."""


@dataclass(slots=True)
class TapPoint:
    """Holds the tap, if there is one now: recordings begin and end while connections stay open."""

    current: Tap | None = None


class TappedSocket(aiohttp.ClientWebSocketResponse):
    """A websocket whose messages pass a tap, and that sends nothing of its own where that is not permitted."""

    _point: TapPoint | None = None
    permitted: Callable[[], bool] = staticmethod(lambda: True)
    """Asked before each ping and pong: after a sleep of the machine aiohttp's timers are the first to run."""

    def _send_heartbeat(self) -> None:
        if self.permitted():
            super()._send_heartbeat()

    async def pong(self, message: bytes = b"") -> None:
        """Answer a ping of the PBX."""
        if self.permitted():
            await super().pong(message)

    def listen_at(self, point: TapPoint) -> None:
        """Pass messages to the tap at `point`; the websocket has just been opened."""
        self._point = point
        if point.current is not None:
            point.current.opened()

    async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage:  # noqa: ASYNC109  # aiohttp's
        """The next message, as aiohttp has it."""
        message = await super().receive(timeout)
        tap = None if self._point is None else self._point.current
        if tap is not None:
            if message.type is aiohttp.WSMsgType.TEXT:
                tap.message(message.data)
            elif message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}:
                tap.closed(self.close_code)
        return message
