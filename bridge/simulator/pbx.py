"""The simulated PBX as a service.

It follows the official OpenAPI files (20.0.4 to 20.0.10), 3CX's XAPI tutorial and what others have captured; where
nothing is documented (the page size without $top, the 404's body) it does the simplest thing.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bridge.simulator.routes import Routes
from bridge.simulator.serving import served
from bridge.simulator.state import PbxState


class SimulatedPbx(PbxState):
    """A PBX whose users, calls, version, credentials, rights and faults can be changed while it runs."""

    def application(self) -> web.Application:
        """Its HTTP interface, for a server of the caller's own."""
        return Routes(self).application()

    @asynccontextmanager
    async def serve(
        self, host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> AsyncIterator[str]:
        """Serve on `port`, or a free one; gives the URL."""
        async with served(self.application(), host, port, ssl_context) as url:
            yield url
