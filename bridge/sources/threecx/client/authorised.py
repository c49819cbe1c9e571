"""Requests with the access token: one renewal when it is refused, and no more where a right is missing."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

import aiohttp

from bridge.domain.clock import Clock
from bridge.errors import SourceUnavailable
from bridge.sources.threecx.client.auth import TokenAuth
from bridge.sources.threecx.client.http import Answer, Http, TokenRefused

DOUBTED, LONGEST_DOUBTED = 30.0, 600.0
"""Seconds after which a refusal of a fresh token is doubted, at first and at most: a PBX that starts refuses all."""

_TOKENS = 4
"""So many tokens one request is sent with at most."""

T = TypeVar("T")


class _AnswerRefuses(TokenRefused):
    """HTTP 401 in an answer, which says more and is handed on in the end."""

    def __init__(self, path: str, answer: Answer) -> None:
        super().__init__(f"{path}: HTTP 401")
        self.answer = answer


class AuthorisedClient:
    """What XAPI and Call Control have in common: the server, the token, and when the PBX answered last."""

    def __init__(self, http: Http, auth: TokenAuth, clock: Clock, *, renews: bool = True) -> None:
        """Without `renews` one login has to do: who only looks must not end the token of a bridge again and again."""
        self._renews = renews
        self._http = http
        self._auth = auth
        self._clock = clock
        self._closed: dict[str, tuple[float, float]] = {}
        """Missing rights, as a fresh token was refused: until when that is believed (monotonic), of how long."""
        self.answered_at = float("-inf")
        """When a request was answered last (monotonic)."""

    async def login(self) -> None:
        """Have a token, for requests that may not take as long as a login."""
        await self._auth.token()

    async def request(
        self, method: str, path: str, query: str = "", *, json: Mapping[str, object] | None = None, right: str = ""
    ) -> Answer:
        """The PBX's answer, of any status below 500; `right` names what may be closed to the client."""

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
        """An open websocket, pinged every `heartbeat` seconds. It outlives the token that it was opened with."""
        socket = await self._authorised(path, lambda token: self._http.websocket(path, _bearer(token), heartbeat))
        self.answered_at = self._clock.monotonic()
        try:
            yield socket
        finally:
            await socket.close()

    async def _authorised(self, right: str, send: Callable[[str], Awaitable[T]]) -> T:
        """What `send` gives with a token; TokenRefused where not even a new one is let in.

        Others renew the token too: one that was replaced by the time it is refused says nothing about the right.
        """
        token = await self._auth.token()
        renewed = False
        for _ in range(_TOKENS):
            try:
                result = await send(token)
            except TokenRefused:
                if self._auth.is_current(token):
                    if renewed:
                        self._close(right)
                    if renewed or not self._may_renew(right):
                        raise
                    renewed = True
                token = await self._auth.renew(token)
            else:
                self._closed.pop(right, None)
                return result
        raise SourceUnavailable(f"{right}: the access token was replaced {_TOKENS} times while it was in use")

    def _may_renew(self, right: str) -> bool:
        """Whether another token is worth a try: not for what is closed, for a while."""
        until, _ = self._closed.get(right, (float("-inf"), 0.0))
        return self._renews and self._clock.monotonic() >= until

    def _close(self, right: str) -> None:
        _, before = self._closed.get(right, (0.0, DOUBTED / 2))
        wait = min(2 * before, LONGEST_DOUBTED)
        self._closed[right] = (self._clock.monotonic() + wait, wait)

    async def _send(self, method: str, path: str, query: str, token: str, json: Mapping[str, object] | None) -> Answer:
        target = f"{path}?{query}" if query else path
        answer = await self._http.request(method, target, headers=_bearer(token), json=json)
        self.answered_at = self._clock.monotonic()
        return answer


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
