"""A simulated PBX in a process of its own, without any calls: `python -m benchmarks.quiet_pbx USERS`."""

import asyncio
import sys

from bridge.simulator import SimulatedPbx


async def _main() -> None:
    async with SimulatedPbx(users=int(sys.argv[1]), rows="extended").serve() as url:
        print(url, flush=True)
        await asyncio.Event().wait()


asyncio.run(_main())
