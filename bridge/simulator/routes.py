"""The HTTP interface of the simulated PBX: token endpoint, XAPI and Call Control."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from bridge.simulator.odata import Collection, QueryError, answer
from bridge.simulator.odata_filter import Row
from bridge.simulator.people import SimulatedUser
from bridge.simulator.state import PbxState, Request
from bridge.simulator.tokens import expires_in

Handler = Callable[[web.Request], web.Response]

_XAPI = "/xapi/v1"
_PAGING = frozenset({"$top", "$skip", "$search", "$filter", "$count"})
_LISTING = _PAGING | {"$select", "$orderby", "$expand"}
_OFFICIAL = {"DN": str, "Expiration": int}
_EXTENDED = {**_OFFICIAL, "State": str, "Name": str}
_USER = {name: type(value) for name, value in SimulatedUser("100", "A B").row().items()}
_CALL = dict.fromkeys(("Id", "Caller", "Callee", "Status", "EstablishedAt", "LastChangeStatus", "ServerNow"), str)
_MONITOR_STATUS_BUILDS = ((20, 0, 4), (20, 0, 8))
"""First and last build that has GetMonitorStatus()."""
_AI_AGENTS_SINCE = (20, 0, 10)
_WRITABLE = {"QueueStatus": "queue", "CurrentProfileName": "profile"}


class Routes:
    """Answers requests from the state of the PBX."""

    def __init__(self, pbx: PbxState) -> None:
        self._pbx = pbx

    def application(self) -> web.Application:
        """For a server of the caller's own."""
        application = web.Application(middlewares=[self._before_all])
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
            await self._pbx.stream.drop()

        application.on_shutdown.append(hang_up)
        return application

    @web.middleware
    async def _before_all(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self._pbx.requests.append(Request(request.method, request.path, dict(request.query)))
        if self._pbx.tokens.blocks(request.remote or ""):
            return _hang_up(request)
        if self._pbx.intercept is not None:
            injected = await self._pbx.intercept(request)
            if injected is not None:
                return injected
        return await handler(request)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        client_id, client_secret = str(form.get("client_id", "")), str(form.get("client_secret", ""))
        token = self._pbx.tokens.login(client_id, client_secret, request.remote or "")
        if token is None:
            body = {"error": "invalid_client", "error_description": "The client credentials are invalid"}
            return web.json_response(body, status=401)
        life = expires_in(self._pbx.build, self._pbx.tokens.lifetime)
        return web.json_response({"token_type": "Bearer", "expires_in": life, "access_token": token})

    def _authorised(self, handler: Handler) -> Callable[..., Awaitable[web.Response]]:
        async def checked(request: web.Request) -> web.Response:
            return self._refusal(request) or handler(request)

        return checked

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self._pbx.tokens.accepts(request.headers.get("Authorization", "")):
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})

    def _defs(self, _request: web.Request) -> web.Response:
        body = {"@odata.context": "$metadata#Defs(Id)", "value": [{"Id": 0}]}
        return web.json_response(body, headers={"X-3CX-Version": self._pbx.version})

    def _parameters(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"@odata.context": "$metadata#Pbx.SystemParameters", "Version": self._pbx.version, **self._pbx.labels}
        )

    def _monitor_status(self, request: web.Request) -> web.Response:
        first, last = _MONITOR_STATUS_BUILDS
        if not first <= self._pbx.build <= last:
            return _not_found(request)
        properties = _EXTENDED if self._pbx.rows == "extended" else _OFFICIAL
        collection = Collection("Pbx.MonitoringState", properties, _PAGING)
        return self._collection(request, self._pbx.monitor_rows(), collection, may=self._pbx.may_read_users)

    def _list_users(self, request: web.Request) -> web.Response:
        known = {name: kind for name, kind in _USER.items() if name != "AIAgent" or self._pbx.build >= _AI_AGENTS_SINCE}
        rows = self._pbx.user_rows()
        collection = Collection("Pbx.User", known, _LISTING, {"Number": rows})
        return self._collection(request, rows, collection, may=self._pbx.may_read_users)

    def _groups(self, request: web.Request) -> web.Response:
        if not self._pbx.may_read_departments:
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        rows = [{"Id": number, "Name": name} for number, name in self._pbx.departments.items()]
        return self._collection(request, rows, Collection("Pbx.Group", {"Id": int, "Name": str}, _LISTING), may=True)

    def _active_calls(self, request: web.Request) -> web.Response:
        collection = Collection("Pbx.ActiveCall", _CALL, _LISTING)
        return self._collection(request, self._pbx.exchange.active_calls(), collection, may=self._pbx.may_read_calls)

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
        user = next((user for user in self._pbx.users.values() if user.id == number), None)
        if user is None:
            return _not_found(request)
        try:
            changes = json.loads(await request.read())
            fields = {_WRITABLE[name]: value for name, value in changes.items()}
        except (ValueError, KeyError, AttributeError):
            return _error(400, "The request body is not valid.")
        if fields.get("queue", "LoggedIn") not in {"LoggedIn", "LoggedOut"}:
            return _error(400, "QueueStatus:\nWARNINGS.XAPI.INVALID")
        if self._pbx.ignores_profiles:
            fields.pop("profile", None)
        self._pbx.change(user.dn, **fields)
        return web.Response(status=204)

    def _call_control(self, _request: web.Request) -> web.Response:
        if not self._pbx.may_control_calls:
            return web.Response(status=403)
        own: list[dict[str, object]] = [
            {"dn": self._pbx.client_id, "type": "Wroutepoint", "devices": [], "participants": []}
        ]
        return web.json_response(
            own
            + [
                {"dn": dn, "type": "Wextension", "devices": [], "participants": self._pbx.exchange.participants(dn)}
                for dn in self._pbx.users
                if self._pbx.is_peer(dn)
            ]
        )

    def _participant(self, request: web.Request) -> web.Response:
        dn = request.match_info["dn"]
        if not self._pbx.may_control_calls or not self._pbx.is_peer(dn):
            return web.Response(status=403)
        found = self._pbx.exchange.participant(dn, int(request.match_info["id"]))
        return web.Response(status=404) if found is None else web.json_response(found)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if not self._pbx.may_control_calls:
            return web.Response(status=403)
        return await self._pbx.stream.serve(request)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"code": "", "message": message, "details": []}}, status=status)


def _not_found(_request: web.Request) -> web.Response:
    return web.Response(status=404)


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection: a blocked address gets no answer at all."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=403)
