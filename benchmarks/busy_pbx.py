"""A simulated PBX in a process of its own whose users are called, answer and hang up, so many events a second.

`python -m benchmarks.busy_pbx USERS RATE SECONDS SLOTS PUSH`: prints its URL, waits for a line on stdin, lets things
happen, and prints what happened as `<monotonic ns> <dn> <state>` once it is over. SLOTS users are in a call at a time.
"""

import asyncio
import sys
import time

from bridge.simulator import SimulatedPbx

_PHASES = ("ringing", "on_call", "available")


async def _main(users: int, rate: float, seconds: float, slots: int, *, push: bool) -> None:
    pbx = SimulatedPbx(users=users, version="20.0.10")
    pbx.may_control_calls = push
    async with pbx.serve() as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        lines = await _live(pbx, rate, int(rate * seconds), slots)
        await asyncio.sleep(5)
    print("\n".join(lines), flush=True)


async def _live(pbx: SimulatedPbx, rate: float, events: int, slots: int) -> list[str]:
    dns = list(pbx.users)
    busy: dict[int, tuple[str, int]] = {}
    began, following, lines = time.monotonic(), 0, []
    for number in range(events):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        slot, phase = number % slots, number // slots % len(_PHASES)
        now = time.monotonic_ns()
        if phase == 0:
            dn = dns[following % len(dns)]
            following += 1
            busy[slot] = dn, pbx.exchange.ring("0301234567", dn)
        elif phase == 1:
            pbx.exchange.answer(busy[slot][1])
        else:
            pbx.exchange.end(busy[slot][1])
        lines.append(f"{now} {busy[slot][0]} {_PHASES[phase]}")
    return lines


if __name__ == "__main__":
    asyncio.run(
        _main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), push=sys.argv[5] == "push")
    )
