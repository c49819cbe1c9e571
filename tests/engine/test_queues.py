"""Who waits in a queue, and who answers it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from bridge.domain.model import CallStatus, Leg, Legs
from bridge.domain.model import Queue as Login
from bridge.domain.queues import Queue
from bridge.domain.system import System
from bridge.domain.updates import Calls, Queues, SystemSeen, UserCalls
from bridge.errors import SourceMissing, SourcePermissionError, SourceUnavailable
from tests.support.clock import FakeClock
from tests.support.world import ACTIVE_CALLS, CALL_CONTROL, QUEUES, SYSTEM, USERS, World, user

SUPPORT = Queue("800", "Support", frozenset({"101", "102", "103", "777"}))


def caller(call: str, *, party: str = "0301234567", since: int | None = None) -> Leg:
    return Leg(call, CallStatus.ON_CALL, party=party, since=since)


@pytest.fixture
def office(clock: FakeClock) -> World:
    world = World(clock, sources=(USERS, ACTIVE_CALLS, CALL_CONTROL, QUEUES, SYSTEM))
    world.users(user("101", queue=Login.LOGGED_IN), user("102", queue=Login.LOGGED_OUT), user("103"))
    know(world, SUPPORT)
    return world


def know(world: World, *queues: Queue) -> None:
    world.engine.apply(Queues(QUEUES, {queue.number: queue for queue in queues}, 90.0))


def poll(world: World, legs: Mapping[str, Legs]) -> None:
    now = world.clock.clock.monotonic()
    world.engine.apply(Calls(ACTIVE_CALLS, legs, None, now, world.good_for, queues=None))


def push(world: World, legs: Mapping[str, Legs], queues: set[str]) -> None:
    now = world.clock.clock.monotonic()
    covered = frozenset({"101", "102", "103"})
    world.engine.apply(Calls(CALL_CONTROL, legs, covered, now, world.good_for, live=True, queues=frozenset(queues)))


def document(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.wire.retained["3cx/queues/800"])
    return found


def waiting(world: World) -> str:
    return world.wire.retained["3cx/queues/800/waiting"]


def test_not_known_is_not_zero(office: World) -> None:
    assert (waiting(office), document(office)["waiting"]) == ("None", None)
    poll(office, {})
    assert (waiting(office), document(office)["waiting"]) == ("0", 0)
    office.wait(office.good_for + 1)
    assert (waiting(office), document(office)["waiting"]) == ("None", None)


def test_callers_wait_until_an_agent_is_connected(office: World) -> None:
    poll(office, {"800": (caller("1", since=1_795_341_000), caller("2", since=1_795_341_060))})
    assert document(office) == {
        "number": "800",
        "name": "Support",
        "waiting": 2,
        "longest_since": "2026-11-22T09:50:00Z",
        "agents": {"logged_in": ["101"], "available": ["101"], "on_call": [], "logged_out": ["102", "103"]},
    }
    ringing = Leg("1", CallStatus.RINGING, party="0301234567")
    poll(office, {"800": (caller("1"), caller("2")), "101": (ringing,)})
    assert waiting(office) == "2"
    poll(office, {"800": (caller("1"), caller("2")), "101": (caller("1"),)})
    assert waiting(office) == "1"
    assert document(office)["agents"]["on_call"] == ["101"]
    poll(office, {"101": (caller("1"),)})
    assert (waiting(office), document(office)["longest_since"]) == ("0", None)


def test_an_agent_who_calls_the_own_queue_waits_there(office: World) -> None:
    poll(office, {"800": (caller("1", party="101"),), "101": (caller("1", party="800"),)})
    assert waiting(office) == "1"


def test_a_caller_without_a_time_waits_since_he_was_seen_first(office: World, clock: FakeClock) -> None:
    push(office, {}, {"800"})
    office.engine.apply(UserCalls(CALL_CONTROL, "800", (caller("1"),)))
    first = document(office)["longest_since"]
    assert first == "2026-11-22T10:00:00Z"
    clock.turn(7)
    office.engine.apply(UserCalls(CALL_CONTROL, "800", (caller("1"), caller("2"))))
    assert (waiting(office), document(office)["longest_since"]) == ("2", first)
    office.engine.apply(UserCalls(CALL_CONTROL, "800", (caller("2"),)))
    assert (waiting(office), document(office)["longest_since"]) == ("1", "2026-11-22T10:00:07Z")


def test_what_is_pushed_counts_where_call_control_covers_the_queue(office: World) -> None:
    poll(office, {"800": (caller("1"),)})
    push(office, {}, set())
    assert waiting(office) == "1"
    assert not office.engine.pushed
    push(office, {}, {"800"})
    assert waiting(office) == "0"
    assert office.engine.pushed


def test_agents_follow_their_login_and_state(office: World) -> None:
    office.users(user("101", queue=Login.LOGGED_OUT), user("102", queue=Login.LOGGED_IN, profile="Away"))
    agents = document(office)["agents"]
    assert (agents["logged_in"], agents["available"], agents["logged_out"]) == (["102"], [], ["101", "103"])
    know(office, Queue("800", "Support", None))
    assert document(office)["agents"] is None


def test_a_queue_that_the_pbx_has_no_more_goes_and_so_do_all_where_it_refuses(office: World) -> None:
    know(office, SUPPORT, Queue("801", None, frozenset()))
    assert "3cx/queues/801/waiting" in office.wire.retained
    know(office, SUPPORT)
    assert not [topic for topic in office.wire.retained if topic.startswith("3cx/queues/801")]
    office.fail(SourceUnavailable("down"), QUEUES)
    assert "3cx/queues/800" in office.wire.retained
    office.fail(SourcePermissionError("may not"), QUEUES)
    assert not [topic for topic in office.wire.retained if topic.startswith("3cx/queues")]


def test_only_what_changes_is_published(office: World) -> None:
    poll(office, {"800": (caller("1"),)})
    office.wire.order.clear()
    poll(office, {"800": (caller("1"),)})
    know(office, SUPPORT)
    assert office.wire.order == []
    poll(office, {"800": (caller("1"), caller("2"))})
    assert office.wire.order == ["3cx/queues/800/waiting", "3cx/queues/800"]


def test_a_snapshot_has_queues_and_system(office: World) -> None:
    office.engine.apply(SystemSeen(SYSTEM, System(calls=1), 180.0))
    before = dict(office.wire.retained)
    assert {"3cx/queues/800", "3cx/queues/800/waiting", "3cx/system"} <= before.keys()
    office.wire.retained = {topic: before[topic] for topic in before if "bridge" in topic}
    office.synchronise()
    assert office.wire.retained == before | {"3cx/bridge/users_busy": "0"}


def test_the_system_is_not_known_any_more_when_it_is_too_old_and_goes_where_it_is_refused(office: World) -> None:
    office.engine.apply(SystemSeen(SYSTEM, System(calls=1, trunks=2, version="20.0.8.1109"), 180.0))
    assert json.loads(office.wire.retained["3cx/system"]) == {
        "calls": 1,
        "max_calls": None,
        "trunks_online": None,
        "trunks": 2,
        "extensions_online": None,
        "extensions": None,
        "licence_expires": None,
        "version": "20.0.8.1109",
    }
    office.wait(181)
    found = json.loads(office.wire.retained["3cx/system"])
    assert {key: value for key, value in found.items() if value is not None} == {"version": "20.0.8.1109"}
    office.fail(SourceMissing("no such thing"), SYSTEM)
    assert "3cx/system" not in office.wire.retained
