"""The flows of examples/node-red in a real Node-RED, with broker, bridge and simulated PBX."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.simulator import SimulatedPbx
from bridge.simulator.calls import RingGroup
from tests.support.bridges import running, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.node_red import NodeRed
from tests.support.subscriber import Subscriber

SET = "zigbee2mqtt/meeting-room/set"
AVAILABILITY = "zigbee2mqtt/meeting-room/availability"
NOTIFY = "notify/missed-call"

GREEN = {"state": "ON", "brightness": 254, "color": {"r": 0, "g": 255, "b": 0}, "transition": 0}
RED = {"state": "ON", "brightness": 254, "color": {"r": 255, "g": 0, "b": 0}, "transition": 0}
DIM_WHITE = {"state": "ON", "brightness": 30, "color": {"r": 255, "g": 255, "b": 255}, "transition": 0}


@pytest.fixture
def pbx() -> SimulatedPbx:
    return SimulatedPbx(users=3, version="20.0.10.51")


@pytest_asyncio.fixture(params=[4, 5])
async def node_red(tmp_path: Path, broker: Mosquitto, request: pytest.FixtureRequest) -> AsyncIterator[NodeRed]:
    folder = tmp_path / "node-red"
    folder.mkdir()
    async with NodeRed(folder, broker.port, request.param) as process:
        yield process
        # The start and (dis)connections of the broker are the only lines expected.
        assert "[error]" not in process.log()
        assert "[warn] [function" not in process.log()


def bridge(folder: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto) -> AbstractAsyncContextManager[None]:
    config = write_config(
        folder,
        pbx,
        url,
        broker.port,
        source="enabled: auto",
        users_source="interval: 500ms",
        active_calls="interval: 500ms",
        call_control="enabled: true",
        users="forget_after: 1s",
    )
    return running(config)


def sent(subscriber: Subscriber, topic: str = SET) -> list[Any]:
    return [json.loads(payload) for payload in subscriber.payloads(topic)]


async def last_sent(subscriber: Subscriber, command: Any) -> None:
    await subscriber.until(lambda: sent(subscriber)[-1:] == [command])


def states(board: Any) -> dict[str, str]:
    return {person["number"]: person["state"] for person in board["people"]}


async def test_the_board_shows_all_users_by_name(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, node_red: NodeRed
) -> None:
    pbx.add_user("103", "<b>x</b>", profile="Out of office")
    pbx.add_user("20", "", registered=False)
    pbx.change("100", profile="Away")
    async with bridge(tmp_path, pbx, url, broker):
        board = await node_red.until_board(lambda board: board["why"] == "" and len(board["people"]) == 5)
        assert board["people"] == [
            {"number": "103", "name": "<b>x</b>", "state": "do_not_disturb"},
            {"number": "20", "name": "20", "state": "offline"},
            {"number": "100", "name": "Ada Example", "state": "away"},
            {"number": "101", "name": "Bruno O'Brien", "state": "available"},
            {"number": "102", "name": "Chloé Müller", "state": "available"},
        ]
        call = pbx.exchange.ring("0301234567", "102")
        await node_red.until_board(lambda board: states(board)["102"] == "ringing")
        pbx.exchange.answer(call)
        await node_red.until_board(lambda board: states(board)["102"] == "on_call")
        pbx.exchange.hold(call, "102")
        await node_red.until_board(lambda board: states(board)["102"] == "on_hold")
        pbx.exchange.end(call)
        pbx.remove_user("103")
        await node_red.until_board(
            lambda board: states(board) == {"20": "offline", "100": "away", "101": "available", "102": "available"}
        )


async def test_names_do_not_become_markup(node_red: NodeRed) -> None:
    page, headers = await node_red.get("/presence")
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "made.textContent = text;" in page
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:", "https:", "{{"):
        assert risky not in page
    _, headers = await node_red.get("/presence.json")
    assert headers["content-type"].startswith("application/json")
    assert headers["cache-control"] == "no-store"


async def test_the_meeting_room_s_light_follows_its_extension(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, node_red: NodeRed
) -> None:
    async with bridge(tmp_path, pbx, url, broker):
        await last_sent(subscriber, GREEN)
        before = len(sent(subscriber))
        pbx.exchange.ring("0301234567", "100")
        call = pbx.exchange.ring("0301234567", "101")
        await last_sent(subscriber, RED)
        pbx.exchange.answer(call)
        await subscriber.until_latest("3cx/users/101/state", "on_call")
        pbx.exchange.end(call)
        await last_sent(subscriber, GREEN)
        assert sent(subscriber)[before:] == [RED, GREEN]
        await subscriber.publish(AVAILABILITY, "offline")
        await subscriber.publish(AVAILABILITY, "online")
        await subscriber.until(lambda: sent(subscriber)[before:] == [RED, GREEN, GREEN])
        await subscriber.publish(AVAILABILITY, '{"state":"offline"}')
        await subscriber.publish(AVAILABILITY, '{"state":"online"}')
        await subscriber.until(lambda: sent(subscriber)[before:] == [RED, GREEN, GREEN, GREEN])
        pbx.change("101", profile="Out of office")
        await last_sent(subscriber, RED)
        assert len(sent(subscriber)) == before + 5
    async with Subscriber(broker.port) as late:
        await late.until_latest("3cx/bridge/state", "offline")
        await late.publish("somebody/else", "1")
        await late.until_latest("somebody/else", "1")
        assert not [topic for topic, _, retained in late.log if retained and topic == SET]


async def ended(subscriber: Subscriber, dn: str, count: int) -> Any:
    """The event of the user's call that ends as number `count`."""

    def ends() -> list[Any]:
        return [event for event in sent(subscriber, f"3cx/users/{dn}/call") if event["event_type"] == "ended"]

    await subscriber.until(lambda: len(ends()) == count)
    return ends()[-1]


