import json
from collections.abc import Mapping

import pytest

from bridge.errors import BridgeError
from bridge.mqtt.router import LONGEST_ECHO, MAX_ANSWER, MAX_REQUEST, CommandTopic, Router
from bridge.topics import Topics
from tests.support.clock import FakeClock
from tests.support.wire import Wire


def answer(payload: bytes, *, retained: bool = False) -> dict[str, object]:
    wire = Wire()

    def echo(request: Mapping[str, object]) -> object:
        if "refuse" in request:
            raise BridgeError("not today")
        return dict(request)

    router = Router(Topics("3cx", "hq", "ha"), {"echo": echo}, {}, wire)
    router.receive("3cx/bridge/request/echo", payload, retained)
    *cleared, message = wire.sent
    assert [(each.topic, each.payload, each.retain) for each in cleared] == (
        [("3cx/bridge/request/echo", b"", True)] if retained else []
    )
    assert (message.topic, message.retain) == ("3cx/bridge/response/echo", False)
    result = json.loads(message.payload)
    assert set(result) == {"status", "data", "error", "transaction"}
    return dict(result)


def test_a_request_is_answered_with_its_transaction() -> None:
    assert answer(b'{"transaction":"x","a":1}') == {
        "status": "ok",
        "data": {"transaction": "x", "a": 1},
        "error": None,
        "transaction": "x",
    }
    assert answer(b" ")["status"] == "ok"


@pytest.mark.parametrize(
    ("payload", "retained", "error"),
    [
        (b"{", False, "the request is not JSON"),
        (b"\xff", False, "the request is not JSON"),
        (b"[]", False, "the request is not a JSON object"),
        (b" " * (MAX_REQUEST + 1), False, "the request is over 4096 bytes"),
        (b'{"refuse":1}', False, "not today"),
        (b'{"transaction":NaN}', False, "the request is not JSON"),
        (b'{"transaction":1e999}', False, "the request is not JSON"),
        (b"{}", True, "a retained request is refused, as it would come again at every connect: do not retain it"),
    ],
)
def test_a_bad_request_is_answered_with_an_error(payload: bytes, retained: bool, error: str) -> None:
    result = answer(payload, retained=retained)
    assert (result["status"], result["error"]) == ("error", error)


def test_clearing_a_retained_request_is_no_request() -> None:
    wire = Wire()
    router = Router(Topics("3cx", "hq", "ha"), {"echo": dict}, {}, wire)
    router.receive("3cx/bridge/request/echo", b"", True)
    assert wire.sent == []
    router.receive("3cx/bridge/request/echo", b"{}", True)
    assert len(wire.sent) == 2
    router.receive("3cx/bridge/request/echo", b"", False)  # MQTT 3.1.1 hides that it is about what is retained
    assert len(wire.sent) == 2
    router.receive("3cx/bridge/request/echo", b"", False)
    assert len(wire.sent) == 3


def test_a_request_without_payload_is_answered_although_the_echo_of_an_earlier_clearing_was_lost(
    clock: FakeClock,
) -> None:
    wire = Wire()
    router = Router(Topics("3cx", "hq", "ha"), {"echo": dict}, {}, wire, monotonic=clock.clock.monotonic)
    router.receive("3cx/bridge/request/echo", b"{}", True)
    clock.turn(LONGEST_ECHO + 1)
    router.receive("3cx/bridge/request/echo", b"", False)
    assert [message.topic for message in wire.sent[2:]] == ["3cx/bridge/response/echo"]


def test_listeners_get_their_topic_and_other_topics_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    received: list[tuple[bytes, bool]] = []
    listeners = {"ha/status": lambda payload, retained: received.append((payload, retained))}
    router = Router(Topics("3cx", "hq", "ha"), {}, listeners, Wire())
    assert router.filters == ("3cx/bridge/state", "ha/status")
    assert router.request_filters == ("3cx/bridge/request/+",)
    router.receive("ha/status", b"online", False)
    router.receive("3cx/elsewhere", b"", False)
    router.receive("ha/status", b"offline", True)
    assert received == [(b"online", False), (b"offline", True)]
    assert "no handler for topic '3cx/elsewhere'" in caplog.text


def test_an_unknown_request_is_answered_with_those_that_there_are() -> None:
    wire = Wire()
    router = Router(Topics("3cx", "hq", "ha"), {"refresh": lambda _: None}, {}, wire)
    router.receive("3cx/bridge/request/dance", b"", False)
    (message,) = wire.sent
    assert message.topic == "3cx/bridge/response/dance"
    assert json.loads(message.payload)["error"] == "there is no such request; known requests: refresh"


def test_clearing_a_command_topic_is_no_command() -> None:
    asked: list[str] = []
    topics = Topics("3cx", "hq", "ha")
    commands = [CommandTopic((topics.user_set("+"),), topics.user_of_set, lambda dn, _: asked.append(dn))]
    router = Router(topics, {}, {}, Wire(), commands)
    assert router.request_filters == ("3cx/bridge/request/+", "3cx/users/+/set")
    router.receive("3cx/users/101/set", b"", False)
    router.receive("3cx/users/101/set", b"{}", True)
    router.receive("3cx/users/101/set", b"{}", False)
    assert asked == ["101"]


def test_the_last_message_on_a_command_topic_is_one_that_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Some clients publish at their start what they saw last on every topic."""
    topics, wire, asked = Topics("3cx", "hq", "ha"), Wire(), list[str]()
    commands = [CommandTopic((topics.user_set("+"),), topics.user_of_set, lambda dn, _: asked.append(dn))]
    router = Router(topics, {}, {}, wire, commands)
    router.receive("3cx/users/101/set", b'{"profile":"Away"}', False)
    assert [(each.topic, each.payload, each.retain) for each in wire.sent] == [("3cx/users/101/set", b"", False)]
    router.receive("3cx/users/101/set", b"", False)  # it comes back by MQTT 3.1.1
    router.receive("3cx/users/101/set", b"null", False)  # and like this from ioBroker's adapter
    assert asked == ["101"]
    assert len(wire.sent) == 1
    assert not caplog.records


def test_an_answer_that_a_broker_might_not_take_is_not_sent() -> None:
    wire = Wire()
    router = Router(Topics("3cx", "hq", "ha"), {"all": lambda _: "x" * MAX_ANSWER}, {}, wire)
    router.receive("3cx/bridge/request/all", b'{"transaction": 1}', False)
    (message,) = wire.sent
    assert json.loads(message.payload) == {
        "status": "error",
        "data": None,
        "error": "the answer is over 900000 bytes: ask for a part",
        "transaction": 1,
    }
