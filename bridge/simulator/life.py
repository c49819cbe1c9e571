"""Makes users of the simulated PBX call, answer, go away and come back at random."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from bridge.simulator.calls import SimulatedCall
from bridge.simulator.pbx import SimulatedPbx

_PROFILES = ("Available", "Available", "Away", "Out of office")
_OFTEN = 0.7
_SELDOM = 0.15
_UNTOUCHED = 6


def settle(pbx: SimulatedPbx) -> None:
    """Some have never changed their profile, as on most real PBXs: it is null or empty."""
    for dn, profile in zip(list(pbx.users)[_UNTOUCHED:], (None, ""), strict=False):
        pbx.change(dn, profile=profile)


async def live(
    pbx: SimulatedPbx,
    *,
    rng: random.Random,
    pause: tuple[float, float] = (1.0, 3.0),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Let one thing happen after another, without end; `pause` is the shortest and longest wait in seconds.

    `report` gets a line for each thing that happens.
    """
    while True:
        await sleep(rng.uniform(*pause))
        calls = list(pbx.exchange.calls.values())
        if calls and rng.random() < _OFTEN:
            report(_go_on(pbx, rng.choice(calls), rng))
        elif pbx.users:
            report(_begin(pbx, rng))


def _begin(pbx: SimulatedPbx, rng: random.Random) -> str:
    dn = rng.choice(list(pbx.users))
    user = pbx.users[dn]
    chance = rng.random()
    if chance < _SELDOM:
        pbx.change(dn, registered=not user.registered)
        return f"{dn} {user.name}: phone {'plugged in' if user.registered else 'unplugged'}"
    if chance < 2 * _SELDOM:
        pbx.change(dn, profile=rng.choice(_PROFILES))
        return f"{dn} {user.name}: profile {user.profile}"
    outside = f"0301{rng.randrange(10**6):06}"
    if chance < 2.3 * _SELDOM:
        pbx.change(dn, queue="LoggedOut" if user.queue == "LoggedIn" else "LoggedIn")
        return f"{dn} {user.name}: queues {user.queue}"
    shared = [*pbx.ring_groups, *pbx.queues]
    if shared and rng.random() < 2 * _SELDOM:
        return _ring(pbx, outside, rng.choice(shared))
    other = rng.choice([outside, *(each for each in pbx.users if each != dn)])
    if rng.random() < _SELDOM:
        return f"a program calls {other} for {dn} (call {pbx.exchange.make_call(dn, other)})"
    return _ring(pbx, *rng.choice(((dn, other), (other, dn))))


def _ring(pbx: SimulatedPbx, caller: str, callee: str) -> str:
    """A call; one to the outside has to be routed first."""
    known = any(callee in inside for inside in (pbx.users, pbx.ring_groups, pbx.queues))
    return f"{caller} calls {callee} (call {pbx.exchange.ring(caller, callee, routed=known)})"


def _go_on(pbx: SimulatedPbx, call: SimulatedCall, rng: random.Random) -> str:
    if not call.routed:
        pbx.exchange.route(call.id)
        return f"call {call.id} rings outside"
    if call.callee in pbx.queues:
        return _serve(pbx, call, rng)
    if call.established is None and rng.random() < _OFTEN:
        return _answer(pbx, call, rng)
    phones = [device for device in call.devices.values() if device.dn in pbx.users]
    talking = [device for device in phones if device.status == "Connected"]
    held = [device for device in phones if device.status == "Hold"]
    if held:
        pbx.exchange.hold(call.id, held[0].dn, held=False)
        return f"{held[0].dn} takes call {call.id} back"
    if talking and rng.random() < _SELDOM:
        pbx.exchange.hold(call.id, talking[0].dn)
        return f"{talking[0].dn} holds call {call.id}"
    pbx.exchange.end(call.id)
    return f"call {call.id} ends"


def _serve(pbx: SimulatedPbx, call: SimulatedCall, rng: random.Random) -> str:
    """An agent takes the caller who waits in a queue, or the caller gives up."""
    if call.ringing() and rng.random() < _OFTEN:
        pbx.exchange.answer(call.id)
        return f"{call.callee} answers call {call.id} of the queue"
    pbx.exchange.end(call.id)
    return f"the caller of call {call.id} does not wait any longer"


def _answer(pbx: SimulatedPbx, call: SimulatedCall, rng: random.Random) -> str:
    """Who was called answers, or a colleague, or the voicemail."""
    free = [dn for dn in pbx.users if not pbx.exchange.calls_of(dn)]
    if call.ringing() and call.started_by_api is None and rng.random() < _SELDOM:
        if free and rng.random() < _OFTEN:
            colleague = rng.choice(free)
            pbx.exchange.pick_up(call.id, colleague)
            return f"{colleague} picks call {call.id} up"
        if call.callee in pbx.users:
            pbx.exchange.to_voicemail(call.id)
            return f"the voicemail of {call.callee} answers call {call.id}"
    if call.callee in pbx.ring_groups and not call.ringing():  # nobody else is in the group
        pbx.exchange.end(call.id)
        return f"call {call.id} ends"
    pbx.exchange.answer(call.id)
    return f"call {call.id} is answered"
