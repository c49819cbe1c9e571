"""The bridge's own topics: which change, and what is in them."""

import json
from dataclasses import replace

from bridge.documents import user_document
from bridge.domain.message import Rank
from bridge.domain.model import Bridge, SourceReport, State, User
from bridge.outputs.state import StateOutput
from bridge.topics import Topics

OUTPUT = StateOutput(Topics("3cx", "hq", "homeassistant"), {"pbx": {"name": "hq", "host": "pbx.example.com"}})
USER = User("101", None, State.UNKNOWN, None, 1_795_341_600, "no news from the PBX", *7 * (None,))
BRIDGE = Bridge(False, None, (SourceReport("monitor_status", False, "why"),), (), 0, None)


def rendered(before: User | None, after: User | None) -> list[tuple[str, str]]:
    return [(message.topic, message.payload.decode()) for message in OUTPUT.user(before, after)]


def test_what_is_not_known_is_null_and_every_key_is_present() -> None:
    assert json.loads(user_document(USER)) == {
        "number": "101",
        "name": None,
        "department": None,
        "state": "unknown",
        "busy": None,
        "since": "2026-11-22T10:00:00Z",
        "reason": "no news from the PBX",
        "profile": None,
        "registered": None,
        "queue": None,
        "call": None,
        "calls": None,
        "monitor": None,
    }


def test_the_monitor_row_is_in_the_document_unchanged() -> None:
    row = '{"DN":"101","Expiration":9007199254740993}'
    assert user_document(replace(USER, monitor=row)).endswith(f',"monitor":{row}}}')
    assert user_document(replace(USER, monitor="{}")).endswith(',"monitor":null}')


def test_only_topics_that_change_are_published() -> None:
    away = replace(USER, state=State.AWAY, busy=False)
    assert [topic for topic, _ in rendered(USER, away)] == [
        "3cx/users/101/state",
        "3cx/users/101/busy",
        "3cx/users/101",
    ]
    assert [topic for topic, _ in rendered(away, replace(away, state=State.OFFLINE))] == [
        "3cx/users/101/state",
        "3cx/users/101",
    ]
    assert [topic for topic, _ in rendered(away, replace(away, since=1))] == ["3cx/users/101"]
    assert rendered(away, away) == []


def test_a_removed_user_clears_all_its_topics() -> None:
    topics = {topic for topic, _ in rendered(None, USER)} | {"3cx/users/101/today"}
    assert {topic for topic, payload in rendered(USER, None) if payload == ""} == topics
    assert rendered(None, None) == []


def test_lone_surrogates_are_replaced() -> None:
    (_, _, last, _) = rendered(None, replace(USER, name="Ada \ud800"))
    assert json.loads(last[1])["name"] == "Ada ?"


def test_the_bridge_s_topics_and_their_order() -> None:
    first = list(OUTPUT.bridge(None, BRIDGE))
    assert first[0].topic == "3cx/bridge/info"
    assert json.loads(first[0].payload)["sources"] == {"monitor_status": {"in_use": False, "reason": "why"}}
    assert [message.rank for message in first if message.topic == "3cx/bridge/pbx"] == [Rank.ONLINE]
    later = list(OUTPUT.bridge(BRIDGE, replace(BRIDGE, pbx_online=True, count=7, busy=1)))
    assert [(message.topic, message.payload, message.rank) for message in later] == [
        ("3cx/bridge/pbx", b"online", Rank.BRIDGE),
        ("3cx/bridge/users_busy", b"1", Rank.DETAIL),
        ("3cx/bridge/count", b"7", Rank.DETAIL),
    ]
