"""`POST /api/pbxs/…`: what may be changed from the board, which is what MQTT clients may change too."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from bridge.errors import BridgeError
from bridge.web.connections import lasting

MOST_BYTES = 4096
"""Of the body of a request."""

Request = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Changes:
    """What can be changed of one PBX. Both raise BridgeError, with a text for people, for what is refused."""

    lights: Callable[[str, Request], object]
    """Pauses or overrides a light."""
    users: Callable[[str, Request], Awaitable[str | None]] | None
    """Sets profile and queue login; awaited for the PBX's answer: None where it made the change, else what happened.
    None: `commands:` allow neither."""
    standby: Callable[[], str | None] = lambda: None
    """That this bridge stands by, so that nothing can be changed here, for people; None: it does not."""


async def change_light(request: web.Request, changes: Changes) -> web.Response:
    """As `lights/<name>/set` on MQTT."""
    try:
        changes.lights(request.match_info["light"], await _body(request))
    except BridgeError as error:
        return refused(400, str(error))
    return _done()


async def change_user(request: web.Request, changes: Changes, longest: float) -> web.Response:
    """As `users/<dn>/set` on MQTT; answers once the PBX has, or after `longest` seconds."""
    if changes.users is None:
        return refused(403, "changing users is switched off: set commands.profile or commands.queue to true")
    try:
        lasting(request)
        answer = changes.users(request.match_info["dn"], await _body(request))
        async with asyncio.timeout(longest):
            problem = await answer
    except BridgeError as error:
        return refused(400, str(error))
    except TimeoutError:
        return refused(504, f"the PBX has not answered within {longest:g} s; the change may still be made")
    return _done() if problem is None else refused(502, problem)


def refused(status: int, message: str) -> web.Response:
    """An error of the API."""
    return web.json_response({"status": "error", "error": message}, status=status)


async def _body(request: web.Request) -> Request:
    """The JSON object that was sent. Only as JSON: a form of another site cannot send that (CSRF)."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send JSON, with Content-Type: application/json\n")
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise BridgeError("the body is not valid JSON") from None
    if not isinstance(body, dict):
        raise BridgeError("send a JSON object")
    return body


def _done() -> web.Response:
    return web.json_response({"status": "ok"})
