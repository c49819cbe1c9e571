"""Discovery payloads: valid for Home Assistant, the same every time, and with topics that the bridge uses."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from bridge.domain.message import Message
from bridge.domain.model import Bridge, CallEvent, CallEventType, Group, Queue, SourceReport, State, User
from bridge.domain.queues import Agents, QueueState
from bridge.domain.system import System
from bridge.domain.today import Today
from bridge.mqtt.outbox import Outbox
from bridge.mqtt.router import CommandTopic, Router
from bridge.outputs.hass.discovery import DiscoveryOutput, Features
from bridge.outputs.hass.names import Language
from bridge.outputs.state import StateOutput
from bridge.topics import Topics
from tests.outputs.hass_schema import VALIDATOR
from tests.support.answers import Prompt

TOPICS = Topics("3cx", "hq", "homeassistant")
GOLDEN = Path(__file__).parent / "golden"
USER = User(
    number="101",
    name="Ada Example",
    state=State.AVAILABLE,
    busy=False,
    since=0,
    reason="profile: Available",
    profile="Available",
    registered=True,
    queue=Queue.LOGGED_IN,
    call=None,
    calls=0,
    department="Sales",
    monitor='{"DN":"101","Expiration":0}',
)
BRIDGE = Bridge(True, "20.0.8", (SourceReport("monitor_status", True),), (("101", "Ada Example", "Sales"),), 0, 1)


GROUP = Group("sales", busy=True, members=(("101", State.AVAILABLE, False),))
EVENT = CallEvent(CallEventType.RINGING, "1", False, None, None, None, None, 0)


def the_one(messages: Iterable[Message]) -> tuple[str, bytes]:
    (message,) = messages
    return message.topic, message.payload


CALLERS = QueueState("800", "Support", 2, 1_795_341_600, Agents(("101",), ("101",)))


def output_with(**features: Any) -> DiscoveryOutput:
    return DiscoveryOutput(TOPICS, "https://pbx.example.com:5001", Features(**{"monitor": "rows", **features}))


def user_payload(user: User = USER) -> tuple[str, bytes]:
    return the_one(output_with().user(None, user))


def writable_payload() -> tuple[str, bytes]:
    output = output_with(profiles=("Available", "Out of office"), queue=True)
    return the_one(output.user(None, USER))


def group_payload() -> tuple[str, bytes]:
    return the_one(output_with().group(None, GROUP))


def bridge_payload() -> tuple[str, bytes]:
    return the_one(output_with().bridge(None, BRIDGE))


def queue_payload() -> tuple[str, bytes]:
    return the_one(output_with().queue(None, CALLERS))


def system_payload() -> tuple[str, bytes]:
    return the_one(output_with(system="system").bridge(None, BRIDGE))


def light_payload() -> tuple[str, bytes]:
    _, light = output_with(lights={"desk-ada": True}).bridge(None, BRIDGE)
    return light.topic, light.payload


ALL = {
    "light_desk-ada": light_payload,
    "user_101": user_payload,
    "user_101_writable": writable_payload,
    "group_sales": group_payload,
    "bridge": bridge_payload,
    "bridge_system": system_payload,
    "queue_800": queue_payload,
}


@pytest.mark.parametrize("name", ALL)
def test_payloads_are_the_golden_ones_and_valid(name: str) -> None:
    topic, text = ALL[name]()
    assert topic == f"homeassistant/device/3cx2mqtt_hq/{name.removesuffix('_writable').removesuffix('_system')}/config"
    assert json.loads(text) == json.loads((GOLDEN / f"{name}.json").read_text())
    assert [error.message for error in VALIDATOR.iter_errors(json.loads(text))] == []
    assert ALL[name]()[1] == text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), st.text() | st.none())
def test_any_number_and_name_gives_a_valid_payload(number: str, name: str | None) -> None:
    topic, text = user_payload(replace(USER, number=number.replace("/", "-"), name=name or None))
    assert re.fullmatch(r"homeassistant/device/3cx2mqtt_hq/user_[a-zA-Z0-9_-]+/config", topic)
    errors = [error.message for error in VALIDATOR.iter_errors(json.loads(text)) if "topic" not in error.json_path]
    assert errors == []


def components(payload: bytes) -> dict[str, dict[str, Any]]:
    return dict(json.loads(payload)["components"])


def test_every_topic_in_discovery_is_published_or_subscribed_to() -> None:
    output = StateOutput(TOPICS, {})
    published = {message.topic for message in (*output.user(None, USER), *output.bridge(None, BRIDGE))}
    published |= {message.topic for message in (*output.group(None, GROUP), *output.call(USER, EVENT))}
    counted = replace(BRIDGE, system=System())
    published |= {message.topic for message in output.today("101", None, Today(date(2026, 11, 22)))}
    published |= {message.topic for message in (*output.queue(None, CALLERS), *output.bridge(None, counted))}
    commands = [
        CommandTopic((TOPICS.user_set("+"),), TOPICS.user_of_set, lambda _dn, _request: None),
        CommandTopic((TOPICS.light_set("+"),), TOPICS.light_of_set, lambda _light, _request: None),
    ]
    router = Router(TOPICS, Prompt(outbox := Outbox(), {"refresh": lambda _: None}), {}, outbox, commands)
    for _, payload in (render() for render in ALL.values()):
        found = components(payload).values()
        named = {component["state_topic"] for component in found if "state_topic" in component}
        named |= {entry["topic"] for entry in json.loads(payload)["availability"]}
        assert named <= published | {TOPICS.bridge_state, TOPICS.bridge_log_level, TOPICS.light_state("desk-ada")}
        for command in (component["command_topic"] for component in found if "command_topic" in component):
            assert any(topic_matches_sub(each, command) for each in router.request_filters)


def test_a_group_is_sent_again_when_members_come_or_go_and_not_when_their_states_change() -> None:
    def of(*dns: str, state: State = State.AVAILABLE) -> Group:
        return Group("sales", busy=False, members=tuple((dn, state, False) for dn in dns))

    output = output_with()
    assert list(output.group(of("101"), of("101", state=State.AWAY))) == []
    _, payload = the_one(output.group(of("101"), of("102", "99")))
    members = components(payload)["busy"]["group"]
    assert members == sorted(
        components(user_payload(replace(USER, number=dn))[1])["state"]["unique_id"] for dn in ("99", "102")
    )
    _, payload = the_one(output.group(of("101"), of()))
    assert components(payload)["busy"]["group"] == []
    _, payload = the_one(output.group(of(), of(*map(str, range(1000, 1300)))))
    members = components(payload)["busy"]["group"]
    assert (len(members), members[-1]) == (200, "3cx2mqtt_hq_user_1199_state")


def test_unique_ids_are_unique_and_every_state_is_an_option() -> None:
    every = [component for render in ALL.values() for component in components(render()[1]).values()]
    ids = {component["unique_id"] for component in every if "unique_id" in component}
    writable = {"3cx2mqtt_hq_user_101_profile_select", "3cx2mqtt_hq_user_101_queue_switch"}
    assert writable < ids
    once = [*components(user_payload()[1]).values(), *components(system_payload()[1]).values()]
    once += components(queue_payload()[1]).values()
    once += components(group_payload()[1]).values()
    once += components(light_payload()[1]).values()
    found = [component["unique_id"] for component in once if "unique_id" in component]
    assert len(found) == len(set(found))
    assert set(found) == ids - writable
    options = components(user_payload()[1])["state"]["options"]
    assert {*options, "unknown"} == set(State)
    assert components(user_payload()[1])["call"]["event_types"] == list(CallEventType)


def test_entity_ids_are_made_from_numbers_and_belong_to_their_platform() -> None:
    for component in components(user_payload()[1]).values():
        if "unique_id" in component:
            assert component["default_entity_id"].startswith(f"{component['platform']}.3cx_hq_101_")


def test_an_entity_of_another_platform_has_another_key_and_the_former_is_removed() -> None:
    readable, writable = components(user_payload()[1]), components(writable_payload()[1])
    assert readable.keys() == writable.keys()
    changed = {key for key in readable if readable[key] != writable[key]}
    assert changed == {"profile", "profile_select", "queue", "queue_switch"}
    for one, other in ((readable, writable), (writable, readable)):
        for key in changed:
            assert len(one[key]) == 1 or other[key] == {"platform": one[key]["platform"]}


def test_events_have_no_availability_so_that_they_are_never_repeated() -> None:
    assert components(user_payload()[1])["call"]["availability"] == []


def test_with_callers_in_clear_the_call_event_is_disabled_by_default() -> None:
    output = output_with(callers_in_clear=True)
    _, payload = the_one(output.user(None, USER))
    assert components(payload)["call"]["enabled_by_default"] is False
    assert [error.message for error in VALIDATOR.iter_errors(json.loads(payload))] == []
    assert "enabled_by_default" not in components(user_payload()[1])["call"]


def test_a_device_trigger_fires_for_its_event_and_no_other() -> None:
    found = components(user_payload()[1])
    triggers = {key: found[key] for key in found if key.startswith("trigger_")}
    assert triggers.keys() == {"trigger_rings", "trigger_answers", "trigger_call_ends", "trigger_misses_a_call"}
    assert {trigger["topic"] for trigger in triggers.values()} == {"3cx/users/101/call"}

    def fired(event_type: str, outcome: str | None) -> set[str]:
        values = {"event_type": event_type, "outcome": outcome}
        fires = {
            key: trigger["payload"] == values[trigger["value_template"].strip("{} ").removeprefix("value_json.")]
            for key, trigger in triggers.items()
        }
        return {key.removeprefix("trigger_") for key in fires if fires[key]}

    assert fired("ringing", None) == {"rings"}
    assert fired("dialing", None) == set()
    assert fired("answered", None) == {"answers"}
    assert fired("ended", "completed") == {"call_ends"}
    assert fired("ended", "answered_elsewhere") == {"call_ends"}
    assert fired("ended", "missed") == {"call_ends", "misses_a_call"}


def test_names_are_in_the_language_and_ids_are_not() -> None:
    every = {"monitor": "rows", "system": "system", "lights": {"desk": True}}

    def all_components(language: Language) -> list[dict[str, Any]]:
        output = output_with(**every, language=language)
        messages = [*output.user(None, USER), *output.group(None, GROUP), *output.queue(None, CALLERS)]
        return [
            each
            for message in (*messages, *output.bridge(None, BRIDGE))
            for each in components(message.payload).values()
        ]

    english, german = all_components(Language.EN), all_components(Language.DE)
    assert [each | {"name": None} for each in english] == [each | {"name": None} for each in german]
    assert ("Missed today", "Verpasst heute") in [
        (one.get("name"), two.get("name")) for one, two in zip(english, german, strict=True)
    ]


def test_monitored_is_removed_where_the_pbx_has_no_monitor_status() -> None:
    output = output_with(monitor="rows")
    assert "unique_id" in components(the_one(output.user(None, USER))[1])["monitored"]
    list(output.bridge(None, replace(BRIDGE, denied=frozenset({"rows"}))))
    assert components(the_one(output.user(None, USER))[1])["monitored"] == {"platform": "binary_sensor"}


def test_a_light_that_does_not_say_whether_it_is_online_has_no_such_entity() -> None:
    _, desk, hall = output_with(lights={"desk": True, "hall": False}).bridge(None, BRIDGE)
    assert "connected" in components(desk.payload)
    assert "connected" not in components(hall.payload)


def test_without_monitor_status_the_entity_monitored_is_removed() -> None:
    output = output_with(monitor=None)
    _, payload = the_one(output.user(None, USER))
    assert components(payload)["monitored"] == {"platform": "binary_sensor"}
    assert components(user_payload()[1])["monitored"]["state_topic"] == "3cx/users/101/monitor"
    assert not any(
        message.topic.endswith("/monitor") for message in StateOutput(TOPICS, {}, monitor=False).user(None, USER)
    )


def test_no_department_suggests_no_area() -> None:
    for department in (None, "DEFAULT", "__DEFAULT__"):  # 3CX's own, of users who were assigned to none
        assert "suggested_area" not in json.loads(user_payload(replace(USER, department=department))[1])["device"]


def test_only_name_and_department_change_the_payload_and_a_removed_user_clears_it() -> None:
    output = output_with()
    assert list(output.user(USER, replace(USER, state=State.AWAY, since=5))) == []
    assert len(list(output.user(USER, replace(USER, name="Ada Lovelace")))) == 1
    assert len(list(output.user(USER, replace(USER, department="Support")))) == 1
    (cleared,) = output.user(USER, None)
    assert (cleared.topic, cleared.payload, cleared.retain) == (user_payload()[0], b"", True)
    assert list(output.bridge(BRIDGE, replace(BRIDGE, busy=3))) == []


def test_entities_of_the_pbx_go_where_it_refuses_and_stay_in_an_outage() -> None:
    output = output_with(system="system")

    def components(bridge: Bridge) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(the_one(output.bridge(None, bridge))[1])["components"]
        return found

    assert "unique_id" in components(BRIDGE)["calls"]
    denied = replace(BRIDGE, denied=frozenset({"system"}))
    assert components(denied)["calls"] == {"platform": "sensor"}
    assert list(output.bridge(BRIDGE, replace(BRIDGE, pbx_online=False))) == []
    (message,) = output.bridge(BRIDGE, denied)
    assert json.loads(message.payload)["components"] == components(denied)


def test_a_queue_s_device_depends_on_its_name_alone_and_goes_with_the_queue() -> None:
    output = output_with()
    assert list(output.queue(CALLERS, replace(CALLERS, waiting=3))) == []
    assert the_one(output.queue(CALLERS, replace(CALLERS, name=None)))[0].endswith("/queue_800/config")
    assert the_one(output.queue(CALLERS, None))[1] == b""
