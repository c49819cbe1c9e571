"""The connections of the HTTP server: how many, how long, and how they end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web

MOST_CONNECTIONS = 200
"""Streams aside. Each further connection closes the oldest one: who keeps them open and idle keeps nobody out."""

_LONGEST_LINE = 2048
_MOST_HEADERS = 50
NAME = "3cx2mqtt"
_INTERNAL_ERROR = 500

_logger = logging.getLogger(__name__)


def lasting(request: web.Request) -> "_Connection":
    """The connection of a request whose answer takes longer: from now on it may last, and takes nobody's place."""
    connection = request.protocol
    assert isinstance(connection, _Connection)  # noqa: S101  # every connection is made here
    connection.last()
    return connection


def plain(response: web.StreamResponse) -> web.StreamResponse:
    """One answer for each connection, and no hint at which program in which version gave it."""
    response.headers["Server"] = NAME
    response.force_close()
    return response


class Connections:
    """Makes the protocol of each connection, and closes those too many or too late."""

    def __init__(self, server: web.Server, longest: float) -> None:
        """A connection is cut off after `longest` seconds."""
        self._server = server
        self._longest = longest
        self._closed = False
        self._open: dict[_Connection, None] = {}  # the oldest first

    def __call__(self) -> asyncio.Protocol:
        """As `create_server` wants it."""
        return _Connection(
            self._server,
            self._opened,
            self._ended,
            self._longest,
            loop=asyncio.get_running_loop(),
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            max_headers=_MOST_HEADERS,
            lingering_time=0,
            access_log=None,  # it would hold the tokens of screens
        )

    async def close(self, listener: asyncio.Server, seconds: float) -> None:
        """Stop listening and close every connection; answers under way may take so many `seconds`.

        asyncio accepts a connection one step of the event loop before it attaches the protocol. `listener.close()`
        alone leaks what was accepted in that step (`Server._attach` raises, and nothing closes the socket), and the
        client waits for an answer. So the sockets stop accepting first, and what they have accepted is attached before
        the listener is closed.
        """
        self._closed = True
        loop = asyncio.get_running_loop()
        try:
            for sock in listener.sockets:
                loop.remove_reader(sock.fileno())
            await asyncio.sleep(0)
        finally:
            listener.close()
            await self._server.shutdown(seconds)

    def _opened(self, connection: "_Connection") -> None:
        """Make room for the connection that has just been attached; none may stay once the server is closing."""
        if self._closed:
            connection.abort()
            return
        self._open[connection] = None
        if len(self._open) > MOST_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]  # now, for `connection_lost` comes a step of the event loop later
            oldest.abort()

    def _ended(self, connection: "_Connection") -> None:
        self._open.pop(connection, None)


class _Connection(web.RequestHandler):
    """One connection, which ends in time whatever the client does."""

    _end: asyncio.TimerHandle

    def __init__(
        self,
        server: web.Server,
        opened: Callable[["_Connection"], None],
        ended: Callable[["_Connection"], None],
        longest: float,
        **options: Any,
    ) -> None:
        super().__init__(server, **options)
        self._opened = opened
        self._ended = ended
        self._longest = longest

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Limit how long it lives, and let it in."""
        super().connection_made(transport)
        self._end = asyncio.get_running_loop().call_later(self._longest, self.abort)
        self._opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clock."""
        super().connection_lost(exc)
        self._end.cancel()
        self._ended(self)

    def last(self) -> None:
        """Live without a limit, and without counting."""
        self._end.cancel()
        self._ended(self)

    def abort(self) -> None:
        """End it now; `close` waits until the client has read everything."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002  # aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # describes how the parser works
    ) -> web.StreamResponse:
        """A request that is no HTTP is answered as tersely as all others, and fills no log."""
        if status < _INTERNAL_ERROR:
            return plain(web.Response(status=status, text="this request is not understood\n"))
        _logger.error("web: internal error, please report it", exc_info=exc)
        return plain(web.Response(status=status, text="internal error; the bridge's log says more\n"))
