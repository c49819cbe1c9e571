"""3CX's Call Control API, its calls by name. Only reads.

Facts: 3CX's documentation of the endpoints, and its example server.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from urllib.parse import quote

import aiohttp

from bridge.errors import SourceMissing, SourcePermissionError, SourceUnavailable
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.client.http import Answer

HEARTBEAT = 10.0
"""Seconds between pings; a connection is given up when a pong is half as long overdue."""

_ROOT = "/callcontrol"
_AT_ONCE = 8


class CallControlApi:
    """Authorised calls; a client sees only the extensions that are listed with it in the admin console."""

    def __init__(self, access: AuthorisedClient) -> None:
        self._access = access
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def websocket(self) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """The stream of events."""
        return self._access.websocket(f"{_ROOT}/ws", HEARTBEAT)

    async def everything(self) -> list[parse.Extension]:
        """All extensions that the client may monitor, with their participants."""
        return parse.extensions(_checked(await self._access.request("GET", _ROOT)).body)

    async def participant(self, dn: str, number: int) -> parse.Participant | None:
        """One participant; None when it is gone."""
        path = f"{_ROOT}/{quote(dn, safe='', errors='replace')}/participants/{number}"
        async with self._turn:
            answer = await self._access.request("GET", path, right=f"{_ROOT}/participants")
        return None if answer.status == HTTPStatus.NOT_FOUND else parse.participant(_checked(answer).body)


def _checked(answer: Answer) -> Answer:
    match answer.status:
        case 200 if answer.is_json:
            return answer
        case 401 | 403:
            raise SourcePermissionError(f"{_ROOT}: the PBX refuses this API client (HTTP {answer.status})")
        case 404:
            raise SourceMissing(f"{_ROOT} is not there (HTTP 404)")
        case _:
            raise SourceUnavailable(f"{_ROOT}: unexpected HTTP {answer.status}")
