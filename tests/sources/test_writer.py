"""Writing to the PBX, and believing only what it says afterwards."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bridge.domain.model import Command, Queue, UserRow
from bridge.engine.commands import CommandDesk, CommandsSettings
from bridge.errors import BridgeError
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx import parse, writer
from bridge.sources.threecx.writer import Writer
from tests.support.beside import beside
from tests.support.clock import FakeClock
from tests.support.threecx import settings, tools


class Desk:
    def __init__(self, pbx: SimulatedPbx) -> None:
        self.pbx = pbx
        self.done = asyncio.Event()

    def row(self, dn: str) -> UserRow | None:
        return parse.user_row(self.pbx.users[dn].row()) if dn in self.pbx.users else None


@asynccontextmanager
async def writing(pbx: SimulatedPbx, url: str, clock: FakeClock) -> AsyncIterator[tuple[Writer, Desk]]:
    desk = Desk(pbx)
    async with tools(settings(url), clock) as (found, _):
        made = Writer(found.xapi, desk.row, desk.done.set)
        async with beside(made.run()):
            yield made, desk


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "READ_BACK", (0.0, 0.0))


async def test_profile_and_queue_are_written_and_read_back(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with writing(pbx, url, clock) as (made, desk):
        made.submit(Command("101", "Out of office", Queue.LOGGED_IN))
        await asyncio.wait_for(desk.done.wait(), 5)
        assert (pbx.users["101"].profile, pbx.users["101"].queue) == ("Out of office", "LoggedIn")
        assert [request.query.get("$filter") for request in pbx.requests_to("/Users")] == ["Number eq '101'"]


async def test_a_profile_that_the_pbx_ignores_is_told_once(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    pbx.ignores_profiles = True
    caplog.set_level(logging.DEBUG)
    async with writing(pbx, url, clock) as (made, desk):
        for _ in range(2):
            made.submit(Command("101", profile="Away"))
            await asyncio.wait_for(desk.done.wait(), 5)
            desk.done.clear()
            await asyncio.sleep(0)
    told = [record.levelname for record in caplog.records if "did not change it" in record.message]
    assert told == ["WARNING", "DEBUG"]


async def test_a_user_without_an_id_or_a_failure_is_told(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with writing(pbx, url, clock) as (made, desk):
        made.submit(Command("999", profile="Away"))
        made.submit(Command("101", profile="Away"))
        await asyncio.wait_for(desk.done.wait(), 5)
    assert "could not change the user 999" in caplog.text


async def test_a_change_that_cannot_be_looked_for_is_told_as_that(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def down(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=503) if request.method == "GET" else None

    async with writing(pbx, url, clock) as (made, desk):
        pbx.intercept = down
        made.submit(Command("101", profile="Away"))
        await asyncio.wait_for(desk.done.wait(), 5)
    assert pbx.users["101"].profile == "Away"
    assert "the PBX accepted a change of the user 101; whether it was made:" in caplog.text


async def test_commands_that_are_still_waiting_in_the_end_are_told(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with writing(pbx, url, clock) as (made, _):
        made.submit(Command("101", profile="Away"))
        made.submit(Command("102", profile="Away"))
        await asyncio.sleep(0)
    told = [record.message for record in caplog.records if "may not have been changed" in record.message]
    assert told == [
        f"the user {dn} may not have been changed: the bridge ends, or is reloaded" for dn in ("101", "102")
    ]


async def test_only_so_many_commands_wait(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with tools(settings(url), clock) as (found, _):
        made = Writer(found.xapi, lambda _: None, lambda: None)
        for _ in range(100):
            made.submit(Command("101"))
        with pytest.raises(BridgeError, match="100 commands are waiting already"):
            made.submit(Command("101"))


def received(request: dict[str, object], *, profile: bool = True, queue: bool = True, dn: str = "101") -> list[Command]:
    commands: list[Command] = []
    desk = CommandDesk(CommandsSettings(profile, queue), lambda found: found == "101", commands.append)
    desk.receive(dn, request)
    return commands


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        ({"profile": "Away"}, Command("101", "Away")),
        ({"profile": "out of OFFICE"}, Command("101", "Out of office")),
        ({"queue": "logged_in"}, Command("101", None, Queue.LOGGED_IN)),
        ({"queue": "logged_out", "profile": "Available"}, Command("101", "Available", Queue.LOGGED_OUT)),
    ],
)
def test_a_request_becomes_a_command(request_: dict[str, object], command: Command) -> None:
    assert received(request_) == [command]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({}, 'write {"profile"'),
        ({"state": "away"}, 'write {"profile"'),
        ({"profile": "Siesta"}, "'Siesta' is no profile"),
        ({"profile": 7}, "7 is no profile"),
        ({"profile": None}, 'write {"profile"'),
        ({"queue": True}, "True is neither logged_in nor logged_out"),
        ({"queue": ["logged_in"]}, "is neither"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(request_: dict[str, object], why: str) -> None:
    with pytest.raises(BridgeError, match=why):
        received(request_)


def test_what_is_switched_off_is_refused_and_strangers_too() -> None:
    with pytest.raises(BridgeError, match=r"set commands\.profile to true"):
        received({"profile": "Away"}, profile=False)
    with pytest.raises(BridgeError, match=r"set commands\.queue to true"):
        received({"queue": "logged_in"}, queue=False)
    with pytest.raises(BridgeError, match="there is no user '999'"):
        received({"queue": "logged_in"}, dn="999")
