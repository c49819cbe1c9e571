"""The loop behind everything that is done about once a second."""

import asyncio
from collections.abc import Callable, Iterable

from bridge.ports import Liveness
from bridge.runtime.timing import Timing


async def every_tick(liveness: Liveness, timing: Timing, actions: Iterable[Callable[[], None]]) -> None:
    """Carry out `actions` in order, once per `timing.tick`, until cancelled."""
    actions = tuple(actions)
    while True:
        liveness.expect("clock", timing.longest_step)
        await asyncio.sleep(timing.tick)
        for action in actions:
            action()
