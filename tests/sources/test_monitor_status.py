"""The polling of GetMonitorStatus(), over real HTTP against the simulated PBX."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bridge.domain.updates import Failure, Round
from bridge.errors import SourceMissing, SourceProtocolError
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.readers.monitor_status import MonitorStatus
from bridge.sources.threecx.settings import Enabled, QueryOptions
from tests.support.clock import FakeClock
from tests.support.threecx import Reports, at_work, settings, source_settings, tools

HOUR = 3600.0
EVERYTHING = QueryOptions()


@asynccontextmanager
async def polling(
    url: str, clock: FakeClock, query: QueryOptions = EVERYTHING, *, interval: float = HOUR
) -> AsyncIterator[Reports]:
    async with tools(settings(url), clock) as (found, _):
        options = source_settings(interval, query, Enabled.AUTO)
        async with at_work(MonitorStatus(found, options)) as reports:
            yield reports


async def test_a_round_has_the_rows_of_every_page(clock: FakeClock) -> None:
    pbx = SimulatedPbx(users=250)
    async with pbx.serve() as url, polling(url, clock) as poll:
        found = await poll.next(Round)
        assert set(found.rows) == set(pbx.users)
        assert found.complete
        assert found.total == 250
        assert [request.query["$skip"] for request in pbx.requests_to("GetMonitorStatus()")] == ["0", "100", "200"]


@pytest.mark.parametrize(
    "query",
    [QueryOptions(top=2), QueryOptions(skip=1), QueryOptions(filter="DN ne '100'"), QueryOptions(search="Ada")],
    ids=["top", "skip", "filter", "search"],
)
async def test_a_narrowed_round_is_not_complete(
    pbx: SimulatedPbx, url: str, clock: FakeClock, query: QueryOptions
) -> None:
    async with polling(url, clock, query) as poll:
        found = await poll.next(Round)
        assert 0 < len(found.rows) < len(pbx.users)
        assert not found.complete


async def test_an_empty_round_is_not_complete(clock: FakeClock) -> None:
    async with SimulatedPbx(users=0).serve() as url, polling(url, clock) as poll:
        found = await poll.next(Round)
        assert not found.rows
        assert not found.complete


async def test_rows_that_did_not_change_are_the_same_objects(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with polling(url, clock) as poll:
        await poll.next(Round)  # after which its numbers are known as the PBX's own
        poll.source.refresh()
        first = await poll.next(Round)
        poll.source.refresh()
        second = await poll.next(Round)
        assert all(second.rows[dn] is row for dn, row in first.rows.items())
        pbx.set_state("100", "Ringing")
        poll.source.refresh()
        third = await poll.next(Round)
        assert third.rows["100"] != first.rows["100"]


async def test_a_pbx_that_ignores_skip_is_not_read_for_ever(clock: FakeClock) -> None:
    pbx = SimulatedPbx(users=100)

    async def same_page(request: web.Request) -> web.Response | None:
        if not request.path.endswith("GetMonitorStatus()"):
            return None
        return web.json_response({"value": [{"DN": dn, "Expiration": 0} for dn in pbx.users]})

    pbx.intercept = same_page
    async with pbx.serve() as url, polling(url, clock, QueryOptions(count=False)) as poll:
        failure = await poll.next(Failure)
        assert isinstance(failure.error, SourceProtocolError)
        assert "the same page again" in failure.reason


async def test_an_upgrade_is_noticed_while_the_function_is_missed(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    pbx.version = "20.0.9.100"
    async with polling(url, clock, interval=0.05) as poll:
        failure = await poll.next(Failure)
        assert isinstance(failure.error, SourceMissing)
        assert "this 3CX 20.0.9.100 has no GetMonitorStatus()" in failure.reason
        pbx.version = "20.0.8.1109"
        poll.source.refresh()
        assert (await poll.next(Round)).rows


async def test_retry_after_is_obeyed(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async def too_many(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "3000"})

    async with polling(url, clock, interval=0.01) as poll:
        await poll.next(Round)
        pbx.intercept = too_many
        failure = await poll.next(Failure)
        assert failure.error.answered
        asked = len(pbx.requests)
        pbx.intercept = None
        async with SimulatedPbx(users=1).serve() as other, polling(other, clock, interval=0.01) as unhindered:
            for _ in range(5):
                await unhindered.next(Round)
        assert len(pbx.requests) == asked


async def test_a_slow_pbx_is_never_asked_twice_at_once(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    under_way, most = 0, 0

    async def slow(_: web.Request) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1

    pbx.intercept = slow
    async with polling(url, clock, interval=0.001) as poll:
        for _ in range(3):
            await poll.next(Round)
    assert most == 1
