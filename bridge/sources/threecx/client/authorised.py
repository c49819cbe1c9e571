"""Requests with the access token: a refused token is renewed once; if that is refused too, a right is missing."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

import aiohttp

from bridge.domain.clock import Clock
from bridge.errors import SourceUnavailable
from bridge.sources.threecx.client.auth import Token, TokenAuth
from bridge.sources.threecx.client.http import Answer, Http, TokenRefused
from bridge.sources.threecx.client.tap import TappedSocket, TapPoint

FIRST_RETRY, LONGEST_RETRY = 30.0, 600.0
"""Seconds for which a missing right is taken as certain, at first and at most. After that a new token is tried again:
an administrator may have granted the right, and a PBX that is starting refuses everything for a while."""

_MOST_TOKENS = 4
"""The most tokens that one request is sent with, while other programs with the same API client replace them."""

T = TypeVar("T")


class _AnswerRefuses(TokenRefused):
    """HTTP 401 as an answer, whose body may name the reason: it is returned in the end."""

    def __init__(self, path: str, answer: Answer) -> None:
        super().__init__(f"{path}: HTTP 401")
        self.answer = answer


class AuthorisedClient:
    """Requests to XAPI and Call Control: same server, same token. Notes when the PBX answered last."""

    def __init__(self, http: Http, auth: TokenAuth, clock: Clock, *, renews: bool = True) -> None:
        """Without `renews` there is one login only.

        Each new token ends the one before, so a command that renewed its token would disturb a bridge that uses the
        same API client.
        """
        self._renews = renews
        self._http = http
        self._auth = auth
        self._clock = clock
        self._denied: dict[str, tuple[float, float]] = {}
        """Rights that are missing, as a new token was refused: until when (monotonic seconds), and for how long, no
        other token is tried."""
        self.answered_at = float("-inf")
        """When a request was answered last (monotonic seconds)."""

    @property
    def point(self) -> TapPoint:
        """Where a recording listens to the answers."""
        return self._http.point

    async def login(self) -> None:
        """Log in now if necessary, ahead of requests that are cut off sooner than a login may be."""
        await self._auth.token()

    async def request(
        self, method: str, path: str, query: str = "", *, json: Mapping[str, object] | None = None, right: str = ""
    ) -> Answer:
        """The PBX's answer, of any status below 500. `right`: what the client may lack the permission for."""

        async def send(token: str) -> Answer:
            answer = await self._send(method, path, query, token, json)
            if answer.status == HTTPStatus.UNAUTHORIZED:
                raise _AnswerRefuses(path, answer)
            return answer

        try:
            return await self._authorised(right or path, send)
        except _AnswerRefuses as refusal:
            return refusal.answer

    @asynccontextmanager
    async def websocket(self, path: str, heartbeat: float) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An open websocket, pinged every `heartbeat` seconds. It stays open after its token has expired."""
        socket = await self._authorised(path, lambda token: self._http.websocket(path, _bearer(token), heartbeat))
        self.answered_at = self._clock.monotonic()
        if isinstance(socket, TappedSocket):
            socket.listen_at(self.point)
            socket.permitted = self._http.permitted
        try:
            yield socket
        finally:
            await socket.close()

    async def _authorised(self, right: str, send: Callable[[str], Awaitable[T]]) -> T:
        """The result of `send` with a token; TokenRefused if a new token is refused as well.

        Other requests renew the token too: if it was replaced meanwhile, its refusal says nothing about the right.
        """
        token = await self._auth.token()
        lost: Token | None = None
        for _ in range(_MOST_TOKENS):
            try:
                result = await send(token)
            except TokenRefused:
                if (current := self._auth.current(token)) is not None:
                    renewed = lost is not None
                    if renewed and (problem := self._auth.shared) is not None:
                        raise SourceUnavailable(problem, answered=True) from None
                    if renewed:
                        self._deny(right)
                    if renewed or not self._may_renew(right):
                        raise
                    lost = current
                token = await self._auth.renew(token)
            else:
                self._denied.pop(right, None)
                if lost is not None:
                    self._auth.was_lost(lost)
                return result
        raise SourceUnavailable(f"{right}: the access token was replaced {_MOST_TOKENS} times while it was in use")

    def _may_renew(self, right: str) -> bool:
        """Whether to try a new token: not for a while where a right is missing, as each login ends a valid token."""
        until, _ = self._denied.get(right, (float("-inf"), 0.0))
        return self._renews and self._clock.monotonic() >= until

    def _deny(self, right: str) -> None:
        _, before = self._denied.get(right, (0.0, FIRST_RETRY / 2))
        wait = min(2 * before, LONGEST_RETRY)
        self._denied[right] = (self._clock.monotonic() + wait, wait)

    async def _send(self, method: str, path: str, query: str, token: str, json: Mapping[str, object] | None) -> Answer:
        target = f"{path}?{query}" if query else path
        answer = await self._http.request(method, target, headers=_bearer(token), json=json)
        self.answered_at = self._clock.monotonic()
        return answer


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
