"""The board's addresses, and what every request to them has to pass."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlencode

from aiohttp import web

from bridge.web import changes
from bridge.web.access import Access, Origin, Viewer
from bridge.web.changes import Changes
from bridge.web.events import Events
from bridge.web.pages import Pages
from bridge.web.sessions import LASTS
from bridge.web.timing import WebTiming

_Answer = Callable[[web.Request, Origin], Awaitable[web.StreamResponse]]


class Site:
    """The page, the login and the API."""

    def __init__(
        self,
        access: Access,
        pages: Pages,
        events: Events,
        pbxs: Mapping[str, Changes],
        frames: tuple[str, ...],
        timing: WebTiming,
    ) -> None:
        """`pbxs` says what can be changed, by `pbx.name`; `frames` are the sites that may show the board in a frame."""
        self._access = access
        self._pages = pages
        self._events = events
        self._pbxs = pbxs
        self._timing = timing
        ancestors = " ".join(("'self'", *frames))
        self._headers = {
            "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
            f"frame-ancestors {ancestors}",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    def headers(self, request: web.BaseRequest) -> dict[str, str]:
        """Of every answer.

        An address with a token is told to nobody. Others are told to the board itself: browsers send the origin of a
        form only with the address that it comes from.
        """
        return {**self._headers, "Referrer-Policy": "no-referrer" if "token" in request.query else "same-origin"}

    def routes(self) -> list[web.RouteDef]:
        """By path."""
        return [
            web.get("/", self._guarded(self._board)),
            web.get("/login", self._guarded(self._show_login)),
            web.post("/login", self._guarded(self._log_in)),
            web.post("/logout", self._guarded(self._log_out)),
            # Without a login: a frame of another site sends no cookie with what modules import. They tell nothing.
            web.get("/static/{name:.+}", self._guarded(self._file)),
            web.get("/api/snapshot", self._guarded(self._snapshot)),
            web.get("/api/events", self._guarded(self._stream), allow_head=False),
            web.post("/api/pbxs/{pbx}/lights/{light}", self._guarded(self._change)),
            web.post("/api/pbxs/{pbx}/users/{dn}", self._guarded(self._change)),
        ]

    async def run(self) -> None:
        """What the streams need beside the server, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._events.beat(), name="beat")
            tasks.create_task(self._events.look_again(), name="look again")

    def _guarded(self, answer: _Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The answer; refused where the board is reached by a name that is not its own, or used by another site."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            origin = self._access.origin(request)
            if not self._access.knows(origin):
                raise web.HTTPMisdirectedRequest(
                    text="the board is not known by this name: add it to web.allowed_hosts, or use the IP address\n"
                )
            if request.method == "POST" and not self._access.is_own(request, origin):
                raise web.HTTPForbidden(text="another site has sent this request\n")
            return await answer(request, origin)

        return guarded

    async def _board(self, request: web.Request, origin: Origin) -> web.StreamResponse:
        viewer = self._access.viewer(request, origin)
        if viewer is None:
            return self._login(request)
        if viewer.by_link and viewer.token is not None and not _stays(request):
            query = urlencode([(name, value) for name, value in request.query.items() if name != "token"])
            response = web.Response(status=303, headers={"Location": f"./?{query}" if query else "./"})
            self._access.set_cookie(response, self._access.sessions.issue(viewer.token.name), origin, LASTS)
            return response
        return self._pages.board(request)

    def _login(self, request: web.Request) -> web.Response:
        if self._access.can_log_in:
            return self._pages.login(request)
        return web.Response(status=401, text="only screens may look, by a link with ?token= (web.tokens)\n")

    async def _show_login(self, request: web.Request, _origin: Origin) -> web.StreamResponse:
        return self._login(request)

    async def _log_in(self, request: web.Request, origin: Origin) -> web.StreamResponse:
        if request.content_type != "application/x-www-form-urlencoded":
            raise web.HTTPUnsupportedMediaType(text="send a form with the field password\n")
        password = (await request.post()).get("password")
        cookie = self._access.log_in(password if isinstance(password, str) else "", origin)
        if cookie is None:
            return self._pages.login(request, "login.wrong")
        query = f"?{request.query_string}" if request.query_string else ""
        response = web.Response(status=303, headers={"Location": f"./{query}"})
        self._access.set_cookie(response, cookie, origin, LASTS)
        return response

    async def _log_out(self, _request: web.Request, origin: Origin) -> web.StreamResponse:
        response = web.Response(status=303, headers={"Location": "./"})
        self._access.set_cookie(response, "", origin, 0)
        return response

    async def _file(self, request: web.Request, _origin: Origin) -> web.StreamResponse:
        return self._pages.file(request)

    async def _snapshot(self, request: web.Request, origin: Origin) -> web.StreamResponse:
        viewer = self._access.viewer(request, origin)
        return _needs_login() if viewer is None else await self._events.snapshot(viewer)

    async def _stream(self, request: web.Request, origin: Origin) -> web.StreamResponse:
        viewer = self._access.viewer(request, origin)
        return _needs_login() if viewer is None else await self._events.stream(request, viewer)

    async def _change(self, request: web.Request, origin: Origin) -> web.StreamResponse:
        refusal = self._may_not_change(self._access.viewer(request, origin))
        if refusal is not None:
            return refusal
        pbx = self._pbxs.get(request.match_info["pbx"])
        if pbx is None:
            return changes.refused(404, "there is no such PBX")
        if (standby := pbx.standby()) is not None:
            return changes.refused(409, f"nothing can be changed here: {standby}")
        if "light" in request.match_info:
            return await changes.change_light(request, pbx)
        return await changes.change_user(request, pbx, self._timing.longest_command)

    def _may_not_change(self, viewer: Viewer | None) -> web.Response | None:
        if viewer is not None and viewer.admin:
            return None
        if not self._access.can_log_in:
            return changes.refused(403, "nothing can be changed here without a login: set web.password")
        if viewer is not None and viewer.token is not None:
            return changes.refused(403, "a screen's token lets look only")
        return _needs_login()


def _stays(request: web.Request) -> bool:
    """Whether the token stays in the address: a frame of another site gets no cookie, and a screen may lose it."""
    return request.query.get("kiosk") == "1" or request.headers.get("Sec-Fetch-Dest") in {"iframe", "frame", "embed"}


def _needs_login() -> web.Response:
    return changes.refused(401, "log in at login, or add ?token= of a screen")
