"""What every row of the table of sources must do, whatever it reads: the rest of the bridge relies on nothing else."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from voluptuous import Optional, Schema

import bridge
from bridge.domain.model import FactKind, MonitorRow, UserRow
from bridge.domain.queues import Queue
from bridge.domain.updates import Calls, Failure, Queues, Round, SystemSeen, UserCalls
from bridge.errors import (
    SourceAuthError,
    SourceMissing,
    SourcePermissionError,
    SourceUnavailable,
)
from bridge.simulator import SimulatedPbx
from bridge.sources.table import TABLE, SourceType
from bridge.sources.threecx.settings import Enabled, SourceSettings
from bridge.sources.threecx.timing import ThreecxTiming
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.threecx import Reports, at_work, settings, tools

QUICK = ThreecxTiming(resync_pause=0.01, reconnect_first=0.01, first_recheck=0.01)
FACTS: dict[FactKind, type[Round] | type[Calls] | type[Queues] | type[SystemSeen]] = {
    FactKind.PEOPLE: Round,
    FactKind.CALLS: Calls,
    FactKind.QUEUES: Queues,
    FactKind.SYSTEM: SystemSeen,
}


@pytest.fixture(params=TABLE.values(), ids=list(TABLE))
def row(request: pytest.FixtureRequest) -> SourceType:
    found: SourceType = request.param
    return found


def defaults(row: SourceType) -> SourceSettings:
    """As the configuration has them where the source's section is empty; switched on for certain."""
    return replace(row.settings(Schema(row.schema)({})), enabled=Enabled.TRUE)


class Steps:
    """A Liveness that keeps who has promised a next step, and within how many seconds."""

    def __init__(self) -> None:
        self.expected: dict[str, float] = {}

    def expect(self, loop: str, within: float) -> None:
        self.expected[loop] = within


@asynccontextmanager
async def reporting(
    row: SourceType, url: str, clock: FakeClock, *, secret: str = "simulated-key", steps: Steps | None = None
) -> AsyncIterator[Reports]:
    """The source at work with long intervals: whatever it does a second time, it was asked for."""
    async with tools(settings(url, client_secret=secret), clock, timing=QUICK) as (found, _):
        observed = found if steps is None else replace(found, liveness=steps)
        source = row.factory(observed, replace(defaults(row), interval=3600.0))
        assert source.name == row.name
        async with at_work(source) as reports:
            yield reports


def answering(status: int) -> object:
    """An intercept: the PBX accepts the login and answers everything else with this status."""

    async def answer(request: web.Request) -> web.Response | None:
        return None if request.path == "/connect/token" else web.json_response({}, status=status)

    return answer


def test_no_module_outside_the_table_names_a_source() -> None:
    """But for the demo, which writes a configuration file. Some are the names of many things, and left out."""
    folder = Path(bridge.__file__).parent
    own = {folder / "commands" / "demo.py", *(folder / "sources").rglob("*.py"), *(folder / "simulator").rglob("*.py")}
    named = re.compile("|".join(sorted(TABLE.keys() - {"users", "queues", "system"})))
    others = set(folder.rglob("*.py")) - own
    assert not [str(path) for path in sorted(others) if named.search(path.read_text())]


def test_its_options_have_defaults_and_descriptions(row: SourceType) -> None:
    assert row.summary
    assert "enabled" in row.schema
    for marker in row.schema:
        assert isinstance(marker, Optional), marker
        assert marker.description, marker
    found = row.settings(Schema(row.schema)({}))
    assert found.on
    assert found.interval > 0


@pytest.mark.parametrize("enabled", Enabled)
def test_the_engine_learns_whether_it_is_on_and_which_option_switched_it_off(row: SourceType, enabled: Enabled) -> None:
    described = row.description(SourceSettings(enabled, 5.0))
    assert (described.name, described.kind) == (row.name, row.kind)
    assert described.on is (enabled is not Enabled.FALSE)
    assert described.required is (enabled is Enabled.TRUE)
    if not described.on:
        assert f"sources.{row.name}.enabled" in (described.why_off or "")


async def test_it_reports_facts_of_its_kind_soon(
    row: SourceType, pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    steps = Steps()
    pbx.exchange.answer(pbx.exchange.ring("0301234567", "101"))
    async with reporting(row, url, clock, steps=steps) as reports:
        found = await reports.next(FACTS[row.kind])
        assert found.source == row.name
        assert found.good_for >= 3600.0
        if isinstance(found, Round):
            kind = MonitorRow if row.monitor_rows else UserRow
            assert found.rows.keys() == pbx.users.keys()
            assert all(isinstance(each, kind) and each.dn == dn for dn, each in found.rows.items())
            assert found.complete
        elif isinstance(found, Calls):
            assert len(found.legs["101"]) == 1
            assert found.live is row.pushes
        elif isinstance(found, Queues):
            assert found.queues == {"8000": Queue("8000", "Support", frozenset(pbx.users))}
        else:
            assert (found.system.calls, found.system.version) == (1, pbx.version)
        assert steps.expected.keys() == {row.name}
        assert 0 < steps.expected[row.name] < float("inf")


@pytest.mark.parametrize("row", [row for row in TABLE.values() if row.pushes], ids=lambda row: row.name)
async def test_a_source_that_pushes_reports_changes_without_being_polled(
    row: SourceType, pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with reporting(row, url, clock) as reports:
        await reports.next(Calls)
        pbx.exchange.ring("0301234567", "101")
        pushed = await reports.next(UserCalls)
        assert (pushed.source, pushed.dn, len(pushed.legs)) == (row.name, "101", 1)


async def test_a_refresh_reads_everything_again(row: SourceType, url: str, clock: FakeClock) -> None:
    async with reporting(row, url, clock) as reports:
        for _ in range(3):
            await reports.next(FACTS[row.kind])
            reports.source.refresh()
        await reports.next(FACTS[row.kind])


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, SourcePermissionError), (403, SourcePermissionError), (404, SourceMissing), (503, SourceUnavailable)],
)
async def test_a_refused_request_is_reported_by_class_and_never_raised(
    row: SourceType, pbx: SimulatedPbx, url: str, clock: FakeClock, status: int, error: type[Exception]
) -> None:
    pbx.intercept = answering(status)  # type: ignore[assignment]
    async with reporting(row, url, clock) as reports:
        for _ in range(2):
            failure = await reports.next(Failure)
            assert failure.source == row.name
            assert type(failure.error) in {error, *error.__subclasses__()}, failure
            assert failure.reason
            reports.source.refresh()
        pbx.intercept = None
        reports.source.refresh()
        await reports.next(FACTS[row.kind])


async def test_refused_credentials_are_reported_and_tried_once(
    row: SourceType, pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with reporting(row, url, clock, secret="wrong") as reports:
        for _ in range(3):
            assert isinstance((await reports.next(Failure)).error, SourceAuthError)
            reports.source.refresh()
        assert pbx.tokens.refused == 1


async def test_it_ends_when_it_is_cancelled_even_while_the_pbx_does_not_answer(
    row: SourceType, pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    asked, forever = asyncio.Event(), asyncio.Event()

    async def silent(request: web.Request) -> web.Response | None:
        if request.path != "/connect/token":
            asked.set()
            await forever.wait()
        return None

    pbx.intercept = silent
    async with tools(settings(url), clock, timing=QUICK) as (found, _):
        task = asyncio.create_task(row.factory(found, defaults(row)).run(lambda _: None))
        await asyncio.wait_for(asked.wait(), limit(5))
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=limit(2))
        assert done
        assert task.cancelled()
    forever.set()
