"""Two programs with one API client: each login ends the other's token."""

import asyncio
import logging

import pytest
from aiohttp import web

from bridge.errors import SourceUnavailable
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.client.token_losses import MOST_LOGINS, TokenLosses
from tests.support.clock import FakeClock
from tests.support.threecx import settings, tools

NAMED = "another program logs in with client_id 'busylights'"


class OtherProgram:
    """Logs in with the same API client every `interval` seconds, whether the bridge waits or works."""

    def __init__(self, pbx: SimulatedPbx, clock: FakeClock, interval: float) -> None:
        self._pbx = pbx
        self._clock = clock
        self._interval = interval
        self._next = 0.0
        self.logins = 0

    async def pass_time(self, seconds: float) -> None:
        end = self._clock.now + seconds
        while self._clock.now < end:
            self._clock.turn(min(1.0, end - self._clock.now))
            if self._clock.now >= self._next:
                self._next = self._clock.now + self._interval
                self.logins += 1
                self._pbx.tokens.login("busylights", "simulated-key", "127.0.0.2")


async def bridge_logins(
    pbx: SimulatedPbx, client: AuthorisedClient, clock: FakeClock, other: OtherProgram, seconds: float
) -> list[float]:
    """When a bridge that sends a request every second logged in."""
    logins: list[float] = []
    end = clock.now + seconds
    while clock.now < end:
        before = pbx.tokens.granted - other.logins
        assert (await client.request("GET", "/xapi/v1/Defs")).status == 200
        logins += [clock.now] * (pbx.tokens.granted - other.logins - before)
        await other.pass_time(1.0)
    return logins


async def test_after_the_third_loss_at_most_four_logins_a_minute_and_every_request_is_answered(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    other = OtherProgram(pbx, clock, interval=2.0)
    async with tools(settings(url), clock, sleep=other.pass_time) as (_, client):
        logins = await bridge_logins(pbx, client, clock, other, 600.0)
        assert client._auth.shared is not None
        assert client._auth.shared.startswith(NAMED)
    third_loss = logins[3]
    assert third_loss < 10
    for begin in logins[3:]:
        assert len([each for each in logins if begin < each <= begin + 60]) <= MOST_LOGINS
    assert len(logins) <= 4 + 600 / 60 * MOST_LOGINS
    (loud,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert loud.startswith(NAMED)


async def test_when_the_other_program_has_stopped_nothing_is_slowed_any_more(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    other = OtherProgram(pbx, clock, interval=2.0)
    async with tools(settings(url), clock, sleep=other.pass_time) as (_, client):
        await bridge_logins(pbx, client, clock, other, 60.0)
        assert client._auth.shared
        other._interval = other._next = float("inf")
        assert len(await bridge_logins(pbx, client, clock, other, 3600.0)) <= 3
        assert not client._auth.shared
    assert "no other program logs in with this bridge's API client any more" in caplog.text


async def test_a_pbx_that_restarts_now_and_then_is_no_other_program(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with tools(settings(url), clock) as (_, client):
        for _ in range(5):
            await client.request("GET", "/xapi/v1/Defs")
            clock.turn(660)
            pbx.tokens.drop()
        assert client._auth.shared is None


async def test_a_token_with_which_many_requests_were_under_way_is_lost_once(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    """Each of them notices: a PBX that drops its tokens once must not be taken for another program."""
    refused = asyncio.Barrier(6)

    async def together(request: web.Request) -> web.Response | None:
        if request.path == "/connect/token" or pbx.tokens.granted > 1:
            return None
        await refused.wait()
        return web.Response(status=401)

    async with tools(settings(url), clock) as (_, client):
        await client.login()
        pbx.intercept = together
        answers = await asyncio.gather(*(client.request("GET", "/xapi/v1/Defs") for _ in range(refused.parties)))
        assert [answer.status for answer in answers] == [200] * refused.parties
        assert pbx.tokens.granted == 2
        assert client._auth.shared is None
        pbx.tokens.drop()
        await client.request("GET", "/xapi/v1/Defs")
        assert client._auth.shared is None


async def test_a_missing_right_is_no_lost_token(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    pbx.may_read_departments = False
    async with tools(settings(url), clock) as (_, client):
        for _ in range(10):
            assert (await client.request("GET", "/xapi/v1/Groups")).status == 401
            assert (await client.request("GET", "/xapi/v1/Defs")).status == 200
            clock.turn(300)
        assert client._auth.shared is None


async def test_a_token_that_the_other_program_ends_at_once_is_no_missing_right(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with tools(settings(url), clock) as (_, client):
        for _ in range(4):
            await client.request("GET", "/xapi/v1/Defs")
            pbx.tokens.drop()
        assert client._auth.shared is not None
        clock.turn(60)

        async def ended(request: web.Request) -> web.Response | None:
            return None if request.path == "/connect/token" else web.Response(status=401)

        pbx.intercept = ended
        with pytest.raises(SourceUnavailable, match=NAMED) as caught:
            await client.request("GET", "/xapi/v1/Defs")
        assert caught.value.answered
        assert not client._denied


def test_a_token_that_lives_longer_ends_the_series(clock: FakeClock) -> None:
    losses = TokenLosses("busylights", clock.clock)
    losses.granted()
    for age in (1.0, 1.0, 700.0, 1.0, 1.0):
        losses.lost(age)
        assert (losses.problem, losses.wait()) == (None, 0.0)
    losses.lost(1.0)
    assert losses.problem is not None
    assert losses.wait() == 15.0
    clock.turn(601)
    assert losses.problem is None
