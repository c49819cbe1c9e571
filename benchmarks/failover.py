"""Two machines with one configuration: what is done to one of them, and how long the topics are without a bridge."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from bridge.simulator import SimulatedPbx
from tests.support.faults import SILENCE
from tests.support.mosquitto import Mosquitto
from tests.support.pair import Machine, kept, pair
from tests.support.subscriber import Subscriber

Fault = Callable[[Machine, Mosquitto], Awaitable[None]]


async def _kill(active: Machine, _broker: Mosquitto) -> None:
    await active.end()


async def _stop(active: Machine, _broker: Mosquitto) -> None:
    await active.end(signal.SIGTERM)


async def _sleep(active: Machine, _broker: Mosquitto) -> None:
    active.freeze()


async def _cut(active: Machine, _broker: Mosquitto) -> None:
    active.broker.strike(SILENCE)


async def _reset(active: Machine, _broker: Mosquitto) -> None:
    active.broker.drop()


async def _restart(_active: Machine, broker: Mosquitto) -> None:
    await broker.stop()
    await broker.start()


FAULTS: dict[str, tuple[Fault, bool]] = {
    "SIGKILL": (_kill, True),
    "SIGTERM": (_stop, True),
    "SIGSTOP, as in sleep": (_sleep, True),
    "cable to the broker pulled": (_cut, True),
    "connection to the broker reset": (_reset, True),
    "broker restarted, persistent": (_restart, True),
    "broker restarted, forgets all": (_restart, False),
}
"""What is done, and whether the broker keeps what it retains."""


async def measure(folder: Path, name: str) -> str:
    """One line: seconds without a bridge, who is active then, logins and events, and what is not as it was."""
    fault, persistent = FAULTS[name]
    pbx = SimulatedPbx(users=3, version="20.0.8.1109")
    (place := folder / "broker").mkdir()
    async with (
        pbx.serve() as url,
        Mosquitto(place, persistent=persistent) as broker,
        Subscriber(broker.port) as subscriber,
        pair(folder, pbx, url, broker.port, subscriber) as both,
    ):
        one, two = both.machines
        await one.start()
        await both.online()
        pbx.exchange.answer(pbx.exchange.ring("0301234568", "101"))
        await subscriber.until_latest("3cx/users/101/state", "on_call")
        await two.start()
        await two.stands_by()
        before, logins, onlines = kept(subscriber), both.logins(), both.onlines()
        began = time.monotonic()
        told = asyncio.create_task(_until(lambda: subscriber.latest.get("3cx/bridge/state") == "offline", began))
        await fault(one, broker)
        await both.online(after=onlines)
        right = time.monotonic() - began
        told.cancel()
        await asyncio.wait({told})
        offline = None if told.cancelled() else told.result()
        after = kept(subscriber)
        same = "all as before" if after == before else f"{before} became {after}"
        who = "the other one" if both.active() is two else "the same one"
        since = "" if offline is None else f", {right - offline:.1f} s after the broker's offline"
        return (
            f"{name:<32} online again after {right:4.1f} s{since}: {who}; logins {both.logins() - logins}, events "
            f"{after.events - before.events}, {same}, one at a time: {both.never_asked_at_once()}"
        )


async def _until(condition: Callable[[], bool], began: float) -> float:
    while not condition():
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def all_of_them(folder: Path) -> AsyncIterator[str]:
    """A line for each fault."""
    for number, name in enumerate(FAULTS):
        (place := folder / str(number)).mkdir()
        yield await measure(place, name)
