"""Groups whose members are those of departments and queues of the PBX, and follow them."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.model import State
from bridge.domain.queues import Queue
from bridge.domain.remembered import Remembered
from bridge.domain.updates import Departments, Queues
from bridge.engine.membership import Membership
from bridge.engine.settings import GroupSettings
from tests.support.clock import FakeClock
from tests.support.world import QUEUES, USERS, World, user

DEPARTMENTS = Departments({0: "DEFAULT", 1: "Sales", 2: "Support"})
GROUPS: dict[str, Any] = {
    "sales": {"users": ["9*"], "departments": ["Sales"], "queues": ["800"]},
    "support": {"departments": ["Support"]},
    "fixed": ["101"],
}


@pytest.fixture
def office(clock: FakeClock) -> World:
    world = World(clock, sources=(USERS, QUEUES), groups=GROUPS)
    world.engine.apply(DEPARTMENTS)
    return world


def members(world: World, group: str) -> list[str]:
    document = json.loads(world.wire.retained[f"3cx/groups/{group}"])
    return sorted(dn for state in State for dn in document[state])


def queues(agents: Mapping[str, set[str] | None]) -> Queues:
    found = {dn: Queue(dn, None, None if each is None else frozenset(each)) for dn, each in agents.items()}
    return Queues("queues", found, good_for=90.0)


def test_members_move_with_their_department(office: World) -> None:
    office.users(user("101", department=1), user("102", department=2), user("900", department=0))
    assert (members(office, "sales"), members(office, "support")) == (["101", "900"], ["102"])
    office.users(user("101", department=2), user("102", department=2), user("900", department=1))
    assert (members(office, "sales"), members(office, "support")) == (["900"], ["101", "102"])
    assert members(office, "fixed") == ["101"]


def test_a_member_by_several_ways_stays_until_the_last_one_is_gone(office: World) -> None:
    office.engine.apply(queues({"800": {"900"}}))
    office.users(user("900", department=1))
    office.engine.apply(queues({"800": set()}))
    assert members(office, "sales") == ["900"]
    office.users(user("900", department=2))
    assert members(office, "sales") == ["900"]  # by number


def test_members_stay_while_their_source_does_not_answer_and_over_a_restart(office: World) -> None:
    office.users(user("101", department=1))
    office.wait(600)
    assert members(office, "sales") == ["101"]
    office.engine.apply(Departments(None))
    assert members(office, "sales") == ["101"]
    office.restart()
    office.synchronise()
    assert members(office, "sales") == ["101"]


def test_a_renamed_or_removed_department_takes_its_members_along(office: World) -> None:
    office.users(user("101", department=1))
    office.engine.apply(Departments({1: "Sales and more", 2: "Sales"}))
    assert members(office, "sales") == []
    office.users(user("101", department=2))
    assert members(office, "sales") == ["101"]
    office.engine.apply(Departments({1: "Sales and more"}))
    assert members(office, "sales") == []
    assert office.wire.retained["3cx/groups/sales/busy"] == "None"


def test_agents_of_a_queue_are_members_whether_they_are_users_already_or_later(office: World) -> None:
    office.users(user("101"), user("102"))
    office.engine.apply(queues({"800": {"101", "103", "8999"}, "801": {"102"}}))
    assert members(office, "sales") == ["101"]
    office.users(user("101"), user("102"), user("103"))
    assert members(office, "sales") == ["101", "103"]
    office.engine.apply(queues({"800": {"102", "103"}}))
    assert members(office, "sales") == ["102", "103"]
    office.engine.apply(queues({"800": None}))  # not known now
    assert members(office, "sales") == ["102", "103"]
    office.engine.apply(queues({}))
    assert members(office, "sales") == []


def test_a_removed_user_is_in_no_group(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS,), groups=GROUPS, forget_after=0)
    world.engine.apply(DEPARTMENTS)
    world.engine.apply(queues({"800": {"102"}}))
    world.users(user("101", department=1), user("102"))
    world.users(user("103"))
    world.users(user("103"))
    assert members(world, "sales") == []


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    caplog.clear()
    return found


def test_what_the_pbx_does_not_have_is_said_once_with_what_there_is(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    groups = {"sales": {"departments": ["Slaes"], "queues": ["801"]}}
    world = World(clock, sources=(USERS,), groups=groups)
    for _ in range(2):
        world.engine.apply(DEPARTMENTS)
        world.engine.apply(queues({"800": set()}))
    assert warnings(caplog) == [
        "groups.sales.departments: 3CX has no department 'Slaes'; it has 'DEFAULT', 'Sales', 'Support'",
        "groups.sales.queues: 3CX has no queue '801'; it has '800'",
    ]
    world.engine.apply(Departments({1: "Slaes"}))
    world.engine.apply(Departments({number: f"d{number:02}" for number in range(30)}))
    (again,) = warnings(caplog)
    assert again.endswith("'d19' and 10 more")


def test_a_refusal_to_list_departments_is_said_once_and_only_where_a_group_needs_them(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for groups, said in (({"sales": ["1*"]}, 0), ({"sales": {"departments": ["Sales"]}}, 1)):
        world = World(clock, sources=(USERS,), groups=groups)
        for _ in range(2):
            world.engine.apply(Departments(None))
        assert len(warnings(caplog)) == said


def test_an_earlier_run_s_departments_hold_until_the_pbx_answers(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS, QUEUES), groups=GROUPS)
    world.engine.adopt({"101": Remembered("Ada", State.AWAY, 0, "Sales")}, same_options=True)
    assert members(world, "sales") == ["101"]


AGENTS = st.dictionaries(st.sampled_from(["800", "801", "802"]), st.sets(st.sampled_from("123456")), max_size=3)


@given(st.lists(AGENTS, max_size=6))
def test_those_whose_groups_change_are_exactly_those_that_are_named(steps: list[dict[str, set[str]]]) -> None:
    groups = {"a": GroupSettings(queues=("800", "801")), "b": GroupSettings(users=("1",), queues=("800",))}
    membership = Membership(groups)
    for agents in steps:
        before = {dn: set(membership.of(dn, None)) for dn in "123456"}
        changed = membership.know_agents(agents)
        after = {dn: set(membership.of(dn, None)) for dn in "123456"}
        assert {dn for dn in "123456" if before[dn] != after[dn]} <= changed
        first, second = agents.get("800", set()), agents.get("801", set())
        assert {dn for dn in after if "a" in after[dn]} == first | second
        assert {dn for dn in after if "b" in after[dn]} == first | {"1"}
