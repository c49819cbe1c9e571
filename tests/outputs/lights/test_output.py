"""All lights together: which light follows which users, what is adopted, what is published."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.model import Group, State
from bridge.outputs.lights.output import LightsOutput
from bridge.outputs.lights.settings import PRIORITY, LightSettings, OnExit
from bridge.topics import Topics
from tests.outputs.lights.test_light import LOOKS, Plain
from tests.outputs.test_discovery import USER
from tests.support.clock import FakeClock
from tests.support.world import Wire

TOPICS = Topics("3cx", "hq", "homeassistant")
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
)


class Office:
    """Three lights: `desk` for 101, `hall` for all users whose DN begins with 1, `room` for the group `sales`."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.wire = Wire()
        self.drivers = {name: Plain(topics=frozenset({name})) for name in ("desk", "hall", "room")}
        lights = [
            LightSettings(
                name, driver, driver, users, LOOKS, PRIORITY, None, OnExit.KEEP, 60.0 if group else 0.0, 80, group
            )
            for (name, driver), (users, group) in zip(
                self.drivers.items(), [(("101",), None), (("1*",), None), ((), "sales")], strict=True
            )
        ]
        self.output = LightsOutput(TOPICS, lights, self.wire, clock.clock)

    def user(self, dn: str, state: State | None) -> None:
        before = replace(USER, number=dn)
        assert list(self.output.user(before, None if state is None else replace(before, state=state))) == []
        self.tick()

    def group(self, states: dict[str, State], name: str = "sales") -> None:
        members = tuple((dn, state, None) for dn, state in states.items())
        assert list(self.output.group(None, Group(name, busy=None, members=members))) == []
        self.tick()

    def tick(self) -> None:
        self.clock.turn(1)
        self.output.tick()

    def shows(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self.wire.retained[TOPICS.light_state(name)]))


@pytest.fixture
def office(clock: FakeClock) -> Office:
    return Office(clock)


def test_each_light_follows_its_users_and_nothing_is_published_twice(office: Office) -> None:
    office.user("101", State.AVAILABLE)
    office.user("102", State.ON_CALL)
    office.user("205", State.ON_CALL)
    assert (office.shows("desk")["why"], office.shows("hall")["why"]) == ("101 available", "102 on_call")
    published = len(office.wire.order)
    for _ in range(10):
        office.tick()
    assert len(office.wire.order) == published
    office.user("102", None)
    assert office.shows("hall")["why"] == "101 available"


def test_a_light_follows_its_group_as_members_come_and_go(office: Office) -> None:
    office.tick()
    assert (office.shows("room")["shows"], office.shows("room")["why"]) == ("unknown", "no user to follow")
    office.group({"101": State.AVAILABLE, "102": State.RINGING})
    assert office.shows("room")["why"] == "102 ringing"
    office.group({"101": State.AVAILABLE})
    assert office.shows("room")["why"] == "101 available"
    office.group({"101": State.ON_CALL}, name="support")
    assert office.shows("room")["why"] == "101 available"
    office.group({})
    assert office.shows("room")["shows"] == "unknown"


def test_the_time_after_a_call_ends_with_the_membership(office: Office) -> None:
    office.group({"101": State.AVAILABLE, "102": State.ON_CALL})
    office.group({"101": State.AVAILABLE, "102": State.AVAILABLE})
    assert office.shows("room")["why"] == "102 on_call"
    office.group({"101": State.AVAILABLE})
    assert office.shows("room")["why"] == "101 available"


def test_removed_users_take_no_memory(office: Office) -> None:
    for dn in range(1000, 1100):
        office.user(str(dn), State.AVAILABLE)
        office.user(str(dn), None)
    assert office.output._followers == {}


def test_commands_are_never_retained_and_of_qos_1(office: Office) -> None:
    office.user("101", State.ON_CALL)
    assert ("light", "on_call") in office.wire.events
    assert set(office.wire.retained) == set(map(TOPICS.light_state, ("desk", "hall", "room")))


def test_nothing_is_sent_while_disconnected_and_everything_after_the_reconnect(office: Office) -> None:
    office.user("101", State.AVAILABLE)
    office.wire.in_sync = False
    office.user("101", State.ON_CALL)
    sent = len(office.wire.events)
    office.tick()
    assert len(office.wire.events) == sent
    office.output.reconnected()
    list(office.output.user(None, replace(USER, number="101", state=State.AWAY)))
    office.wire.in_sync = True
    office.tick()
    assert office.wire.events[sent:] == [("light", "away"), ("light", "away")]


def test_pauses_and_overrides_are_adopted_from_what_was_retained(office: Office) -> None:
    office.user("101", State.AVAILABLE)
    office.output.receive("desk", {"pause": True})
    office.output.receive("hall", {"override": {"color": "magenta", "for": "5m", "blink": True}})
    office.tick()
    later = Office(office.clock)
    later.output.adopt({name: office.shows(name) for name in ("desk", "hall")} | {"roof": {"paused": True}})
    later.tick()
    assert later.shows("desk")["paused"] is True
    assert later.shows("hall")["override"] == office.shows("hall")["override"]
    assert later.shows("hall")["override"] == {
        "color": "#ff00ff",
        "brightness": 80,
        "blink": True,
        "until": "2026-11-22T10:05:01Z",
    }
    office.clock.turn(300)
    later.tick()
    assert later.shows("hall")["override"] is None
    assert later.shows("hall")["shows"] == "unknown"


def test_an_override_can_be_dark_and_last_for_ever(office: Office) -> None:
    office.output.receive("", {"override": {"color": "off"}})
    office.tick()
    again = Office(office.clock)
    again.output.adopt({"desk": office.shows("desk")})
    again.tick()
    assert again.shows("desk")["override"] == {"color": None, "brightness": 0, "blink": False, "until": None}
    again.output.receive("desk", {"override": None})
    again.tick()
    assert again.shows("desk")["override"] is None


@given(JSON)
def test_any_retained_document_is_adopted_without_an_error(override: object) -> None:
    office = Office(FakeClock())
    office.output.adopt({"desk": {"paused": override, "override": override}})
    office.tick()
    assert office.shows("desk")["paused"] is (override is True)


def test_tick_returns_when_it_is_due_again(office: Office) -> None:
    office.user("101", State.RINGING)
    assert office.output.tick() == pytest.approx(office.clock.now + 0.5)
