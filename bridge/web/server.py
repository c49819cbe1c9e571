"""A small HTTP server beside the bridge, with bounds for everything that a client may occupy."""

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.aio import Backoff
from bridge.log import RepeatedFailure
from bridge.web.changes import MOST_BYTES
from bridge.web.connections import MOST_CONNECTIONS, NAME, Connections
from bridge.web.probes import Endpoints
from bridge.web.settings import WebSettings
from bridge.web.site import Site
from bridge.web.timing import USUAL, WebTiming

_TEXTS = {404: "not found\n", 413: "too large\n"}
"""aiohttp's own would say more about the server than about the request."""

_logger = logging.getLogger(__name__)


class Web:
    """Serves probes and board while `run` runs."""

    def __init__(
        self,
        settings: WebSettings,
        probes: Endpoints,
        site: Site | None,
        rng: random.Random,
        timing: WebTiming = USUAL,
    ) -> None:
        """`site` None: no board."""
        self._settings = settings
        self._probes = probes
        self._site = site
        self._timing = timing
        self._backoff = Backoff(timing.first_retry, timing.longest_retry, rng)
        self._failures = RepeatedFailure(_logger)

    async def run(self) -> None:
        """Serve until cancelled. Where the port is taken, retry: the bridge works without."""
        async with asyncio.TaskGroup() as tasks:
            if self._site is not None:
                tasks.create_task(self._site.run(), name="board")
            while True:
                try:
                    await self._serve()
                except (OSError, ValueError) as error:  # ValueError: a name that no address can have
                    self._failures.failed(
                        f"web: cannot listen on {self._place} ({_reason(error)}), so board, metrics and probes are "
                        "missing; all else works. Give web.port or web.host another value, or stop the program that "
                        "uses it",
                        logging.ERROR,
                    )
                await asyncio.sleep(self._backoff.next())

    @property
    def _place(self) -> str:
        host, port = self._settings.host, self._settings.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _serve(self) -> None:
        runner = web.AppRunner(self._application())
        await runner.setup()
        assert runner.server is not None  # noqa: S101  # it is there after setup
        connections = Connections(runner.server, self._timing.longest_connection)
        try:
            loop = asyncio.get_running_loop()
            listener = await loop.create_server(
                connections, self._settings.host, self._settings.port, backlog=2 * MOST_CONNECTIONS
            )
            try:
                self._backoff.reset()
                self._failures.recovered("web: listening again")
                board = "" if self._site is None else "the board, "
                _logger.info("http://%s serves %s/metrics, /healthz and /readyz", self._place, board)
                await asyncio.Event().wait()
            finally:
                await connections.close(listener, self._timing.last_answers)
        finally:
            await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_answer], client_max_size=MOST_BYTES)
        application.on_response_prepare.append(self._complete)
        application.add_routes(self._probes.routes())
        if self._site is not None:
            application.add_routes(self._site.routes())
        return application

    async def _complete(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """The headers of every answer, streams included."""
        response.headers["Server"] = NAME
        response.headers.setdefault("Cache-Control", "no-store")
        if self._site is not None:
            response.headers.update(self._site.headers(request))


@web.middleware
async def _answer(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors as plain text, without a word about the server; each connection is closed after its answer."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        text = _TEXTS.get(error.status, error.text)
        kept = {name: value for name, value in error.headers.items() if name == "Retry-After"}
        if isinstance(error, web.HTTPMethodNotAllowed):
            kept["Allow"] = ", ".join(sorted(error.allowed_methods))
        response = web.Response(status=error.status, text=text, headers=kept)
    except ConnectionError:
        raise  # the client has gone
    except Exception:
        _logger.exception("web: internal error, please report it")
        response = web.Response(status=500, text="internal error; the bridge's log says more\n")
    response.force_close()
    return response


def _reason(error: OSError | ValueError) -> str:
    """The system's own words; asyncio wraps them in a sentence of its own."""
    number = getattr(error, "errno", None) or 0
    return (os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)).lower()
