"""The source `users`, against the simulated PBX."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bridge.domain.model import Queue, UserRow
from bridge.domain.updates import Departments, Failure, Labels, Round
from bridge.errors import SourceProtocolError, SourceQueryError
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx import parse
from bridge.sources.threecx.readers.users import Users
from bridge.sources.threecx.settings import QueryOptions
from bridge.sources.threecx.timing import USUAL, ThreecxTiming
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.threecx import Reports, at_work, settings, source_settings, tools

BY_NUMBER = QueryOptions(orderby="Number")


@asynccontextmanager
async def polling(
    url: str, clock: FakeClock, query: QueryOptions = BY_NUMBER, timing: ThreecxTiming = USUAL
) -> AsyncIterator[Reports]:
    async with tools(settings(url), clock, timing=timing) as (found, _):
        async with at_work(Users(found, source_settings(query=query))) as reports:
            yield reports


def row(update: Round, dn: str) -> UserRow:
    found = update.rows[dn]
    assert isinstance(found, UserRow)
    return found


async def test_a_round_has_all_users_and_requests_no_secret(clock: FakeClock) -> None:
    pbx = SimulatedPbx(users=230, version="20.0.10")
    pbx.change("105", profile="Away", registered=False, queue="LoggedIn")
    async with pbx.serve() as url, polling(url, clock) as reports:
        found = await reports.next(Round)
        assert (len(found.rows), found.complete, found.total) == (230, True, 230)
        away = row(found, "105")
        assert (away.name, away.profile, away.registered, away.queue) == ("Finn Øster", "Away", False, Queue.LOGGED_IN)
        asked = pbx.requests_to("/Users")
        assert [request.query["$skip"] for request in asked] == ["0", "100", "200"]
        assert {request.query["$orderby"] for request in asked} == {"Number"}
        for request in asked:
            selected = set(request.query["$select"].split(","))
            assert {"Number", "IsRegistered", "CurrentProfileName", "QueueStatus"} <= selected
            assert not [name for name in selected if "Password" in name or "Auth" in name]


async def test_a_field_that_the_build_does_not_know_is_left_out_from_then_on(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with polling(url, clock) as reports:
        assert (await reports.next(Round)).rows.keys() == pbx.users.keys()
        reports.source.refresh()
        await reports.next(Round)
        asked = ["AIAgent" in request.query["$select"] for request in pbx.requests_to("/Users")]
        assert asked == [True, False, False]
        pbx.version = "20.0.10.1"
        reports.source.refresh()
        await reports.next(Round)
        assert len(pbx.requests_to("/Users")) == 4


async def test_after_an_upgrade_all_fields_are_tried_again(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with tools(settings(url), clock) as (found, _):
        async with at_work(Users(found, source_settings(query=BY_NUMBER))) as reports:
            await reports.next(Round)
            pbx.version = "20.0.10.1"
            await found.xapi.version()
            reports.source.refresh()
            await reports.next(Round)
            assert "AIAgent" in pbx.requests_to("/Users")[-1].query["$select"]


async def test_a_bad_filter_is_reported_and_not_mistaken_for_a_field(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with polling(url, clock, QueryOptions(filter="Nope eq 1", orderby="Number")) as reports:
        failure = await reports.next(Failure)
        assert isinstance(failure.error, SourceQueryError)
        assert failure.reason.startswith("file:sources.users.filter sources.users.filter: the PBX rejected")
        assert "'Nope'" in failure.reason


async def test_a_filter_narrows_this_source(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with polling(url, clock, QueryOptions(filter="Number ne '100'")) as reports:
        found = await reports.next(Round)
        assert found.rows.keys() == {"101", "102"}
        assert not found.complete


async def test_a_user_on_two_pages_counts_once(clock: FakeClock) -> None:
    pbx = SimulatedPbx(users=150)

    async def moving(request: web.Request) -> web.StreamResponse | None:
        if request.path.endswith("/Users") and request.query["$skip"] == "100" and "099" not in pbx.users:
            pbx.add_user("099", "Newcomer")
        return None

    pbx.intercept = moving
    async with pbx.serve() as url, polling(url, clock, QueryOptions(count=False, orderby="Number")) as reports:
        found = await reports.next(Round)
        assert len(found.rows) == 150


async def test_labels_of_custom_profiles_are_read_where_the_pbx_gives_them(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    pbx.labels = {"Custom1Name": "Lunch", "Custom2Name": "Custom 2"}
    async with polling(url, clock) as reports:
        assert (await reports.next(Labels)).labels == {"Custom 1": "Lunch"}


async def test_users_are_read_without_the_right_to_read_labels(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async def closed(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=403) if request.path.endswith("GetSystemParameters()") else None

    pbx.intercept = closed
    async with polling(url, clock) as reports:
        assert (await reports.next(Round)).rows
        reports.source.refresh()
        await reports.next(Round)
        assert len(pbx.requests_to("GetSystemParameters()")) == 1


@pytest.mark.parametrize(
    ("fields", "special"),
    [
        ({}, False),
        ({"Tags": []}, False),
        ({"Tags": ["MS", "Teams"]}, False),
        ({"Tags": ["Principal"]}, True),
        ({"Tags": "WakeUp, FaxServer"}, True),
        ({"Tags": ["AI"]}, True),
        ({"AIAgent": True}, True),
        ({"Enabled": False}, True),
        ({"Enabled": None, "Tags": None}, False),
    ],
)
def test_tags_mark_non_person_extensions(fields: dict[str, object], special: bool) -> None:
    assert parse.user_row({"Number": "101"} | fields).special is special


def test_fields_that_are_missing_are_unknown() -> None:
    assert parse.user_row({"Number": 101}) == UserRow("101", *6 * (None,), special=False)
    odd = {"Number": "101", "IsRegistered": "yes", "QueueStatus": "Perhaps", "Id": True, "CurrentProfileName": " "}
    assert parse.user_row(odd) == UserRow("101", *6 * (None,), special=False, no_profile=True)
    assert parse.user_row({"Number": "1", "FirstName": "Ada", "LastName": "Example"}).name == "Ada Example"


@pytest.mark.parametrize("raw", [None, [], "101", {}, {"Number": ""}, {"Number": None}])
def test_what_is_no_user_is_refused(raw: object) -> None:
    with pytest.raises(SourceProtocolError):
        parse.user_row(raw)


async def test_labels_that_fail_for_a_while_delay_no_round(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async def failing(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if request.path.endswith("GetSystemParameters()") else None

    pbx.intercept = failing
    pbx.labels = {"Custom1Name": "Lunch"}
    async with polling(url, clock) as reports:
        assert (await reports.next(Round)).rows
        pbx.intercept = None
        clock.turn(15.0)
        reports.source.refresh()
        assert (await reports.next(Labels)).labels == {"Custom 1": "Lunch"}


async def test_departments_are_read_once(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with polling(url, clock) as reports:
        assert (await reports.next(Departments)).names == {0: "DEFAULT", 1: "Sales", 2: "Support"}
        found = await reports.next(Round)
        assert [row(found, dn).department for dn in pbx.users] == [0, 1, 2]
        reports.source.refresh()
        await reports.next(Round)
        assert len(pbx.requests_to("/Groups")) == 1


async def test_departments_are_read_again_now_and_then(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with polling(url, clock) as reports:
        await reports.next(Round)
        pbx.departments[1] = "Night shift"
        clock.turn(599.0)
        reports.source.refresh()
        await reports.next(Round)
        assert len(pbx.requests_to("/Groups")) == 1
        clock.turn(1.0)
        reports.source.refresh()
        assert (await reports.next(Departments)).names == {0: "DEFAULT", 1: "Night shift", 2: "Support"}


async def test_a_new_department_comes_with_the_first_round_that_has_someone_in_it(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with polling(url, clock) as reports:
        await reports.next(Round)
        clock.turn(15.0)
        pbx.departments[7] = "Logistics"
        pbx.change("101", department=7)
        reports.source.refresh()
        assert (await reports.next(Departments)).names == {0: "DEFAULT", 1: "Sales", 2: "Support", 7: "Logistics"}
        assert row(await reports.next(Round), "101").department == 7


async def test_a_department_that_the_pbx_does_not_list_is_asked_for_once(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with polling(url, clock) as reports:
        await reports.next(Round)
        pbx.change("101", department=9)
        for _ in range(3):  # within 15 s of the first reading, so after these; and then not again
            reports.source.refresh()
            await reports.next(Round)
            assert len(pbx.requests_to("/Groups")) == 1
        for _ in range(3):
            clock.turn(15.0)
            reports.source.refresh()
            await reports.next(Round)
            assert len(pbx.requests_to("/Groups")) == 2


@pytest.mark.parametrize("fault", ["hangs", "fails"])
async def test_departments_that_cannot_be_read_delay_no_round(
    pbx: SimulatedPbx, url: str, clock: FakeClock, fault: str
) -> None:
    forever = asyncio.Event()

    async def failing(request: web.Request) -> web.StreamResponse | None:
        if not request.path.endswith("/Groups"):
            return None
        if fault == "hangs":
            await forever.wait()
        return web.Response(status=503)

    pbx.intercept = failing
    async with polling(url, clock, timing=ThreecxTiming(extras_timeout=limit(0.05))) as reports:
        for _ in range(3):
            assert len((await reports.next(Round)).rows) == 3
            reports.source.refresh()
        await reports.next(Round)
        assert len(pbx.requests_to("/Groups")) == 1
        assert len(pbx.requests_to("GetSystemParameters()")) == 1
        pbx.intercept = None
        clock.turn(15.0)
        reports.source.refresh()
        assert (await reports.next(Departments)).names == {0: "DEFAULT", 1: "Sales", 2: "Support"}


async def test_users_are_read_without_the_right_to_read_departments(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    pbx.may_read_departments = False
    async with polling(url, clock) as reports:
        assert (await reports.next(Departments)).names is None
        found = await reports.next(Round)
        assert len(found.rows) == 3
        clock.turn(600.0)
        pbx.change("101", department=7)
        reports.source.refresh()
        await reports.next(Round)
        assert len(pbx.requests_to("/Groups")) == 2  # with the first token, and with a fresh one
        assert pbx.tokens.granted == 2


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({"Id": 1, "Name": "Sales"}, (1, "Sales")),
        ({"Id": 0, "Name": "DEFAULT"}, (0, "DEFAULT")),
        ({"Id": 3, "Name": " "}, (3, None)),
        ({"Id": 3}, (3, None)),
    ],
)
def test_a_department_has_an_id_and_perhaps_a_name(raw: object, found: object) -> None:
    assert parse.department(raw) == found


@pytest.mark.parametrize("raw", [None, [], {}, {"Id": "1"}, {"Id": True}])
def test_what_is_no_department_is_refused(raw: object) -> None:
    with pytest.raises(SourceProtocolError):
        parse.department(raw)


@pytest.mark.parametrize(("profile", "unset"), [(None, True), ("", True), ("Away", False), (7, False)])
def test_a_profile_that_is_not_set_is_something_else_than_one_that_is_not_told(profile: object, unset: bool) -> None:
    assert parse.user_row({"Number": "101", "CurrentProfileName": profile}).no_profile is unset
    assert not parse.user_row({"Number": "101"}).no_profile


async def test_a_row_that_cannot_be_read_makes_the_round_incomplete(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async def odd(request: web.Request) -> web.StreamResponse | None:
        rows = [{"Number": "101"}, {"Number": None}]
        return web.json_response({"value": rows}) if request.path.endswith("/Users") else None

    pbx.intercept = odd
    async with polling(url, clock) as reports:
        found = await reports.next(Round)
        assert (set(found.rows), found.complete) == ({"101"}, False)
