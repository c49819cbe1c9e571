"""The probe: which build it is, and whether the PBX is there, came back or was upgraded."""

import asyncio
import logging

import pytest
from aiohttp import web

from bridge.domain.updates import Answered, Failure
from bridge.errors import SourceAuthError, SourceUnavailable
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.probe import NAME, Probe
from bridge.sources.threecx.timing import ThreecxTiming
from tests.support.clock import FakeClock
from tests.support.threecx import at_work, settings, tools


async def test_after_an_upgrade_all_sources_are_read_again(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    changed = asyncio.Event()
    async with tools(settings(url), clock) as (found, _):
        async with at_work(Probe(found, changed.set)) as reports:
            assert (await reports.next(Answered)).version == "20.0.8.1109"
            assert not changed.is_set()
            pbx.version = "20.0.10.1"
            reports.source.refresh()
            assert (await reports.next(Answered)).version == "20.0.10.1"
            assert changed.is_set()


async def test_when_the_pbx_is_back_all_sources_are_read_again(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    changed = asyncio.Event()

    async def down(_: web.Request) -> web.Response:
        return web.Response(status=502)

    async with tools(settings(url), clock, timing=ThreecxTiming(probe_after=0.02)) as (found, _):
        async with at_work(Probe(found, changed.set)) as reports:
            await reports.next(Answered)
            pbx.intercept = down
            reports.source.refresh()
            failure = await reports.next(Failure)
            assert isinstance(failure.error, SourceUnavailable)
            assert not changed.is_set()
            pbx.intercept = None
            await reports.next(Answered)
            assert changed.is_set()


async def test_it_probes_only_while_no_other_request_is_answered(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with tools(settings(url), clock) as (found, access):
        async with at_work(Probe(found, lambda: None)) as reports:
            await reports.next(Answered)
            await access.request("GET", "/xapi/v1/Defs")
            assert access.answered_at == clock.now
            assert len(pbx.requests_to("/Defs")) == 2


async def test_refused_credentials_are_not_tried_again_by_the_probe(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with tools(settings(url, client_secret="wrong"), clock) as (found, _):
        async with at_work(Probe(found, lambda: None)) as reports:
            assert isinstance((await reports.next(Failure)).error, SourceAuthError)
            reports.source.refresh()
            assert isinstance((await reports.next(Failure)).error, SourceAuthError)
            assert pbx.tokens.refused == 1


async def test_an_outage_is_logged_once_and_so_is_its_end(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def down(_: web.Request) -> web.Response:
        return web.Response(status=502)

    async with tools(settings(url), clock) as (found, _):
        async with at_work(Probe(found, lambda: None)) as reports:
            await reports.next(Answered)
            pbx.intercept = down
            for _ in range(3):
                reports.source.refresh()
                await reports.next(Failure)
            with caplog.at_level(logging.INFO, "bridge.test"):
                pbx.intercept = None
                reports.source.refresh()
                await reports.next(Answered)
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"{url} answered HTTP 502: the PBX behind that server is down or starting"]
    assert len([record for record in caplog.records if record.message.startswith(NAME)]) == 1
