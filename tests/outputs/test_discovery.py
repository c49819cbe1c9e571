"""Discovery payloads: valid for Home Assistant, the same every time, and about topics that really are published."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.model import Bridge, SourceReport, State, User
from bridge.outputs.hass.discovery import DiscoveryOutput
from bridge.outputs.state import StateOutput
from bridge.topics import Topics
from tests.outputs.hass_schema import VALIDATOR

TOPICS = Topics("3cx", "hq", "homeassistant")
GOLDEN = Path(__file__).parent / "golden"
USER = User("101", "Ada Example", State.AVAILABLE, False, 0, "available", '{"DN":"101","Expiration":0}')
BRIDGE = Bridge(True, "20.0.8", (SourceReport("monitor_status", True),), (("101", "Ada Example"),), 0, 1)


def user_payload(user: User = USER) -> tuple[str, bytes]:
    (message,) = DiscoveryOutput(TOPICS, "pbx.example.com").user(None, user)
    return message.topic, message.payload


def bridge_payload() -> tuple[str, bytes]:
    (message,) = DiscoveryOutput(TOPICS, "pbx.example.com").bridge(None, BRIDGE)
    return message.topic, message.payload


@pytest.mark.parametrize(("name", "payload"), [("user_101", user_payload), ("bridge", bridge_payload)])
def test_payloads_are_the_golden_ones_and_valid(name: str, payload: Callable[[], tuple[str, bytes]]) -> None:
    topic, text = payload()
    assert topic == f"homeassistant/device/3cx2mqtt_hq/{name}/config"
    assert json.loads(text) == json.loads((GOLDEN / f"{name}.json").read_text())
    assert [error.message for error in VALIDATOR.iter_errors(json.loads(text))] == []
    assert payload()[1] == text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), st.text() | st.none())
def test_any_number_and_name_gives_a_valid_payload(number: str, name: str | None) -> None:
    topic, text = user_payload(replace(USER, number=number.replace("/", "-"), name=name or None))
    assert re.fullmatch(r"homeassistant/device/3cx2mqtt_hq/user_[a-zA-Z0-9_-]+/config", topic)
    errors = [
        error.message for error in VALIDATOR.iter_errors(json.loads(text)) if "state_topic" not in error.json_path
    ]
    assert errors == []


def components(payload: bytes) -> dict[str, dict[str, Any]]:
    return dict(json.loads(payload)["components"])


def test_every_topic_that_discovery_names_is_published() -> None:
    output = StateOutput(TOPICS, {})
    published = {message.topic for message in output.user(None, USER)}
    published |= {message.topic for message in output.bridge(None, BRIDGE)} | {TOPICS.bridge_state}
    for _, payload in (user_payload(), bridge_payload()):
        named = {component["state_topic"] for component in components(payload).values()}
        named |= {entry["topic"] for entry in json.loads(payload)["availability"]}
        assert named <= published


def test_unique_ids_are_unique_and_every_state_is_an_option() -> None:
    every = [*components(user_payload()[1]).values(), *components(bridge_payload()[1]).values()]
    assert len({component["unique_id"] for component in every}) == len(every)
    options = components(user_payload()[1])["state"]["options"]
    assert {*options, "unknown"} == set(State)


def test_only_a_new_name_changes_the_payload_and_a_gone_user_clears_it() -> None:
    output = DiscoveryOutput(TOPICS, "pbx.example.com")
    assert list(output.user(USER, replace(USER, state=State.AWAY, since=5))) == []
    assert len(list(output.user(USER, replace(USER, name="Ada Lovelace")))) == 1
    (cleared,) = output.user(USER, None)
    assert (cleared.topic, cleared.payload, cleared.retain) == (user_payload()[0], b"", True)
    assert list(output.bridge(BRIDGE, replace(BRIDGE, busy=3))) == []