async def test_each_missed_call_is_notified_once(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, node_red: NodeRed
) -> None:
    pbx.change("102", queue="LoggedIn")
    async with bridge(tmp_path, pbx, url, broker):
        await node_red.until_board(lambda board: board["why"] == "" and len(board["people"]) == 3)

        answered = pbx.exchange.ring("0301234567", "100")
        await subscriber.until_latest("3cx/users/100/state", "ringing")
        pbx.exchange.answer(answered)
        await subscriber.until_latest("3cx/users/100/state", "on_call")
        pbx.exchange.end(answered)
        assert (await ended(subscriber, "100", 1))["outcome"] == "completed"

        outgoing = pbx.exchange.ring("100", "0301234567")
        await subscriber.until_latest("3cx/users/100/state", "dialing")
        pbx.exchange.end(outgoing)
        assert (await ended(subscriber, "100", 2))["outcome"] == "not_answered"

        queued = pbx.exchange.ring("0301234567", "8000")
        await subscriber.until_latest("3cx/users/102/state", "ringing")
        pbx.exchange.end(queued)
        event = await ended(subscriber, "102", 1)
        assert (event["outcome"], event["via"]) == ("missed", "8000")

        internal = pbx.exchange.ring("101", "102")
        await subscriber.until_latest("3cx/users/102/state", "ringing")
        pbx.exchange.end(internal)
        event = await ended(subscriber, "102", 2)
        assert (event["outcome"], event["direction"]) == ("missed", "internal")

        missed = pbx.exchange.ring("0301234567", "100")
        await subscriber.until_latest("3cx/users/100/state", "ringing")
        pbx.exchange.end(missed)
        event = await ended(subscriber, "100", 3)
        await subscriber.publish("3cx/users/100/call", json.dumps(event))

        withheld = pbx.exchange.ring("", "102")
        await subscriber.until_latest("3cx/users/102/state", "ringing")
        pbx.exchange.end(withheld)
        last = await ended(subscriber, "102", 3)

        await subscriber.until(lambda: len(sent(subscriber, NOTIFY)) >= 2)
        # Messages keep their order: any other notification would have arrived by now.
        assert sent(subscriber, NOTIFY) == [
            {
                "title": "Missed call",
                "message": "Missed call for Ada Example (100) from …567",
                "number": "100",
                "party": "…567",
                "id": event["id"],
            },
            {
                "title": "Missed call",
                "message": "Missed call for Chloé Müller (102) from an unknown number",
                "number": "102",
                "party": None,
                "id": last["id"],
            },
        ]


async def test_a_call_that_a_colleague_took_is_not_notified(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, node_red: NodeRed
) -> None:
    pbx.ring_groups["800"] = RingGroup("Office", ["101", "102"])
    async with bridge(tmp_path, pbx, url, broker):
        await node_red.until_board(lambda board: board["why"] == "" and len(board["people"]) == 3)
        shared = pbx.exchange.ring("0301234567", "800")
        await subscriber.until_latest("3cx/users/101/state", "ringing")
        await subscriber.until_latest("3cx/users/102/state", "ringing")
        pbx.exchange.answer(shared, "101")
        event = await ended(subscriber, "102", 1)
        assert (event["outcome"], event["answered_by"]) == ("answered_elsewhere", "101")
        pbx.exchange.end(shared)

        picked_up = pbx.exchange.ring("0301234567", "102")
        await subscriber.until_latest("3cx/users/102/state", "ringing")
        pbx.exchange.pick_up(picked_up, "101")
        event = await ended(subscriber, "102", 2)
        assert (event["outcome"], event["direction"], event["via"]) == ("answered_elsewhere", "inbound", None)
        pbx.exchange.end(picked_up)

        missed = pbx.exchange.ring("0301234567", "102")
        await subscriber.until_latest("3cx/users/102/state", "ringing")
        pbx.exchange.end(missed)
        event = await ended(subscriber, "102", 3)
        # Messages keep their order: any other notification would have arrived by now.
        await subscriber.until(lambda: len(sent(subscriber, NOTIFY)) > 0)
        assert [notification["id"] for notification in sent(subscriber, NOTIFY)] == [event["id"]]


