"""A PBX that ignores `$search` is recognised, with a few requests once after the start."""

import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.search_check import SearchCheck
from bridge.sources.threecx.settings import QueryOptions
from tests.support.clock import FakeClock
from tests.support.threecx import settings, source_settings, tools

SOURCES = ("monitor_status", "users")


def without_a_binder(pbx: SimulatedPbx) -> Callable[[web.Request], Awaitable[web.StreamResponse | None]]:
    """Answers as a PBX does that has no search binder: the totals of all rows."""

    async def ignoring(request: web.Request) -> web.StreamResponse | None:
        if "$search" not in request.query:
            return None
        return web.json_response({"@odata.count": len(pbx.users), "value": []})

    return ignoring


@pytest.mark.parametrize("source", SOURCES)
async def test_a_pbx_that_ignores_search_is_named_with_the_option(
    pbx: SimulatedPbx, url: str, clock: FakeClock, source: str
) -> None:
    pbx.intercept = without_a_binder(pbx)
    async with tools(settings(url), clock) as (found, _):
        check = SearchCheck(found, {source: source_settings(query=QueryOptions(search="101"))})
        assert await check.run()
        asked = len(pbx.requests)
        assert await check.run()
        assert len(pbx.requests) == asked == 1 + 3, "one login, and three requests in all"
    key = f"sources.{source}.search"
    assert check.problems == {
        source: f'file:{key} {key}: the PBX ignores $search: "101" selects 3 of 3 users; use filter'
    }


@pytest.mark.parametrize("search", ["101", "1", "nobody"])
@pytest.mark.parametrize("source", SOURCES)
async def test_a_pbx_that_searches_is_fine_even_if_all_users_match(
    pbx: SimulatedPbx, url: str, clock: FakeClock, source: str, search: str
) -> None:
    async with tools(settings(url), clock) as (found, _):
        check = SearchCheck(found, {source: source_settings(query=QueryOptions(search=search))})
        assert await check.run()
    assert not check.problems


async def test_without_search_nothing_is_asked(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with tools(settings(url), clock) as (found, _):
        assert await SearchCheck(found, {name: source_settings() for name in SOURCES}).run()
    assert not pbx.requests


async def test_an_outage_leaves_the_check_for_later_and_a_missing_function_ends_it(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    status = 503

    async def failing(request: web.Request) -> web.StreamResponse | None:
        return None if request.path == "/connect/token" else web.Response(status=status)

    pbx.intercept = failing
    async with tools(settings(url), clock) as (found, _):
        check = SearchCheck(found, {"users": source_settings(query=QueryOptions(search="101"))})
        assert not await check.run()
        status = 404
        assert await check.run()
    assert not check.problems


async def test_users_are_searched_without_reading_their_secrets(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with tools(settings(url), clock) as (found, _):
        await SearchCheck(found, {"users": source_settings(query=QueryOptions(search="Ada", filter="Id gt 0"))}).run()
    assert [json.dumps(request.query) for request in pbx.requests_to("/Users")] == [
        json.dumps(
            {"$top": "1", "$skip": "0", "$search": "Ada", "$filter": "Id gt 0", "$count": "true", "$select": "Number"}
        ),
        json.dumps({"$top": "1", "$skip": "0", "$filter": "Id gt 0", "$count": "true", "$select": "Number"}),
    ]
