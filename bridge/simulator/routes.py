"""The HTTP interface of the simulated PBX: token endpoint, XAPI and Call Control."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.simulator.call_control import CallControl
from bridge.simulator.state import PbxState, Request
from bridge.simulator.tokens import expires_in
from bridge.simulator.xapi import ROOT, Xapi, not_found, unauthorised

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes:
    """Answers requests from the state of the PBX."""

    def __init__(self, pbx: PbxState) -> None:
        self._pbx = pbx
        self._xapi = Xapi(pbx)
        self._call_control = CallControl(pbx)

    def application(self) -> web.Application:
        """For a server of the caller's own."""
        application = web.Application(middlewares=[self._before_all])
        add = application.router.add_route
        add("POST", "/connect/token", self._token)
        add("GET", f"{ROOT}/{{rest:.*}}", self._authorised(self._get))
        add("PATCH", f"{ROOT}/{{rest:.*}}", self._authorised(self._xapi.patch))
        add("*", f"{ROOT}/{{rest:.*}}", self._authorised(self._unknown))
        add("GET", "/callcontrol/ws", self._authorised(self._events))
        add("GET", "/callcontrol{rest:.*}", self._authorised(self._monitor))

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

    def _authorised(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            if not self._pbx.tokens.accepts(request.headers.get("Authorization", "")):
                return unauthorised()
            return await handler(request)

        return checked

    async def _get(self, request: web.Request) -> web.Response:
        return self._xapi.get(request)

    async def _unknown(self, request: web.Request) -> web.Response:
        return not_found(request)

    async def _monitor(self, request: web.Request) -> web.Response:
        status, body = self._call_control.get(request.path)
        return web.Response(status=status) if body is None else web.json_response(body, status=status)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if not self._pbx.may_control_calls:
            return web.Response(status=403)
        return await self._pbx.stream.serve(request, self._call_control.get)


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection: a blocked address gets no answer at all."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=403)
