"""Whatever comes over the network, what reads it gives a value or refuses it by its own class of error; soon."""

import asyncio
import base64
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.domain.model import Leg
from bridge.domain.privacy import CallerId
from bridge.errors import BridgeError, SourceProtocolError
from bridge.mqtt.retained import RetainedTopics, signature
from bridge.mqtt.router import CommandTopic, Router
from bridge.outputs.lights.payload import either, online_or_true, text_or_json_state
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.auth import lifetime
from bridge.sources.threecx.client.paging import Collection
from bridge.sources.threecx.directory import Directory
from bridge.sources.threecx.participants import Participants
from bridge.sources.threecx.settings import QueryOptions
from bridge.topics import Topics
from tests.support.answers import Prompt
from tests.support.wire import Wire

TOPICS = Topics("3cx", "hq", "homeassistant")

FUZZ = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
"""Two seconds for one input is a hang, on a busy machine too."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**400, max_value=10**401)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["\ud800", "\x00", "101", " 101 ", "2026-09-01T08:15:04Z", "9999-12-31T23:59:59-23:59", "0001-01-01"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def record(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """An object that has some of the keys that matter, with anything in them, and other keys."""
    known = st.dictionaries(st.sampled_from(keys), values, max_size=len(keys))
    return st.builds(lambda one, two: one | two, st.dictionaries(st.text(max_size=6), values, max_size=2), known)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


MONITORED = record(
    "DN", "Number", "Extension", "dn", "Name", "DisplayName", "State", "Status", "Presence", "CallerName"
)
USER = record(*parse.USER_FIELDS)
CALL = record("Id", "Caller", "Callee", "Status", "EstablishedAt", "LastChangeStatus", "ServerNow")
DEPARTMENT = record(*parse.DEPARTMENT_FIELDS)
PARTICIPANT = record(
    *("id", "callid", "status", "dn", "party_dn", "party_dn_type", "party_caller_id", "party_caller_name"),
    *("on_behalf_of_dn", "on_behalf_of_type", "referred_by_dn", "referred_by_type", "originated_by_type"),
)
EXTENSION = st.builds(
    lambda one, two: one | {"participants": two},
    record("dn", "type"),
    st.lists(PARTICIPANT | values, max_size=3) | values,
)
PAGE = st.builds(lambda one, rows: one | {"value": rows}, record("@odata.count"), st.lists(values, max_size=3) | values)
ERROR = record("error", "error_description", "message") | st.builds(lambda inner: {"error": inner}, record("message"))
EVENT = st.builds(
    lambda outer, inner: outer | {"event": inner},
    record("sequence"),
    st.builds(
        lambda one, entity, attached: one | {"entity": entity, "attached_data": attached},
        record("event_type"),
        st.sampled_from(
            ["/callcontrol/101/participants/7", "/callcontrol/%ff/participants/0", "/callcontrol//participants/"]
        )
        | values,
        PARTICIPANT | st.builds(lambda inner: {"StatusCode": 200, "Response": inner}, PARTICIPANT) | values,
    ),
)


def read_or_refused(read: Callable[[Any], object], raw: object, *others: type[Exception]) -> object:
    """What `read` gives, or None where it refuses; anything else that it raises is a fault."""
    with suppress(SourceProtocolError, *others):
        return read(raw)
    return None


@FUZZ
@given(MONITORED | values, st.sampled_from(CallerId))
def test_rows_of_monitor_status(raw: object, caller_id: CallerId) -> None:
    row = read_or_refused(lambda each: parse.monitor_row(each, caller_id), raw)
    if row is not None:
        assert isinstance(row, parse.monitor_row({"DN": "1"}).__class__)
        assert len(row.json.encode("utf-8", "replace")) <= parse.MAX_ROW_BYTES


@FUZZ
@given(USER | values)
def test_rows_of_users(raw: object) -> None:
    read_or_refused(parse.user_row, raw)


@FUZZ
@given(CALL | values)
def test_rows_of_active_calls(raw: object) -> None:
    call = read_or_refused(parse.active_call, raw)
    if call is not None:
        assert isinstance(call, parse.ActiveCall)
        assert all(isinstance(leg, Leg) for _, leg in call.sides(Directory()))


@FUZZ
@given(DEPARTMENT | values)
def test_rows_of_departments(raw: object) -> None:
    read_or_refused(parse.department, raw)


@FUZZ
@given((PAGE | ERROR | EXTENSION | values).map(as_json) | st.binary(max_size=40))
def test_bodies_of_every_kind(body: bytes) -> None:
    for read in (parse.page, parse.snapshot, parse.participant, parse.profile_labels):
        read_or_refused(read, body)
    said = parse.error_message(body)
    assert said is None or (0 < len(said) <= 500 and "\n" not in said)


@FUZZ
@given(st.lists(EXTENSION | values, max_size=3).map(as_json))
def test_any_answer_about_all_extensions(body: bytes) -> None:
    participants = Participants(Directory())
    participants.requesting_all()
    participants.all_received(parse.snapshot(body).extensions)
    participants.all_legs()


@FUZZ
@given(PARTICIPANT.map(as_json))
def test_any_answer_about_a_participant(body: bytes) -> None:
    read_or_refused(parse.participant, body)


@FUZZ
@given((EVENT | values).map(json.dumps) | st.text(max_size=40))
def test_events_of_call_control(text: str) -> None:
    read_or_refused(parse.event, text)


@FUZZ
@given(st.lists(USER | values, max_size=4), values, values | st.just("/xapi/v1/Users?$skip=4"))
def test_a_page_with_any_rows_is_read_to_its_end(rows: list[object], total: object, link: object) -> None:
    async def get(_query: str) -> bytes:
        return as_json({"value": rows, "@odata.count": total, "@odata.nextLink": link})

    url = "https://pbx.example.com/xapi/v1/Users"
    collection = Collection("Users", get, parse.user_row, lambda row: row.dn, url)
    read_or_refused(lambda options: asyncio.run(collection.read(options)), QueryOptions())


@FUZZ
@given(
    st.text(max_size=30)
    | st.builds(
        lambda claims: f"h.{base64.urlsafe_b64encode(as_json(claims)).decode().rstrip('=')}.s",
        record("exp", "iat", "nbf") | values,
    ),
    values,
    st.floats(min_value=0, max_value=1e11),
)
def test_a_token_always_has_a_life(token: str, expires_in: object, now: float) -> None:
    life = lifetime(token, expires_in, now)
    assert life > 0
    assert math.isfinite(life)


REQUEST = record("transaction", "level", "top", "skip", "profile", "queue", "pause", "override")
SUBTOPICS = st.sampled_from(["request/echo", "request/", "request/a/b", "request/é", "check"]) | st.text(max_size=10)


@FUZZ
@given(
    st.builds(lambda name: f"3cx/bridge/{name}", SUBTOPICS)
    | st.sampled_from(
        ["3cx/users/101/set", "3cx/users//set", "3cx/lights/set", "homeassistant/device/3cx2mqtt_hq/x/config"]
    )
    | st.text(max_size=20),
    (REQUEST | values).map(as_json) | st.binary(max_size=40),
    st.booleans(),
)
def test_messages_of_others(topic: str, payload: bytes, retained: bool) -> None:
    def refuse(_about: str, request: Mapping[str, object]) -> None:
        raise BridgeError(f"{request!r} is refused")

    wire = Wire()
    commands = [
        CommandTopic((TOPICS.user_set("+"),), TOPICS.user_of_set, refuse),
        CommandTopic((TOPICS.lights_set,), TOPICS.light_of_set, refuse),
    ]
    Router(TOPICS, Prompt(wire, {"echo": dict}), {}, wire, commands).receive(topic, payload, retained)
    cleared = [message for message in wire.sent if message.retain]
    assert [(each.topic, each.payload) for each in cleared] in ([], [(topic, b"")] if retained and payload else [])
    for message in wire.sent:
        if message not in cleared:
            assert json.loads(message.payload)["status"] in {"ok", "error"}


RETAINED = st.sampled_from(
    [
        *("3cx/bridge/info", "3cx/bridge/state", "3cx/users/101", "3cx/users/101/state", "3cx/lights/desk/state"),
        *(
            "phones/bridge/info",
            "phones/bridge/state",
            "homeassistant/device/3cx2mqtt_hq/user_101/config",
            "/bridge/info",
        ),
    ]
)
INFO = record("pbx", "options", "config", "name", "state", "since", "origin", "device", "components") | st.builds(
    lambda pbx, config, device, components: {
        "pbx": pbx,
        "config": {"homeassistant": config},
        "origin": {"name": "3cx2mqtt"},
        "device": device,
        "components": {"pbx": components},
    },
    record("name"),
    record("discovery_prefix"),
    record("identifiers", "serial_number", "suggested_area"),
    record("state_topic"),
)


@FUZZ
@given(st.dictionaries(RETAINED, (INFO | values).map(as_json) | st.binary(max_size=40), max_size=5))
def test_what_a_broker_retains(retained: dict[str, bytes]) -> None:
    found = RetainedTopics(TOPICS)
    for topic, payload in retained.items():
        found.add(topic, payload)
        signature(payload)
    assert all(isinstance(each, str) for each in found.elsewhere())
    assert isinstance(found.remembered(), dict)
    assert isinstance(found.lights(), dict)
    assert found.owner is None or isinstance(found.owner, str)
    cleared = {message.topic for message in found.difference([])}
    assert cleared <= retained.keys()
    assert not any(topic.startswith("phones/") for topic in cleared) or b'"hq"' in retained["phones/bridge/info"]


@pytest.mark.parametrize("read", [either("online", "offline"), online_or_true, text_or_json_state])
@FUZZ
@given(
    st.text(max_size=20)
    | (record("state") | values).map(json.dumps)
    | st.binary(max_size=20).map(lambda payload: payload.decode("utf-8", "replace"))
)
def test_the_availability_payloads_of_lights(read: Callable[[str], bool | None], text: str) -> None:
    assert read(text) in {True, False, None}


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 1_000_000, b'"' + b"\\u0000" * 100_000])
def test_bodies_that_are_meant_to_hurt(body: bytes) -> None:
    for read in (parse.page, parse.snapshot, parse.participant, parse.profile_labels):
        read_or_refused(read, body)
    assert parse.error_message(body) is None
    with suppress(SourceProtocolError):
        parse.event(body.decode())
    online_or_true(body.decode())
    text_or_json_state(body.decode())
    signature(body)
    found = RetainedTopics(TOPICS)
    found.add("3cx/bridge/info", body)
    found.add("3cx/users/101", body)
    assert found.remembered() == {}
    Prompt(Wire(), {"echo": dict}).ask("echo", body[:4000], retained=False)
