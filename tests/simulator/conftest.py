from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from bridge.simulator import SimulatedPbx
from tests.simulator.client import Client


@pytest_asyncio.fixture
async def client(pbx: SimulatedPbx, url: str) -> AsyncIterator[Client]:
    """Logged in."""
    async with aiohttp.ClientSession() as session:
        made = Client(session, url)
        await made.login(pbx)
        yield made
