"""Writing to the PBX: a command counts as done when the PBX reports the new value, and none is lost silently."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from bridge.domain.model import Command, Queue, UserRow
from bridge.errors import BridgeError
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx import parse
from bridge.sources.threecx.timing import ThreecxTiming
from bridge.sources.threecx.writer import MAX_WAITING, Writer
from tests.support.beside import beside
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.threecx import settings, tools

AT_ONCE = ThreecxTiming(read_back=(0.0, 0.0))
NEVER = ThreecxTiming(read_back=(3600.0,))


class Desk:
    def __init__(self, pbx: SimulatedPbx) -> None:
        self.pbx = pbx
        self.done = asyncio.Event()

    def row(self, dn: str) -> UserRow | None:
        return parse.user_row(self.pbx.users[dn].row()) if dn in self.pbx.users else None

    async def until_done(self) -> None:
        """Until a command was carried out, and what it logs then is logged."""
        await asyncio.wait_for(self.done.wait(), limit(5))
        self.done.clear()
        await asyncio.sleep(0)


@asynccontextmanager
async def made(
    pbx: SimulatedPbx, url: str, clock: FakeClock, timing: ThreecxTiming = AT_ONCE
) -> AsyncIterator[tuple[Writer, Desk]]:
    desk = Desk(pbx)
    async with tools(settings(url), clock) as (found, _):
        yield Writer(found.xapi, desk.row, desk.done.set, timing), desk


@asynccontextmanager
async def writing(
    pbx: SimulatedPbx, url: str, clock: FakeClock, timing: ThreecxTiming = AT_ONCE
) -> AsyncIterator[tuple[Writer, Desk]]:
    async with made(pbx, url, clock, timing) as (writer, desk), beside(writer.run()):
        yield writer, desk


async def test_profile_and_queue_are_written_and_read_back(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with writing(pbx, url, clock) as (writer, desk):
        writer.submit(Command("101", "Out of office", Queue.LOGGED_IN))
        await desk.until_done()
        assert (pbx.users["101"].profile, pbx.users["101"].queue) == ("Out of office", "LoggedIn")
        assert [request.query.get("$filter") for request in pbx.requests_to("/Users")] == ["Number eq '101'"]


async def test_a_profile_that_the_pbx_ignores_is_reported_once(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    pbx.ignores_profiles = True
    caplog.set_level(logging.DEBUG)
    async with writing(pbx, url, clock) as (writer, desk):
        for _ in range(2):
            writer.submit(Command("101", profile="Away"))
            await desk.until_done()
    levels = [record.levelname for record in caplog.records if "did not change it" in record.message]
    assert levels == ["WARNING", "DEBUG"]


async def test_a_command_that_fails_is_reported_and_the_next_one_is_carried_out(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with writing(pbx, url, clock) as (writer, desk):
        writer.submit(Command("999", profile="Away"))
        writer.submit(Command("101", profile="Away"))
        await desk.until_done()
    assert "could not change the user 999 (profile: Away)" in caplog.text


async def test_an_internal_error_is_reported_and_the_next_command_is_carried_out(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(pbx)

    def row(dn: str) -> UserRow | None:
        if dn == "100":
            raise RuntimeError(dn)
        return desk.row(dn)

    async with tools(settings(url), clock) as (found, _):
        writer = Writer(found.xapi, row, desk.done.set, AT_ONCE)
        async with beside(writer.run()):
            writer.submit(Command("100", profile="Away"))
            writer.submit(Command("101", profile="Away"))
            await desk.until_done()
    assert "could not change the user 100 (profile: Away): internal error, please report it" in caplog.text
    assert pbx.users["101"].profile == "Away"


async def test_a_change_that_cannot_be_read_back_is_reported_as_that(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def down(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=503) if request.method == "GET" else None

    async with writing(pbx, url, clock) as (writer, desk):
        pbx.intercept = down
        writer.submit(Command("101", profile="Away"))
        await desk.until_done()
    assert pbx.users["101"].profile == "Away"
    assert "the PBX accepted a change of the user 101 (profile: Away), but whether it made the change" in caplog.text


ENDING = "the bridge is stopping or reloading its configuration; send the command again"


def not_done(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.message.endswith(ENDING)]


async def test_commands_not_carried_out_when_it_ends_are_reported(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with writing(pbx, url, clock, NEVER) as (writer, _):
        writer.submit(Command("101", profile="Away"))
        writer.submit(Command("102", "Available", Queue.LOGGED_IN))
        await asyncio.sleep(0)
    assert not_done(caplog) == [
        f"the user 101 may not have been changed (profile: Away): {ENDING}",
        f"the user 102 was not changed (profile: Available, queue: logged_in): {ENDING}",
    ]


async def test_a_command_that_comes_as_it_is_cancelled_is_reported(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with writing(pbx, url, clock) as (writer, _):
        await asyncio.sleep(0)  # it waits for a command now
        writer.submit(Command("101", queue=Queue.LOGGED_OUT))
    assert not_done(caplog) == [f"the user 101 was not changed (queue: logged_out): {ENDING}"]
    assert not pbx.requests


async def test_a_command_from_before_its_beginning_is_carried_out(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with made(pbx, url, clock) as (writer, desk):
        writer.submit(Command("101", profile="Away"))
        async with beside(writer.run()):
            await desk.until_done()
    assert pbx.users["101"].profile == "Away"


async def test_a_command_after_its_end_is_refused(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with writing(pbx, url, clock) as (writer, _):
        await asyncio.sleep(0)
    with pytest.raises(BridgeError, match=r"the user 101 was not changed \(profile: Away\): the bridge is stopping"):
        writer.submit(Command("101", profile="Away"))


async def test_a_command_cancelled_between_the_change_and_its_verification_is_reported(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with writing(pbx, url, clock, NEVER) as (writer, _):
        writer.submit(Command("101", profile="Away"))
        async with asyncio.timeout(limit(5)):
            while pbx.users["101"].profile != "Away":
                await asyncio.sleep(0.01)
    assert not_done(caplog) == [f"the user 101 may not have been changed (profile: Away): {ENDING}"]


async def test_only_so_many_commands_wait(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with made(pbx, url, clock) as (writer, _):
        for _ in range(MAX_WAITING):
            writer.submit(Command("101", profile="Away"))
        with pytest.raises(BridgeError, match=r"the user 101 was not changed .* 100 commands are waiting already"):
            writer.submit(Command("101", profile="Away"))
        task = asyncio.create_task(writer.run())
        await asyncio.sleep(0)  # it takes the first one, so there is room for another
        writer.submit(Command("101", profile="Away"))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
