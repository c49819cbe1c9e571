import pytest

from bridge.mqtt.router import LONGEST_ECHO, CommandTopic, Router
from bridge.topics import Topics
from tests.support.answers import Prompt
from tests.support.clock import FakeClock
from tests.support.wire import Wire


def test_clearing_a_retained_request_is_no_request() -> None:
    wire = Wire()
    router = Router(Topics("3cx", "hq", "ha"), Prompt(wire, {"echo": dict}), {}, wire)
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
    router = Router(Topics("3cx", "hq", "ha"), Prompt(wire, {"echo": dict}), {}, wire, monotonic=clock.clock.monotonic)
    router.receive("3cx/bridge/request/echo", b"{}", True)
    clock.turn(LONGEST_ECHO + 1)
    router.receive("3cx/bridge/request/echo", b"", False)
    assert [message.topic for message in wire.sent[2:]] == ["3cx/bridge/response/echo"]


def test_listeners_get_their_topic_and_other_topics_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    received: list[tuple[bytes, bool]] = []
    listeners = {"ha/status": lambda payload, retained: received.append((payload, retained))}
    router = Router(Topics("3cx", "hq", "ha"), Prompt(Wire()), listeners, Wire())
    assert router.filters == ("3cx/bridge/state", "ha/status")
    assert router.request_filters == ("3cx/bridge/request/+",)
    router.receive("ha/status", b"online", False)
    router.receive("3cx/elsewhere", b"", False)
    router.receive("ha/status", b"offline", True)
    assert received == [(b"online", False), (b"offline", True)]
    assert "no handler for topic '3cx/elsewhere'" in caplog.text


def test_clearing_a_command_topic_is_no_command() -> None:
    asked: list[str] = []
    topics = Topics("3cx", "hq", "ha")
    commands = [CommandTopic((topics.user_set("+"),), topics.user_of_set, lambda dn, _: asked.append(dn))]
    router = Router(topics, Prompt(Wire()), {}, Wire(), commands)
    assert router.request_filters == ("3cx/bridge/request/+", "3cx/users/+/set")
    router.receive("3cx/users/101/set", b"", False)
    router.receive("3cx/users/101/set", b"{}", True)
    router.receive("3cx/users/101/set", b"{}", False)
    assert asked == ["101"]


def test_the_last_message_on_a_command_topic_is_one_that_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Some clients publish at their start what they saw last on every topic."""
    topics, wire, asked = Topics("3cx", "hq", "ha"), Wire(), list[str]()
    commands = [CommandTopic((topics.user_set("+"),), topics.user_of_set, lambda dn, _: asked.append(dn))]
    router = Router(topics, Prompt(wire), {}, wire, commands)
    router.receive("3cx/users/101/set", b'{"profile":"Away"}', False)
    assert [(each.topic, each.payload, each.retain) for each in wire.sent] == [("3cx/users/101/set", b"", False)]
    router.receive("3cx/users/101/set", b"", False)  # it comes back by MQTT 3.1.1
    router.receive("3cx/users/101/set", b"null", False)  # and like this from ioBroker's adapter
    assert asked == ["101"]
    assert len(wire.sent) == 1
    assert not caplog.records
