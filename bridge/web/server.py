"""A small HTTP server beside the bridge: three pages, and bounds for everything that a client may occupy."""

import asyncio
import logging
import os
import random
from collections.abc import Callable, Iterator

from aiohttp import web

from bridge.aio import Backoff
from bridge.log import RepeatedFailure
from bridge.ports import BridgeStatus, Publisher
from bridge.topics import to_json
from bridge.web.connections import Connections, plain
from bridge.web.metrics import CONTENT_TYPE, Metrics
from bridge.web.settings import WebSettings
from bridge.web.timing import USUAL, WebTiming

_logger = logging.getLogger(__name__)


class Web:
    """Serves the pages while `run` runs."""

    def __init__(
        self,
        settings: WebSettings,
        status: BridgeStatus,
        publisher: Publisher,
        why_not: Callable[[], str | None],
        metrics: Metrics,
        rng: random.Random,
        timing: WebTiming = USUAL,
    ) -> None:
        """`why_not` says what keeps the bridge from the broker, for people; None where it is connected."""
        self._settings = settings
        self._status = status
        self._publisher = publisher
        self._why_not = why_not
        self._metrics = metrics
        self._timing = timing
        self._backoff = Backoff(timing.first_retry, timing.longest_retry, rng)
        self._failures = RepeatedFailure(_logger)
        self._pages: dict[str, Callable[[], web.Response]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._show_metrics,
        }

    async def run(self) -> None:
        """Serve until cancelled. Where the port is taken, retry: the bridge works without."""
        while True:
            try:
                await self._serve()
            except (OSError, ValueError) as error:  # ValueError: a name that no address can have
                self._failures.failed(
                    f"web: cannot listen on {self._place} ({_reason(error)}), so metrics and probes are missing; "
                    "all else works. Give web.port or web.host another value, or stop the program that uses it",
                    logging.ERROR,
                )
            await asyncio.sleep(self._backoff.next())

    @property
    def _place(self) -> str:
        host, port = self._settings.host, self._settings.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _serve(self) -> None:
        server = web.Server(self._answer)
        connections = Connections(server, self._timing.longest_connection)
        listener = await asyncio.get_running_loop().create_server(connections, self._settings.host, self._settings.port)
        try:
            self._backoff.reset()
            self._failures.recovered("web: listening again")
            _logger.info("http://%s serves /metrics, /healthz and /readyz", self._place)
            await asyncio.Event().wait()
        finally:
            await connections.close(listener, self._timing.last_answers)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        page = self._pages.get(request.path)
        if page is None:
            response = web.Response(status=404, text="not found; there are /metrics, /healthz and /readyz\n")
        elif request.method not in {"GET", "HEAD"}:
            response = web.Response(status=405, text="only GET and HEAD\n", headers={"Allow": "GET, HEAD"})
        else:
            response = page()
        response.headers["Cache-Control"] = "no-store"
        return plain(response)

    def _healthz(self) -> web.Response:
        """Always ok: any answer at all proves that the event loop runs."""
        return web.Response(text="ok\n")

    def _readyz(self) -> web.Response:
        missing = dict(self._missing())
        body = to_json({"ready": not missing, "missing": missing}) + "\n"
        return web.Response(status=503 if missing else 200, text=body, content_type="application/json")

    def _missing(self) -> Iterator[tuple[str, str]]:
        if not self._publisher.in_sync:
            yield "broker", self._why_not() or "not in sync yet"
        if not self._status.pbx_online:
            yield "pbx", "does not answer, or refuses the login"

    def _show_metrics(self) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _reason(error: OSError | ValueError) -> str:
    """The system's own words; asyncio wraps them in a sentence of its own."""
    number = getattr(error, "errno", None) or 0
    return (os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)).lower()
