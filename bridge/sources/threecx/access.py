"""Requests with the access token: one renewal when it is refused, and no more where a right is missing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp

from bridge.domain.clock import Clock
from bridge.sources.threecx.auth import TokenAuth
from bridge.sources.threecx.http import Answer, Http, TokenRefused

FORGIVEN = 600.0
"""Seconds after which a refusal of a fresh token is doubted."""


class Access:
    """What XAPI and Call Control have in common: the server, the token, and when the PBX answered last."""

    def __init__(self, http: Http, auth: TokenAuth, clock: Clock, *, renews: bool = True) -> None:
        """Without `renews` one login has to do: who only looks must not end the token of a bridge again and again."""
        self._renews = renews
        self._http = http
        self._auth = auth
        self._clock = clock
        self._closed: dict[str, float] = {}
        """What refused a fresh token, and when (monotonic): a missing right, which no renewal mends."""
        self.answered_at = float("-inf")
        """When a request was answered last (monotonic)."""

    async def request(
        self, method: str, path: str, query: str = "", *, json: Mapping[str, object] | None = None, right: str = ""
    ) -> Answer:
        """The PBX's answer, of any status below 500; `right` names what may be closed to the client."""
        right = right or path
        token = await self._auth.token()
        answer = await self._send(method, path, query, token, json)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._may_renew(right):
            fresh = await self._auth.renew(token)
            answer = await self._send(method, path, query, fresh, json)
            if answer.status == HTTPStatus.UNAUTHORIZED:
                self._closed[right] = self._clock.monotonic()
        if answer.status < HTTPStatus.BAD_REQUEST:
            self._closed.pop(right, None)
        return answer

    @asynccontextmanager
    async def websocket(self, path: str, heartbeat: float) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An open websocket, pinged every `heartbeat` seconds. It outlives the token that it was opened with."""
        token = await self._auth.token()
        try:
            socket = await self._http.websocket(path, _bearer(token), heartbeat)
        except TokenRefused:
            if not self._may_renew(path):
                raise
            fresh = await self._auth.renew(token)
            try:
                socket = await self._http.websocket(path, _bearer(fresh), heartbeat)
            except TokenRefused:
                self._closed[path] = self._clock.monotonic()
                raise
        self._closed.pop(path, None)
        self.answered_at = self._clock.monotonic()
        try:
            yield socket
        finally:
            await socket.close()

    def _may_renew(self, right: str) -> bool:
        """Whether another token is worth a try: not for what is closed; but a PBX that was starting is forgiven."""
        return self._renews and self._clock.monotonic() - self._closed.get(right, float("-inf")) >= FORGIVEN

    async def _send(self, method: str, path: str, query: str, token: str, json: Mapping[str, object] | None) -> Answer:
        target = f"{path}?{query}" if query else path
        answer = await self._http.request(method, target, headers=_bearer(token), json=json)
        self.answered_at = self._clock.monotonic()
        return answer


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
