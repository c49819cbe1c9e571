"""People who make calls, go away and come back: state words that change by themselves."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from bridge.simulator.pbx import SimulatedPbx

# From each state word, where people go next; a word stands twice where it is twice as likely.
_NEXT = {
    "Available": ("Ringing", "Ringing", "Dialing", "Dialing", "Away", "DND", "Offline"),
    "Ringing": ("Connected", "Connected", "Available"),
    "Dialing": ("Connected", "Connected", "Available"),
    "Connected": ("Available", "Available", "Hold"),
    "Hold": ("Connected", "Available"),
    "Away": ("Available",),
    "DND": ("Available",),
    "Offline": ("Available",),
}
_QUICK = ("Ringing", "Dialing", "Hold")
_OFTEN = 0.7


async def live(
    pbx: SimulatedPbx,
    *,
    rng: random.Random,
    pause: tuple[float, float] = (1.0, 3.0),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Change one user's state after another, for ever; `pause` is the shortest and longest wait in seconds."""
    while True:
        await sleep(rng.uniform(*pause))
        if not pbx.users:
            continue
        user = pbx.users[_somebody(pbx, rng)]
        pbx.set_state(user.dn, rng.choice(_NEXT.get(user.state, ("Available",))))
        tell(f"{user.dn} {user.name}: {user.state}")


def _somebody(pbx: SimulatedPbx, rng: random.Random) -> str:
    """Who changes next: most often one of those whose state does not last, such as a ringing phone."""
    hasty = [dn for dn, user in pbx.users.items() if user.state in _QUICK]
    if hasty and rng.random() < _OFTEN:
        return rng.choice(hasty)
    return rng.choice(list(pbx.users))
