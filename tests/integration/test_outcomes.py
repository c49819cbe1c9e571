"""How calls end, from the simulated PBX to a subscriber: ring group, queue, pick-up, voicemail, pushed or polled."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.simulator import SimulatedPbx
from bridge.simulator.calls import RingGroup
from tests.support.bridges import running, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

GROUP, QUEUE = "800", "8000"
MEMBERS = ("101", "102", "103")


@pytest.fixture
def pbx() -> SimulatedPbx:
    made = SimulatedPbx(users=4, version="20.0.10.51")
    made.ring_groups[GROUP] = RingGroup("Office", list(MEMBERS))
    return made


@pytest_asyncio.fixture
async def pushed(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> AsyncIterator[None]:
    """The bridge runs, with Call Control for every user."""
    async with running(config(tmp_path, pbx, url, broker, call_control="enabled: true")):
        await subscriber.until_latest("3cx/bridge/state", "online")
        yield


def config(folder: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, **sections: str) -> Path:
    fast = {"users_source": "interval: 500ms", "active_calls": "interval: 500ms"}
    return write_config(folder, pbx, url, broker.port, source="enabled: auto", **fast, **sections)


def events(subscriber: Subscriber, dn: str) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in subscriber.payloads(f"3cx/users/{dn}/call")]


async def ends(subscriber: Subscriber, *dns: str) -> dict[str, tuple[str, str | None]]:
    """The outcome of the only call of each of these users."""
    await subscriber.until(
        lambda: all([each["event_type"] for each in events(subscriber, dn)][-1:] == ["ended"] for dn in dns)
    )
    last = {dn: events(subscriber, dn)[-1] for dn in dns}
    assert all(sum(each["event_type"] == "ended" for each in events(subscriber, dn)) == 1 for dn in dns)
    return {dn: (event["outcome"], event["answered_by"]) for dn, event in last.items()}


async def ring(subscriber: Subscriber, *dns: str) -> None:
    for dn in dns:
        await subscriber.until_latest(f"3cx/users/{dn}/state", "ringing")


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("answers", MEMBERS)
async def test_a_ring_group_of_which_one_answers(pbx: SimulatedPbx, subscriber: Subscriber, answers: str) -> None:
    """The simulated PBX stops some phones before the answer and some after it."""
    call = pbx.exchange.ring("0301234567", GROUP)
    await ring(subscriber, *MEMBERS)
    pbx.exchange.answer(call, answers)
    others = [dn for dn in MEMBERS if dn != answers]
    assert await ends(subscriber, *others) == dict.fromkeys(others, ("answered_elsewhere", answers))
    pbx.exchange.end(call)
    assert await ends(subscriber, answers) == {answers: ("completed", None)}
    assert {each["via"] for dn in MEMBERS for each in events(subscriber, dn)} == {GROUP}


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("number", [GROUP, QUEUE])
async def test_a_caller_who_hangs_up_is_missed_by_all(pbx: SimulatedPbx, subscriber: Subscriber, number: str) -> None:
    for dn in MEMBERS:
        pbx.change(dn, queue="LoggedIn")
    call = pbx.exchange.ring("0301234567", number)
    await ring(subscriber, *MEMBERS)
    pbx.exchange.end(call)
    assert await ends(subscriber, *MEMBERS) == dict.fromkeys(MEMBERS, ("missed", None))
    assert {(each["via"], each["direction"]) for dn in MEMBERS for each in events(subscriber, dn)} == {
        (number, "inbound")
    }


@pytest.mark.usefixtures("pushed")
async def test_a_queue_whose_caller_is_a_colleague(pbx: SimulatedPbx, subscriber: Subscriber) -> None:
    for dn in ("102", "103"):
        pbx.change(dn, queue="LoggedIn")
    call = pbx.exchange.ring("101", QUEUE)
    await ring(subscriber, "102", "103")
    pbx.exchange.answer(call, "103")
    assert await ends(subscriber, "102") == {"102": ("answered_elsewhere", "103")}
    pbx.exchange.end(call)
    assert await ends(subscriber, "101", "103") == dict.fromkeys(("101", "103"), ("completed", None))


@pytest.mark.usefixtures("pushed")
async def test_a_pick_up(pbx: SimulatedPbx, subscriber: Subscriber) -> None:
    call = pbx.exchange.ring("0301234567", "101")
    await ring(subscriber, "101")
    pbx.exchange.pick_up(call, "100")
    assert await ends(subscriber, "101") == {"101": ("answered_elsewhere", "100")}
    await subscriber.until(lambda: len(events(subscriber, "100")) == 1)
    (event,) = events(subscriber, "100")
    assert (event["event_type"], event["direction"], event["party"]) == ("answered", "inbound", "…567")
    await subscriber.until(lambda: subscriber.json("3cx/users/100")["call"] is not None)  # published after the event
    assert subscriber.json("3cx/users/100")["call"]["direction"] == "inbound"


@pytest.mark.usefixtures("pushed")
async def test_a_phone_that_stops_ringing_alone_misses_the_call_within_a_second(
    pbx: SimulatedPbx, subscriber: Subscriber
) -> None:
    """The state changes at once, and no other news is needed for the event."""
    call = pbx.exchange.ring("0301234567", GROUP)
    await ring(subscriber, *MEMBERS)
    device = pbx.exchange.calls[call].of("101")[0]
    pbx.exchange._drop(pbx.exchange.calls[call], device)
    await subscriber.until_latest("3cx/users/101/state", "available")
    assert [each["event_type"] for each in events(subscriber, "101")] == ["ringing"]
    assert await ends(subscriber, "101") == {"101": ("missed", None)}
    assert subscriber.latest["3cx/users/102/state"] == "ringing"


@pytest.mark.usefixtures("pushed")
async def test_an_internal_call_that_the_voicemail_takes(pbx: SimulatedPbx, subscriber: Subscriber) -> None:
    call = pbx.exchange.ring("101", "102")
    await ring(subscriber, "102")
    talk = pbx.exchange.calls[call]
    talk.callee = "666"
    pbx.exchange._drop(talk, talk.of("102")[0])
    pbx.exchange._move(talk.of("101")[0], "Connected")
    assert await ends(subscriber, "102") == {"102": ("missed", None)}
    pbx.exchange.end(call)
    assert await ends(subscriber, "101") == {"101": ("completed", None)}


async def test_polling_alone_sees_a_pick_up_and_a_missed_call(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(config(tmp_path, pbx, url, broker, call_control="enabled: false")):
        await subscriber.until_latest("3cx/bridge/state", "online")
        taken, missed = pbx.exchange.ring("0301234567", "101"), pbx.exchange.ring("103", "102")
        await ring(subscriber, "101", "102")
        pbx.exchange.pick_up(taken, "100")
        pbx.exchange.end(missed)
        assert await ends(subscriber, "101", "102", "103") == {
            "101": ("answered_elsewhere", "100"),
            "102": ("missed", None),
            "103": ("not_answered", None),
        }
