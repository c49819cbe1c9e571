"""Other clients on the broker: careless, forgetful and far too busy. Each goes on for as long as its block lasts."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from bridge.simulator import SimulatedPbx
from tests.support import floods
from tests.support.beside import beside
from tests.support.subscriber import Subscriber

_PAUSE = 0.02
"""Seconds between two messages of somebody who writes where the bridge does."""
_EMPTY_SESSION = b"\x10\x0c\0\4MQTT\4\2\0\0\0\0" + b"\x82\6\0\1\0\1#\0"
"""CONNECT and SUBSCRIBE to everything, by MQTT 3.1.1."""

Client = Callable[[], AbstractAsyncContextManager[object]]


def clients(port: int, pbx: SimulatedPbx, rng: random.Random) -> Mapping[str, Client]:
    """By name: what each does for as long as its block lasts."""
    return {
        "writes over topics": lambda: _writing(port, pbx, rng),
        "wipes topics": lambda: _wiping(port),
        "floods requests": lambda: floods.messages(port, "3cx/bridge/request/users", '{"transaction":{}}'),
        "floods commands": lambda: floods.messages(port, "3cx/users/{}/set", "x{}"),
        "reads nothing": lambda: _reading_nothing(port),
        "is a websocket of nobody's calls": lambda: floods.events(pbx, "{}", None),
    }


@asynccontextmanager
async def _writing(port: int, pbx: SimulatedPbx, rng: random.Random) -> AsyncIterator[None]:
    topics = [f"3cx/users/{dn}{leaf}" for dn in pbx.users for leaf in ("", "/state", "/busy", "/today")]
    topics += [f"3cx/bridge/{leaf}" for leaf in ("pbx", "info", "users", "state")]
    payloads = ("", "nonsense", "offline", "on_call", "{}")

    async def write(client: Subscriber) -> None:
        while True:
            await client.publish(rng.choice(topics), rng.choice(payloads), retain=True)
            await asyncio.sleep(_PAUSE)

    async with Subscriber(port, ("nobody/writes/here",)) as client, beside(write(client)):
        yield


@asynccontextmanager
async def _wiping(port: int) -> AsyncIterator[None]:
    async with Subscriber(port, ("3cx/#",)) as client:
        await client.until(lambda: "3cx/bridge/state" in client.latest)
        for topic in list(client.latest):
            await client.publish(topic, "", retain=True)
        yield


@asynccontextmanager
async def _reading_nothing(port: int) -> AsyncIterator[None]:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_EMPTY_SESSION)
    yield
    writer.transport.abort()
