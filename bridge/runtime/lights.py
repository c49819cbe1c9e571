"""The loop that sends commands to the lights when they are due."""

import asyncio

from bridge.aio import wait_for
from bridge.domain.clock import Clock
from bridge.outputs.lights.output import LightsOutput
from bridge.ports import Liveness
from bridge.runtime.timing import Timing


async def drive(lights: LightsOutput, liveness: Liveness, clock: Clock, timing: Timing) -> None:
    """Call `lights.tick` after every change and whenever a light is due, until cancelled."""
    changed = asyncio.Event()
    lights.on_change = changed.set
    while True:
        liveness.expect("lights", timing.longest_step)
        wait = lights.tick() - clock.monotonic()
        await wait_for(changed, max(0.0, min(wait, timing.tick)))
        changed.clear()
