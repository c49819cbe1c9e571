"""A small HTTP server beside the bridge: three pages, and no way to hold up anything by asking for them."""

import asyncio
import logging
import os
import random
from collections.abc import Callable, Iterator
from typing import cast

from aiohttp import web

from bridge.aio import Backoff
from bridge.log import Recurring
from bridge.ports import Publisher, Standing
from bridge.topics import to_json
from bridge.web.metrics import CONTENT_TYPE, Metrics
from bridge.web.settings import WebSettings

MOST_CONNECTIONS = 50
"""Whoever comes while so many are open is turned away."""

LONGEST = 10.0
"""Seconds that a connection lives at most."""

_LONGEST_LINE = 2048
_MOST_HEADERS = 50
_GOODBYE = 0.2
"""Seconds that answers under way are given at the end."""
_NAME = "3cx2mqtt"
_FAULT = 500

_logger = logging.getLogger(__name__)


class Web:
    """Serves the pages while `run` runs."""

    def __init__(
        self,
        settings: WebSettings,
        standing: Standing,
        publisher: Publisher,
        metrics: Metrics,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._standing = standing
        self._publisher = publisher
        self._metrics = metrics
        self._backoff = Backoff(1.0, 60.0, rng)
        self._trouble = Recurring(_logger)
        self._pages: dict[str, Callable[[], web.Response]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._show_metrics,
        }

    async def run(self) -> None:
        """Serve until cancelled. Where the port cannot be had, try again: the bridge works without."""
        while True:
            try:
                await self._serve()
            except (OSError, ValueError) as error:  # ValueError: a name that no address can have
                self._trouble.failed(
                    f"web: cannot listen on {self._place} ({_reason(error)}), so metrics and probes are missing; "
                    "all else works. Give web.port or web.host another value, or end what is in the way",
                    logging.ERROR,
                )
            await asyncio.sleep(self._backoff.next())

    @property
    def _place(self) -> str:
        host, port = self._settings.host, self._settings.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _serve(self) -> None:
        server = web.Server(self._answer)
        listener = await asyncio.get_running_loop().create_server(
            lambda: _accept(server), self._settings.host, self._settings.port
        )
        try:
            self._backoff.reset()
            self._trouble.recovered("web: the address is free again")
            _logger.info("http://%s serves /metrics, /healthz and /readyz", self._place)
            await asyncio.Event().wait()
        finally:
            listener.close()
            await server.shutdown(_GOODBYE)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        page = self._pages.get(request.path)
        if page is None:
            response = web.Response(status=404, text="not found; there are /metrics, /healthz and /readyz\n")
        elif request.method not in {"GET", "HEAD"}:
            response = web.Response(status=405, text="only GET and HEAD\n", headers={"Allow": "GET, HEAD"})
        else:
            response = page()
        response.headers["Cache-Control"] = "no-store"
        return _plain(response)

    def _healthz(self) -> web.Response:
        """That this is answered at all says that the event loop works."""
        return web.Response(text="ok\n")

    def _readyz(self) -> web.Response:
        missing = dict(self._missing())
        body = to_json({"ready": not missing, "missing": missing}) + "\n"
        return web.Response(status=503 if missing else 200, text=body, content_type="application/json")

    def _missing(self) -> Iterator[tuple[str, str]]:
        if not self._publisher.in_step:
            yield "broker", "not connected, or not brought up to date yet"
        if not self._standing.pbx_online:
            yield "pbx", "does not answer, or refuses the login"

    def _show_metrics(self) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _plain(response: web.StreamResponse) -> web.StreamResponse:
    """One answer for each connection, and no word about which program in which version gave it."""
    response.headers["Server"] = _NAME
    response.force_close()
    return response


class _Visit(web.RequestHandler):
    """One connection, which ends in time whatever the other side does."""

    _end: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        super().connection_made(transport)
        abort = cast("asyncio.Transport", transport).abort  # and not close, which waits for who does not read
        self._end = asyncio.get_running_loop().call_later(LONGEST, abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop it."""
        super().connection_lost(exc)
        self._end.cancel()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002  # aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # tells how the parser works
    ) -> web.StreamResponse:
        """What is no HTTP is answered as tersely as all else, and fills no log."""
        if status < _FAULT:
            return _plain(web.Response(status=status, text="this request is not understood\n"))
        _logger.error("a page failed in a way that should not happen, please report it", exc_info=exc)
        return _plain(web.Response(status=status, text="a fault of the bridge; its log says more\n"))


class _TurnedAway(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


def _accept(server: web.Server) -> asyncio.Protocol:
    if len(server.connections) >= MOST_CONNECTIONS:
        return _TurnedAway()
    return _Visit(
        server,
        loop=asyncio.get_running_loop(),
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        max_headers=_MOST_HEADERS,
        lingering_time=0,
    )


def _reason(error: OSError | ValueError) -> str:
    """In words; asyncio wraps those of the system in a sentence of its own."""
    number = getattr(error, "errno", None) or 0
    return (os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)).lower()
