"""The supervision's own loop, counted: tests wait for a number of its passes instead of a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bridge.runtime.supervision import Pulse, Supervision
from tests.support.beside import beside
from tests.support.limits import limit


class Passes:
    """A status line that counts how often it is asked for: once per pass, ahead of the pass's notifications."""

    def __init__(self, status: Callable[[], str] = lambda: "fine") -> None:
        self.status = status
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return self.status()

    async def more(self, count: int) -> None:
        """Wait for so many passes more; what they notify has been sent by then."""
        last = self.count + count
        await self.until(lambda: self.count >= last)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(limit(10)):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def attended(supervision: Supervision, pulse: Pulse, name: str = "hq") -> AsyncIterator[Passes]:
    """The supervision of a bridge that has nothing else."""
    passes = Passes()
    async with beside(supervision.attend(name, pulse, passes)):
        yield passes
