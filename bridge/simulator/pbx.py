"""The simulated PBX: its users, its credentials, and its HTTP face.

Behaviour follows the official OpenAPI files (20.0.4 to 20.0.10), 3CX's XAPI tutorial and what others have captured;
where nothing is documented (the page size without $top, the 404's body) it does the plain thing.
"""

import json
import re
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from bridge.simulator.exchange import Exchange
from bridge.simulator.odata import Collection, QueryError, answer
from bridge.simulator.odata_filter import Row
from bridge.simulator.people import SimulatedUser, people
from bridge.simulator.stream import Stream
from bridge.simulator.tokens import Tokens, expires_in

Rows = Literal["official", "extended"]
Intercept = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
Handler = Callable[[web.Request], web.Response]

_XAPI = "/xapi/v1"
_PAGING = frozenset({"$top", "$skip", "$search", "$filter", "$count"})
_LISTING = _PAGING | {"$select", "$orderby", "$expand"}
_OFFICIAL = {"DN": str, "Expiration": int}
_EXTENDED = {**_OFFICIAL, "State": str, "Name": str}
_USER = {name: type(value) for name, value in SimulatedUser("100", "A B").row().items()}
_CALL = dict.fromkeys(("Id", "Caller", "Callee", "Status", "EstablishedAt", "LastChangeStatus", "ServerNow"), str)
_MONITOR_STATUS_BUILDS = ((20, 0, 4), (20, 0, 8))
_AI_AGENTS_SINCE = (20, 0, 10)
_KEPT_REQUESTS = 10_000
_WRITABLE = {"QueueStatus": "queue", "CurrentProfileName": "profile"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in; `query` is decoded."""

    method: str
    path: str
    query: dict[str, str]


class SimulatedPbx:
    """A PBX whose users, calls, version, credentials, rights and faults can be changed while it runs.

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
        self.may_read_calls = True
        """The same for active calls."""
        self.may_read_departments = True
        """The same for departments; 401 otherwise, whatever the token."""
        self.may_control_calls = True
        """Whether the API client has the box for Call Control ticked; 403 otherwise."""
        self.peers: set[str] | None = None
        """The extensions that the API client may monitor by Call Control; None: all of them."""
        self.ignores_profiles = False
        """Whether a new profile is accepted and forgotten, as some builds do."""
        self.labels = {"Custom1Name": "Custom 1", "Custom2Name": "Custom 2"}
        self.intercept: Intercept | None = None
        """Tried before anything else; what it returns is the answer. For faults."""
        self.requests: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self.users: dict[str, SimulatedUser] = {}
        self.queues = {"8000": "Support"}
        self.departments = {0: "DEFAULT", 1: "Sales", 2: "Support"}
        self.stream = Stream()
        self.exchange = Exchange(self.users, self.queues, self._notice, clock)
        self._monitored: _Table = _Table(self._monitor_row)
        self._listed: _Table = _Table(lambda user: user.row())
        for user in people(users):
            self.users[user.dn] = user

    @property
    def client_id(self) -> str:
        """The id of its one API client."""
        return self.tokens.client_id

    @property
    def client_secret(self) -> str:
        """The key of its one API client."""
        return self.tokens.client_secret

    def add_user(self, dn: str, name: str = "", **changes: object) -> None:
        """A new extension."""
        highest = max((user.id for user in self.users.values()), default=0)
        self.users[dn] = SimulatedUser(dn, name, highest + 1)
        self._forget_tables()
        self.change(dn, **changes)

    def remove_user(self, dn: str) -> None:
        """An extension is deleted."""
        del self.users[dn]
        self._forget_tables()

    def change(self, dn: str, **changes: object) -> None:
        """Set fields of a user, such as `profile="Away"`, `registered=False` or `queue="LoggedIn"`."""
        for name, value in changes.items():
            setattr(self.users[dn], name, value)
        self._touch(dn)

    def set_state(self, dn: str, word: str) -> None:
        """The state word of one user in extended monitor rows, whatever the user does."""
        self.change(dn, word=word)

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
        add = application.router.add_route
        add("POST", "/connect/token", self._token)
        add("GET", f"{_XAPI}/Defs", self._authorised(self._defs))
        add("GET", f"{_XAPI}/Defs/Pbx.GetSystemParameters()", self._authorised(self._parameters))
        add("GET", f"{_XAPI}/Users/Pbx.GetMonitorStatus()", self._authorised(self._monitor_status))
        add("GET", f"{_XAPI}/Users", self._authorised(self._list_users))
        add("GET", f"{_XAPI}/Groups", self._authorised(self._groups))
        add("GET", f"{_XAPI}/ActiveCalls", self._authorised(self._active_calls))
        add("PATCH", f"{_XAPI}/{{user:Users\\(\\d+\\)}}", self._update_user)
        add("GET", "/callcontrol", self._authorised(self._call_control))
        add("GET", "/callcontrol/ws", self._events)
        add("GET", "/callcontrol/{dn}/participants/{id}", self._authorised(self._participant))
        add("*", f"{_XAPI}/{{rest:.*}}", self._authorised(_not_found))

        async def hang_up(_: web.Application) -> None:
            await self.stream.drop()

        application.on_shutdown.append(hang_up)
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

    def _authorised(self, handler: Handler) -> Callable[..., Awaitable[web.Response]]:
        async def checked(request: web.Request) -> web.Response:
            return self._refusal(request) or handler(request)

        return checked

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self.tokens.accepts(request.headers.get("Authorization", "")):
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})

    def _defs(self, _request: web.Request) -> web.Response:
        body = {"@odata.context": "$metadata#Defs(Id)", "value": [{"Id": 0}]}
        return web.json_response(body, headers={"X-3CX-Version": self.version})

    def _parameters(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"@odata.context": "$metadata#Pbx.SystemParameters", "Version": self.version, **self.labels}
        )

    def _monitor_status(self, request: web.Request) -> web.Response:
        first, last = _MONITOR_STATUS_BUILDS
        if not first <= _numbers(self.version) <= last:
            return _not_found(request)
        properties = _EXTENDED if self.rows == "extended" else _OFFICIAL
        collection = Collection("Pbx.MonitoringState", properties, _PAGING)
        return self._collection(request, self._monitored.rows(self.users), collection, may=self.may_read_users)

    def _list_users(self, request: web.Request) -> web.Response:
        known = {name: kind for name, kind in _USER.items() if name != "AIAgent" or self._knows_ai_agents}
        rows = self._listed.rows(self.users)
        collection = Collection("Pbx.User", known, _LISTING, {"Number": rows})
        return self._collection(request, rows, collection, may=self.may_read_users)

    def _groups(self, request: web.Request) -> web.Response:
        if not self.may_read_departments:
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        rows = [{"Id": number, "Name": name} for number, name in self.departments.items()]
        return self._collection(request, rows, Collection("Pbx.Group", {"Id": int, "Name": str}, _LISTING), may=True)

    def _active_calls(self, request: web.Request) -> web.Response:
        collection = Collection("Pbx.ActiveCall", _CALL, _LISTING)
        return self._collection(request, self.exchange.active_calls(), collection, may=self.may_read_calls)

    def _collection(
        self, request: web.Request, rows: Sequence[Row], collection: Collection, *, may: bool
    ) -> web.Response:
        if not may:
            return _error(403, "The role of this client does not allow this")
        context = f"{request.url.origin()}{_XAPI}/$metadata#Collection({collection.type_name})"
        try:
            return web.json_response(answer(rows, request.query, collection, context))
        except QueryError as error:
            return _error(400, str(error))

    async def _update_user(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        number = int(re.sub(r"\D", "", request.match_info["user"]))
        user = next((user for user in self.users.values() if user.id == number), None)
        if user is None:
            return _not_found(request)
        try:
            changes = json.loads(await request.read())
            fields = {_WRITABLE[name]: value for name, value in changes.items()}
        except (ValueError, KeyError, AttributeError):
            return _error(400, "The request body is not valid.")
        if fields.get("queue", "LoggedIn") not in {"LoggedIn", "LoggedOut"}:
            return _error(400, "QueueStatus:\nWARNINGS.XAPI.INVALID")
        if self.ignores_profiles:
            fields.pop("profile", None)
        self.change(user.dn, **fields)
        return web.Response(status=204)

    def _call_control(self, _request: web.Request) -> web.Response:
        if not self.may_control_calls:
            return web.Response(status=403)
        own: list[dict[str, object]] = [
            {"dn": self.client_id, "type": "Wroutepoint", "devices": [], "participants": []}
        ]
        return web.json_response(
            own
            + [
                {"dn": dn, "type": "Wextension", "devices": [], "participants": self.exchange.participants(dn)}
                for dn in self.users
                if self._is_peer(dn)
            ]
        )

    def _participant(self, request: web.Request) -> web.Response:
        dn = request.match_info["dn"]
        if not self.may_control_calls or not self._is_peer(dn):
            return web.Response(status=403)
        found = self.exchange.participant(dn, int(request.match_info["id"]))
        return web.Response(status=404) if found is None else web.json_response(found)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if not self.may_control_calls:
            return web.Response(status=403)
        return await self.stream.serve(request)

    def _notice(self, dn: str, number: int, gone: bool) -> None:  # noqa: FBT001  # as Notice says
        self._touch(dn)
        if self._is_peer(dn):
            self.stream.event(f"/callcontrol/{dn}/participants/{number}", 1 if gone else 0)

    def _is_peer(self, dn: str) -> bool:
        return self.peers is None or dn in self.peers

    @property
    def _knows_ai_agents(self) -> bool:
        return _numbers(self.version) >= _AI_AGENTS_SINCE

    def _monitor_row(self, user: SimulatedUser) -> dict[str, object]:
        row: dict[str, object] = {"DN": user.dn, "Expiration": user.expiration}
        if self.rows == "official":
            return row
        return row | {"State": user.state_word(self.exchange.word(user.dn)), "Name": user.name}

    def _touch(self, dn: str) -> None:
        for table in (self._monitored, self._listed):
            table.touch(self.users[dn])

    def _forget_tables(self) -> None:
        for table in (self._monitored, self._listed):
            table.forget()


class _Table:
    """Rows in the order of their numbers; kept, so that a page of 10,000 users is as quick as one of 10."""

    def __init__(self, row: Callable[[SimulatedUser], dict[str, object]]) -> None:
        self._row = row
        self._rows: dict[str, dict[str, object]] = {}
        self._listed: list[Row] | None = None

    def rows(self, users: Mapping[str, SimulatedUser]) -> list[Row]:
        if self._listed is None:
            self._rows = {dn: self._row(users[dn]) for dn in sorted(users)}
            self._listed = list(self._rows.values())
        return self._listed

    def touch(self, user: SimulatedUser) -> None:
        if user.dn in self._rows:
            self._rows[user.dn].update(self._row(user))

    def forget(self) -> None:
        self._listed = None


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