async def test_without_the_bridge_every_user_is_unknown(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, node_red: NodeRed
) -> None:
    async with bridge(tmp_path, pbx, url, broker):
        await last_sent(subscriber, GREEN)
        await node_red.until_board(lambda board: states(board) == dict.fromkeys(pbx.users, "available"))
    board = await node_red.until_board(lambda board: states(board) == dict.fromkeys(pbx.users, "unknown"))
    assert board["why"] == "The bridge 3cx2mqtt is not running."
    await last_sent(subscriber, DIM_WHITE)
    async with bridge(tmp_path, pbx, url, broker):
        await last_sent(subscriber, GREEN)
        await node_red.until_board(lambda board: states(board) == dict.fromkeys(pbx.users, "available"))


async def test_after_a_restart_of_node_red_the_retained_states_are_shown(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, node_red: NodeRed
) -> None:
    pbx.exchange.answer(pbx.exchange.ring("0301234567", "101"))
    now = {"100": "available", "101": "on_call", "102": "available"}
    async with bridge(tmp_path, pbx, url, broker):
        await last_sent(subscriber, RED)
        await node_red.until_board(lambda board: states(board) == now)
        await node_red.stop()
        before = len(sent(subscriber))
        await node_red.start()
        await node_red.until_board(lambda board: board["why"] == "" and states(board) == now)
        await subscriber.until(lambda: len(sent(subscriber)) > before)
        # The light keeps its colour all the while.
        assert sent(subscriber)[before:] == [RED]


async def test_messages_may_come_in_any_order_and_expire_with_the_connection(
    broker: Mosquitto, node_red: NodeRed
) -> None:
    async with Subscriber(broker.port) as first:
        # There is no bridge and nothing retained, and the light says so.
        await last_sent(first, DIM_WHITE)
        for number, busy in (("101", False), ("102", True)):
            await publish_user(first, number, busy=busy)
        await first.publish("3cx/bridge/pbx", "online", retain=True)
        board = await node_red.until_board(lambda board: len(board["people"]) == 2)
        assert states(board) == {"101": "unknown", "102": "unknown"}
        assert "No data from the bridge" in board["why"]
        await first.publish("3cx/bridge/state", "online", retain=True)
        known = {"101": "available", "102": "on_call"}
        await node_red.until_board(lambda board: board["why"] == "" and states(board) == known)
        await last_sent(first, GREEN)
        await first.publish("3cx/bridge/pbx", "offline", retain=True)
        board = await node_red.until_board(lambda board: board["why"] != "")
        assert board["why"] == "The phone system does not answer."
        assert states(board) == {"101": "unknown", "102": "unknown"}
        await last_sent(first, DIM_WHITE)
        await first.publish("3cx/bridge/pbx", "online", retain=True)
        await node_red.until_board(lambda board: states(board) == known)
        await last_sent(first, GREEN)
    await broker.stop()
    board = await node_red.until_board(lambda board: states(board) == {"101": "unknown", "102": "unknown"})
    assert "is the MQTT broker reachable" in board["why"]
    # The broker comes back and has forgotten everything; 102 was deleted in the meantime.
    await broker.start()
    async with Subscriber(broker.port) as second:
        await publish_user(second, "101", busy=False)
        await second.publish("3cx/bridge/state", "online", retain=True)
        await second.publish("3cx/bridge/pbx", "online", retain=True)
        await node_red.until_board(lambda board: board["why"] == "" and states(board) == {"101": "available"})
        # The light may have been without power too.
        await last_sent(second, GREEN)
        await second.publish("3cx/users/101", "", retain=True)
        await node_red.until_board(lambda board: board["people"] == [])
        await last_sent(second, DIM_WHITE)


async def publish_user(subscriber: Subscriber, number: str, *, busy: bool) -> None:
    document = {"number": number, "name": number, "state": "on_call" if busy else "available", "busy": busy}
    await subscriber.publish(f"3cx/users/{number}", json.dumps(document), retain=True)
