"""Nothing goes to the PBX without a permit: neither requests nor what keeps a websocket alive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from bridge.errors import SourceUnavailable
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.client.http import Http
from bridge.sources.threecx.client.tap import TappedSocket
from tests.support.limits import limit
from tests.support.threecx import settings

HEARTBEAT = 0.1


@asynccontextmanager
async def counting(pings: list[float]) -> AsyncIterator[str]:
    """A server that opens a websocket, counts the pings, answers them, and sends one of its own to each."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        async for message in socket:
            pings.append(message.type)
            if message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
                await socket.ping()
        return socket

    application = web.Application()
    application.add_routes([web.get("/ws", serve)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name
    finally:
        await runner.cleanup()


async def test_a_request_without_a_permit_is_not_sent(pbx: SimulatedPbx, url: str) -> None:
    allowed = True
    async with Http(settings(url), lambda: allowed) as http:
        await http.request("GET", "/xapi/v1/Defs")
        allowed = False
        for asked in (http.request("POST", "/connect/token", form={}), http.websocket("/callcontrol/ws", {}, 10)):
            with pytest.raises(SourceUnavailable, match="nothing is sent to the PBX"):
                await asked
    assert [each.path for each in pbx.requests] == ["/xapi/v1/Defs"]


async def test_a_websocket_without_a_permit_neither_pings_nor_answers_pings() -> None:
    frames: list[float] = []
    allowed = True
    async with counting(frames) as address, Http(settings(address), lambda: allowed) as http:
        socket = await http.websocket("/ws", {}, HEARTBEAT)
        assert isinstance(socket, TappedSocket)
        socket.permitted = http.permitted
        reading = asyncio.create_task(socket.receive(), name="reading")
        async with asyncio.timeout(limit(5)):
            while frames.count(aiohttp.WSMsgType.PING) < 2 or frames.count(aiohttp.WSMsgType.PONG) < 1:
                await asyncio.sleep(0.01)
        allowed = False
        await asyncio.sleep(HEARTBEAT / 2)  # what was on its way
        sent = len(frames)
        await asyncio.sleep(5 * HEARTBEAT)  # what is watched is that nothing comes
        assert len(frames) == sent
        reading.cancel()
        await asyncio.wait({reading})
        await socket.close()
