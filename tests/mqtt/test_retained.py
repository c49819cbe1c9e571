import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.message import Message, Rank
from bridge.domain.model import State
from bridge.domain.remembered import Remembered
from bridge.mqtt.retained import RetainedTopics
from bridge.topics import Topics

TOPICS = Topics("3cx", "hq", "homeassistant")
DISCOVERY = "homeassistant/device/3cx2mqtt_hq/user_1/config"


def of(retained: dict[str, str]) -> RetainedTopics:
    result = RetainedTopics(TOPICS)
    for topic, payload in retained.items():
        result.add(topic, payload.encode())
    return result


def published(result: RetainedTopics, wanted: dict[str, str]) -> dict[str, str]:
    messages = [Message(topic, payload.encode(), Rank.STATE) for topic, payload in wanted.items()]
    return {message.topic: message.payload.decode() for message in result.difference(messages)}


OWNED = {"3cx/bridge/info": '{"pbx":{"name":"hq"},"options":{"a":1}}'}


def test_only_differences_are_published() -> None:
    retained = OWNED | {"3cx/users/1/state": "away", "3cx/users/2/state": "away"}
    assert published(of(retained), OWNED | {"3cx/users/1/state": "away", "3cx/users/2/state": "available"}) == {
        "3cx/users/2/state": "available"
    }


def test_bridge_pbx_is_published_whatever_is_retained() -> None:
    online = Message("3cx/bridge/pbx", b"online", Rank.ONLINE)
    assert next(of(OWNED | {"3cx/bridge/pbx": "online"}).difference([online])) == online


def test_the_bridge_s_own_state_is_never_cleared() -> None:
    assert published(of(OWNED | {"3cx/bridge/state": "offline"}), OWNED) == {}


def test_what_is_no_longer_true_is_cleared() -> None:
    assert published(of(OWNED | {"3cx/users/9/state": "away"}), OWNED) == {"3cx/users/9/state": ""}


@pytest.mark.parametrize("info", ['{"pbx":{"name":"other"}}', "{}", "no json", '{"pbx":7}', '{"pbx":{"name":7}}'])
def test_nothing_is_cleared_under_a_base_topic_that_is_not_signed_as_ours(info: str) -> None:
    retained = {"3cx/bridge/info": info, "3cx/users/9/state": "away"}
    assert published(of(retained), {"3cx/bridge/info": info}) == {}
    assert of(retained).remembered() == {}


@pytest.mark.parametrize(
    ("name", "identifiers", "ours"),
    [
        ("3cx2mqtt", ["3cx2mqtt_hq_user_1"], True),
        ("3cx2mqtt", ["x", "3cx2mqtt_hq_bridge"], True),
        ("3cx2mqtt", ["3cx2mqtt_hq2_user_1"], False),
        ("3cx2mqtt", ["3cx2mqtt_hq"], False),
        ("zigbee2mqtt", ["3cx2mqtt_hq_user_1"], False),
        ("3cx2mqtt", "3cx2mqtt_hq_user_1", False),
        (None, None, False),
    ],
)
def test_discovery_is_ours_by_origin_and_identifier(name: object, identifiers: object, ours: bool) -> None:
    payload = json.dumps({"origin": {"name": name}, "device": {"identifiers": identifiers}})
    assert published(of({DISCOVERY: payload}), {}) == ({DISCOVERY: ""} if ours else {})


@given(st.binary())
def test_foreign_payloads_of_any_kind_do_no_harm(payload: bytes) -> None:
    result = RetainedTopics(TOPICS)
    for topic in (DISCOVERY, "3cx/bridge/info", "3cx/users/1"):
        result.add(topic, payload)
    assert result.remembered() == {}
    assert list(result.difference([])) == []


def test_users_are_remembered_from_their_documents() -> None:
    document = {"name": "Ada", "state": "on_call", "since": "2026-11-22T10:00:00Z"}
    retained = OWNED | {
        "3cx/users/101": json.dumps(document),
        "3cx/users/102": json.dumps(document | {"state": "dancing"}),
        "3cx/users/103": json.dumps(document | {"since": "yesterday"}),
        "3cx/users/104": "[]",
        "3cx/users/105": json.dumps(document | {"name": 7}),
    }
    since = 1_795_341_600
    assert of(retained).remembered() == {
        "101": Remembered("Ada", State.ON_CALL, since),
        "105": Remembered(None, State.ON_CALL, since),
    }
    assert of(retained).options == {"a": 1}
    assert of({}).options is None


def test_another_base_topic_that_is_signed_as_ours_is_looked_into_and_so_is_its_discovery_prefix() -> None:
    def info(name: str, prefix: str) -> str:
        return json.dumps({"pbx": {"name": name}, "config": {"homeassistant": {"discovery_prefix": prefix}}})

    retained = {
        "3cx/bridge/info": info("hq", "homeassistant"),
        "phones/hq/bridge/info": info("hq", "ha"),
        "branch/bridge/info": info("branch", "hb"),
        "zigbee2mqtt/bridge/info": "{}",
    }
    assert of(retained).elsewhere() == (
        "phones/hq/bridge/#",
        "phones/hq/users/#",
        "phones/hq/groups/#",
        "phones/hq/lights/#",
        "phones/hq/queues/#",
        "phones/hq/system",
        "ha/device/3cx2mqtt_hq/+/config",
    )
    wanted = {topic: payload for topic, payload in retained.items() if not topic.startswith("phones")}
    assert published(of(retained), wanted) == {"phones/hq/bridge/info": ""}


def test_departments_are_restored_from_the_documents() -> None:
    document = {"name": "Ada", "state": "away", "since": "2026-11-22T10:00:00Z"}
    retained = OWNED | {
        "3cx/users/1": json.dumps(document | {"department": "Sales"}),
        "3cx/users/2": json.dumps(document | {"department": 2}),
    }
    remembered = of(retained).remembered()
    assert {dn: past.department for dn, past in remembered.items()} == {"1": "Sales", "2": None}


def test_the_topics_of_another_bridge_below_our_base_topic_are_left_alone() -> None:
    other = {"3cx/branch/bridge/info": '{"pbx":{"name":"branch"}}', "3cx/branch/users/1/state": "away"}
    assert published(of(OWNED | other | {"3cx/groups/old": "{}"}), OWNED) == {"3cx/groups/old": ""}


def test_where_another_bridge_of_our_name_is_running_nothing_is_synchronised() -> None:
    info = json.dumps({"pbx": {"name": "hq"}, "config": {"homeassistant": {"discovery_prefix": "ha"}}})
    running = {"phones/bridge/info": info, "phones/bridge/state": "online"}
    assert of(OWNED | running).elsewhere() == ()
    assert of(OWNED | running | {"phones/bridge/state": "offline"}).elsewhere()[0] == "phones/bridge/#"
    assert published(of(OWNED | running), OWNED) == {}
