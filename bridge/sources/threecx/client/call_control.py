"""3CX's Call Control API: a method for each request that the bridge sends. It only reads.

Source: 3CX's documentation of the endpoints, and its example server.
"""

import asyncio
import hashlib
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from urllib.parse import quote

import aiohttp

from bridge.errors import SourceMissing, SourcePermissionError, SourceUnavailable
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.client.http import Answer
from bridge.sources.threecx.parse.shapes import extension_shapes, participant_shapes
from bridge.sources.threecx.shapes import Shapes

_ROOT = "/callcontrol"
_AT_ONCE = 8
"""Requests for participants at a time: a busy PBX sends a burst of events when a queue rings many phones."""


class CallControlApi:
    """Authorised requests; an API client sees only the extensions that are listed with it in the admin console."""

    def __init__(self, client: AuthorisedClient, heartbeat: float, shapes: Shapes | None = None) -> None:
        """`heartbeat`: seconds between two pings of the websocket; it is closed if a pong is half as long overdue.

        `shapes` counts what is received.
        """
        self._client = client
        self._shapes = shapes or Shapes()
        self._digest = b""
        """Of the last answer with everything: the same text has the same shapes."""
        self._heartbeat = heartbeat
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def websocket(self) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """The websocket of events, as an async context manager."""
        return self._client.websocket(f"{_ROOT}/ws", self._heartbeat)

    async def everything(self) -> parse.Snapshot:
        """All DNs that the client may monitor, and the participants of users."""
        body = _checked(await self._client.request("GET", _ROOT)).body
        digest = hashlib.blake2b(body, digest_size=16).digest()
        if digest != self._digest:
            self._digest = digest
            self._shapes.note(extension_shapes(body))
        return parse.snapshot(body)

    async def participant(self, dn: str, number: int) -> parse.Participant | None:
        """One participant; None when it is gone."""
        path = f"{_ROOT}/{quote(dn, safe='', errors='replace')}/participants/{number}"
        async with self._turn:
            answer = await self._client.request("GET", path, right=f"{_ROOT}/participants")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        body = _checked(answer).body
        self._shapes.note(participant_shapes(body))
        return parse.participant(body)


def _checked(answer: Answer) -> Answer:
    match answer.status:
        case 200 if answer.is_json:
            return answer
        case 401 | 403:
            raise SourcePermissionError(f"{_ROOT}: the PBX refuses this API client (HTTP {answer.status})")
        case 404:
            raise SourceMissing(f"{_ROOT} does not exist here (HTTP 404)")
        case _:
            raise SourceUnavailable(f"{_ROOT}: unexpected HTTP {answer.status}")
