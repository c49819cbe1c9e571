"""The simulated PBX: its users, its credentials, and its HTTP face.

Behaviour follows the official OpenAPI files (20.0.4 to 20.0.10), 3CX's XAPI tutorial and what others have captured;
where nothing is documented (the page size without $top, the 404's body) it does the plain thing.
"""

import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from bridge.simulator.odata import Collection, QueryError, answer
from bridge.simulator.odata_filter import Row
from bridge.simulator.people import SimulatedUser, people
from bridge.simulator.tokens import Tokens, expires_in

Rows = Literal["official", "extended"]
Intercept = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

_XAPI = "/xapi/v1"
_PAGING = frozenset({"$top", "$skip", "$search", "$filter", "$count"})
_OFFICIAL = {"DN": str, "Expiration": int}
_EXTENDED = {**_OFFICIAL, "State": str, "Name": str}
_MONITOR_STATUS_BUILDS = ((20, 0, 4), (20, 0, 8))
_KEPT_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in; `query` is decoded."""

    method: str
    path: str
    query: dict[str, str]


class SimulatedPbx:
    """A PBX whose users, version, credentials and faults can be changed while it runs.

    `rows` are those of GetMonitorStatus(): `official` as documented, `extended` with a state word and a name.
    """

    def __init__(
        self,
        *,
        users: int = 8,
        version: str = "20.0.8",
        rows: Rows = "extended",
        client_id: str = "busylights",
        client_secret: str = "simulated-key",  # noqa: S107  # nothing is protected by it
        jwt: bool = True,
        block_seconds: float = 3600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.version = version
        self.rows: Rows = rows
        self.tokens = Tokens(client_id, client_secret, clock, jwt, block_seconds)
        self.may_read_users = True
        """Whether the API client's role may read users; 403 otherwise."""
        self.intercept: Intercept | None = None
        """Tried before anything else; what it returns is the answer. For faults."""
        self.requests: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self.users: dict[str, SimulatedUser] = {}
        self._rows: dict[str, dict[str, object]] = {}
        self._listed: list[Row] | None = None
        for user in people(users):
            self.add_user(user.dn, user.name)

    @property
    def client_id(self) -> str:
        """The id of its one API client."""
        return self.tokens.client_id

    @property
    def client_secret(self) -> str:
        """The key of its one API client."""
        return self.tokens.client_secret

    def add_user(self, dn: str, name: str = "", state: str = "Available") -> None:
        """A new extension."""
        self.users[dn] = SimulatedUser(dn, name, state)
        self._listed = None

    def remove_user(self, dn: str) -> None:
        """An extension is deleted."""
        del self.users[dn]
        self._rows.pop(dn, None)
        self._listed = None

    def set_state(self, dn: str, state: str) -> None:
        """The state word of one user, as extended rows carry it."""
        self.users[dn].state = state
        if dn in self._rows:
            self._rows[dn]["State"] = state

    def rotate_key(self, client_secret: str) -> None:
        """An administrator makes a new API key: the old one and its token are void."""
        self.tokens.client_secret = client_secret
        self.tokens.drop()

    def requests_to(self, path: str) -> list[Request]:
        """The requests so far whose path ends like this."""
        return [request for request in self.requests if request.path.endswith(path)]

    def application(self) -> web.Application:
        """Its HTTP face, for a server of one's own."""
        application = web.Application(middlewares=[self._gate])
        application.router.add_post("/connect/token", self._token)
        application.router.add_get(f"{_XAPI}/Defs", self._authorised(self._defs))
        application.router.add_get(f"{_XAPI}/Users/Pbx.GetMonitorStatus()", self._authorised(self._monitor_status))
        application.router.add_route("*", f"{_XAPI}/{{rest:.*}}", self._authorised(_not_found))
        return application

    @asynccontextmanager
    async def serve(
        self, host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> AsyncIterator[str]:
        """Serve on `port`, or a free one; gives the URL."""
        runner = web.AppRunner(self.application(), access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port, ssl_context=ssl_context, reuse_address=True)
            await site.start()
            bound = runner.addresses[0][1]
            yield f"{'https' if ssl_context else 'http'}://{host}:{bound}"
        finally:
            await runner.cleanup()

    @web.middleware
    async def _gate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(Request(request.method, request.path, dict(request.query)))
        if self.tokens.blocks(request.remote or ""):
            return _hang_up(request)
        if self.intercept is not None:
            injected = await self.intercept(request)
            if injected is not None:
                return injected
        return await handler(request)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        client_id, client_secret = str(form.get("client_id", "")), str(form.get("client_secret", ""))
        token = self.tokens.login(client_id, client_secret, request.remote or "")
        if token is None:
            body = {"error": "invalid_client", "error_description": "The client credentials are invalid"}
            return web.json_response(body, status=401)
        life = expires_in(_numbers(self.version))
        return web.json_response({"token_type": "Bearer", "expires_in": life, "access_token": token})

    def _authorised(self, handler: Callable[[web.Request], web.Response]) -> Callable[..., Awaitable[web.Response]]:
        async def checked(request: web.Request) -> web.Response:
            if not self.tokens.accepts(request.headers.get("Authorization", "")):
                return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
            return handler(request)

        return checked

    def _defs(self, _request: web.Request) -> web.Response:
        body = {"@odata.context": "$metadata#Defs(Id)", "value": [{"Id": 0}]}
        return web.json_response(body, headers={"X-3CX-Version": self.version})

    def _monitor_status(self, request: web.Request) -> web.Response:
        first, last = _MONITOR_STATUS_BUILDS
        if not first <= _numbers(self.version) <= last:
            return _not_found(request)
        if not self.may_read_users:
            return _error(403, "The role of this client does not allow to read users")
        properties = _EXTENDED if self.rows == "extended" else _OFFICIAL
        collection = Collection("Pbx.MonitoringState", properties, _PAGING)
        context = f"{request.url.origin()}{_XAPI}/$metadata#Collection(Pbx.MonitoringState)"
        try:
            return web.json_response(answer(self._monitored(), request.query, collection, context))
        except QueryError as error:
            return _error(400, str(error))

    def _monitored(self) -> list[Row]:
        """All rows in the order of their numbers; kept, so that a page of 10,000 users is as quick as one of 10."""
        if self._listed is None:
            self._rows = {dn: self._row(self.users[dn]) for dn in sorted(self.users)}
            self._listed = list(self._rows.values())
        return self._listed

    def _row(self, user: SimulatedUser) -> dict[str, object]:
        row: dict[str, object] = {"DN": user.dn, "Expiration": user.expiration}
        return row if self.rows == "official" else row | {"State": user.state, "Name": user.name}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"code": "", "message": message, "details": []}}, status=status)


def _not_found(_request: web.Request) -> web.Response:
    return web.Response(status=404)


def _hang_up(request: web.Request) -> web.Response:
    """A blocked address gets no answer at all."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=403)
