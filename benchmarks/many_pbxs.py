"""Many simulated PBXs in a process of its own, whose users are called, answer and hang up.

`python -m benchmarks.many_pbxs COUNT USERS`: prints the URL of each, then takes a line `RATE SECONDS FLOODS` from stdin
again and again, lets so many events a second happen in all of them together, and prints what happened as
`<monotonic ns> <pbx> <dn> <state>`, and an empty line at the end. With FLOODS 1 the first PBX pushes 2,000 messages a
second meanwhile, and nobody is called there.
"""

import asyncio
import gc
import sys
import time
from contextlib import AsyncExitStack, suppress

from bridge.simulator import SimulatedPbx
from tests.support import floods

_PHASES = ("ringing", "on_call", "available")
_HOLD = 3.0
"""Seconds that a phase of a call takes."""


async def _main(count: int, users: int) -> None:
    async with AsyncExitStack() as stack:
        pbxs = [SimulatedPbx(users=users, version="20.0.10.51") for _ in range(count)]
        for pbx in pbxs:
            print(await stack.enter_async_context(pbx.serve()), flush=True)
        gc.disable()  # else its own collections, of a third of a second, would be counted as the bridge's
        while line := await asyncio.to_thread(sys.stdin.readline):
            rate, seconds, flooded = line.split()
            async with AsyncExitStack() as flood:
                if flooded == "1":
                    await flood.enter_async_context(floods.events(pbxs[0], "{}", None, rate=2000))
                lines = await _live(pbxs[int(flooded) :], int(flooded), float(rate), float(seconds))
            print("\n".join((*lines, "")), flush=True)


async def _live(pbxs: list[SimulatedPbx], first: int, rate: float, seconds: float) -> list[str]:
    places = [(first + number, pbx, dn) for dn in list(pbxs[0].users)[:20] for number, pbx in enumerate(pbxs)]
    slots = max(1, int(rate * _HOLD))
    busy: dict[int, tuple[int, SimulatedPbx, str, int]] = {}
    began, following, lines = time.monotonic(), 0, []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        slot, phase = number % slots, number // slots % len(_PHASES)
        now = time.monotonic_ns()
        if phase == 0:
            place, pbx, dn = places[following % len(places)]
            following += 1
            busy[slot] = place, pbx, dn, pbx.exchange.ring("0301234567", dn)
        elif phase == 1:
            busy[slot][1].exchange.answer(busy[slot][3])
        else:
            busy[slot][1].exchange.end(busy[slot][3])
        lines.append(f"{now} {busy[slot][0]} {busy[slot][2]} {_PHASES[phase]}")
    await asyncio.sleep(seconds and 5)
    for _, pbx, _, call in busy.values():  # so that the next round begins with nobody on the phone
        with suppress(KeyError):
            pbx.exchange.end(call)
    return lines


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
