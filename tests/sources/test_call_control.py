"""The websocket of Call Control, against the simulated PBX."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from aiohttp import web

from bridge.domain.model import CallStatus
from bridge.domain.updates import Calls, Failure, UserCalls
from bridge.errors import SourcePermissionError, SourceUnavailable
from bridge.simulator import SimulatedPbx
from bridge.sources.table import TABLE
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.call_control import CallControlApi
from bridge.sources.threecx.directory import Directory, Kind
from bridge.sources.threecx.readers.call_control import CallControl
from bridge.sources.threecx.settings import Enabled
from bridge.sources.threecx.timing import USUAL, ThreecxTiming
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.threecx import Reports, at_work, settings, source_settings, tools

QUICK = ThreecxTiming(resync_pause=0.01)

RINGING, ON_CALL, ON_HOLD, DIALING = CallStatus.RINGING, CallStatus.ON_CALL, CallStatus.ON_HOLD, CallStatus.DIALING


@asynccontextmanager
async def following(
    url: str,
    clock: FakeClock,
    *,
    resync: float = 3600.0,
    timeout: float = 2.0,
    enabled: Enabled = Enabled.AUTO,
    timing: ThreecxTiming = USUAL,
) -> AsyncIterator[Reports]:
    async with tools(settings(url, timeout=timeout), clock, timing=timing) as (found, _):
        source = TABLE["call_control"].factory(found, source_settings(resync, enabled=enabled))
        async with at_work(source) as reports:
            yield reports


async def statuses(reports: Reports, dn: str, *expected: CallStatus) -> UserCalls:
    """The next push that says so of the user."""
    return await reports.next(
        UserCalls, lambda push: push.dn == dn and tuple(leg.status for leg in push.legs) == expected
    )


async def test_a_call_is_pushed_from_the_first_ring_to_the_end(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with following(url, clock) as reports:
        snapshot = await reports.next(Calls)
        assert (snapshot.covered, snapshot.legs, snapshot.live) == (frozenset(pbx.users), {}, True)
        call = pbx.exchange.ring("0301234567", "101")
        (leg,) = (await statuses(reports, "101", RINGING)).legs
        assert (leg.id, leg.direction, leg.party, leg.internal) == (str(call), "inbound", "0301234567", False)
        pbx.exchange.answer(call)
        await statuses(reports, "101", ON_CALL)
        pbx.exchange.hold(call, "101")
        await statuses(reports, "101", ON_HOLD)
        pbx.exchange.hold(call, "101", held=False)
        await statuses(reports, "101", ON_CALL)
        pbx.exchange.end(call)
        await statuses(reports, "101")


async def test_both_sides_of_an_internal_call_are_pushed(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with following(url, clock) as reports:
        await reports.next(Calls)
        pbx.exchange.ring("100", "101")
        (dialing,) = (await statuses(reports, "100", DIALING)).legs
        (ringing,) = (await statuses(reports, "101", RINGING)).legs
        assert (dialing.direction, dialing.party, dialing.internal) == ("internal", "101", True)
        assert (ringing.direction, ringing.party, ringing.name) == ("internal", "100", "Ada Example")


async def test_a_call_through_a_queue_says_so(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    pbx.change("101", queue="LoggedIn")
    async with following(url, clock) as reports:
        await reports.next(Calls)
        pbx.exchange.ring("0301234567", "8000")
        (leg,) = (await statuses(reports, "101", RINGING)).legs
        assert (leg.via, leg.party, leg.direction) == ("8000", "0301234567", "inbound")


async def test_a_user_with_two_phones_has_one_call(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    pbx.change("101", devices=2)
    async with following(url, clock) as reports:
        await reports.next(Calls)
        call = pbx.exchange.ring("0301234567", "101")
        await statuses(reports, "101", RINGING)
        pbx.exchange.answer(call)
        await statuses(reports, "101", ON_CALL)
        pbx.exchange.end(call)
        await statuses(reports, "101")
        assert not [each for each in reports.reports if isinstance(each, UserCalls) and len(each.legs) > 1]


async def test_calls_that_are_under_way_at_the_start_are_in_the_first_reading(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    pbx.exchange.answer(pbx.exchange.ring("0301234567", "101"))
    async with following(url, clock) as reports:
        snapshot = await reports.next(Calls)
        assert [leg.status for leg in snapshot.legs["101"]] == [ON_CALL]


async def test_only_listed_extensions_are_covered(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    pbx.peers = {"101"}
    async with following(url, clock) as reports:
        assert (await reports.next(Calls)).covered == frozenset({"101"})
        pbx.exchange.ring("0301234567", "102")
        pbx.exchange.ring("0301234567", "101")
        assert (await reports.next(UserCalls)).dn == "101"


async def test_events_that_are_sent_twice_change_nothing(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    pbx.stream.doubling = True
    async with following(url, clock) as reports:
        await reports.next(Calls)
        call = pbx.exchange.ring("0301234567", "101")
        await statuses(reports, "101", RINGING)
        pbx.exchange.end(call)
        await statuses(reports, "101")
        pbx.exchange.ring("0301234567", "102")
        await statuses(reports, "102", RINGING)
        assert not [each for each in reports.reports if isinstance(each, UserCalls) and each.dn == "101" and each.legs]
        assert len(pbx.requests_to("/callcontrol")) == 1


async def test_a_gap_in_the_sequence_numbers_has_everything_read_again(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with following(url, clock, timing=QUICK) as reports:
        await reports.next(Calls)
        pbx.exchange.ring("0301234560", "100")
        await statuses(reports, "100", RINGING)
        pbx.stream.losing = 1
        pbx.exchange.ring("0301234561", "101")
        pbx.exchange.ring("0301234562", "102")
        await reports.next(Calls, lambda calls: {"100", "101", "102"} <= calls.legs.keys())


async def test_an_answer_that_comes_after_the_end_does_not_bring_the_call_back(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse | None:
        if "/participants/" not in request.path or asked.is_set():
            return None
        body = pbx.exchange.participants("101")[0]
        asked.set()
        await answer.wait()
        return web.json_response(body)

    pbx.intercept = late
    async with following(url, clock) as reports:
        await reports.next(Calls)
        call = pbx.exchange.ring("0301234567", "101")
        await asyncio.wait_for(asked.wait(), limit(5))
        pbx.exchange.end(call)
        await statuses(reports, "101")
        answer.set()
        pbx.exchange.ring("0301234567", "102")
        await statuses(reports, "102", RINGING)
        assert not [each for each in reports.reports if isinstance(each, UserCalls) and each.dn == "101" and each.legs]


async def test_a_call_that_ends_while_everything_is_read_stays_ended(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    call = pbx.exchange.ring("0301234567", "101")

    async def late(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/callcontrol" or asked.is_set():
            return None
        body = [{"dn": "101", "type": "Wextension", "participants": pbx.exchange.participants("101")}]
        while not len(pbx.stream):
            await asyncio.sleep(0.01)
        asked.set()
        await answer.wait()
        return web.json_response(body)

    pbx.intercept = late
    async with following(url, clock) as reports:
        await asyncio.wait_for(asked.wait(), limit(5))
        pbx.exchange.end(call)
        other = pbx.exchange.ring("0301234567", "101")
        while not pbx.requests_to(f"/participants/{next(iter(pbx.exchange.calls[other].devices))}"):
            await asyncio.sleep(0.01)
        answer.set()
        snapshot = await reports.next(Calls)
        assert [leg.id for leg in snapshot.legs.get("101", ())] in ([], [str(other)])
        if "101" not in snapshot.legs:
            await statuses(reports, "101", RINGING)


async def test_builds_that_send_the_participant_along_are_not_asked_for_it(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    def attached(entity: str) -> object:
        dn, number = entity.split("/")[2], int(entity.rsplit("/", maxsplit=1)[-1])
        return {"StatusCode": 200, "Response": pbx.exchange.participant(dn, number)}

    pbx.stream.attach = attached
    async with following(url, clock) as reports:
        await reports.next(Calls)
        pbx.exchange.ring("0301234567", "101")
        await statuses(reports, "101", RINGING)
        assert not [request for request in pbx.requests if "/participants/" in request.path]


async def test_events_that_make_no_sense_are_ignored(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with following(url, clock) as reports:
        await reports.next(Calls)
        for text in ("no json", "[]", '{"event":7}', '{"event":{"event_type":2,"entity":"/callcontrol/101"}}'):
            pbx.stream.raw(text)
        pbx.stream.raw(json.dumps({"event": {"event_type": 9, "entity": "/callcontrol/101/participants/1"}}))
        pbx.stream.raw(json.dumps({"event": {"event_type": 0, "entity": "/callcontrol/101/devices/x"}}))
        pbx.exchange.ring("0301234567", "101")
        await statuses(reports, "101", RINGING)
    assert "it is ignored" in caplog.text


async def test_a_lost_connection_is_reported_and_opened_again(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with following(url, clock) as reports:
        await reports.next(Calls)
        await pbx.stream.drop()
        failure = await reports.next(Failure)
        assert isinstance(failure.error, SourceUnavailable)
        reports.source.refresh()
        await reports.next(Calls)
        pbx.exchange.ring("0301234567", "101")
        await statuses(reports, "101", RINGING)


async def test_an_open_socket_outlives_its_token_and_the_time_out_of_requests(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with following(url, clock, timeout=limit(0.2)) as reports:
        await reports.next(Calls)
        pbx.tokens.drop()
        await asyncio.sleep(limit(0.5))  # longer than a request may take
        pbx.exchange.ring("0301234567", "101")
        await statuses(reports, "101", RINGING)
        assert not [each for each in reports.reports if isinstance(each, Failure)]
        assert pbx.tokens.granted == 2


async def test_a_void_token_is_renewed_for_the_socket_too(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with following(url, clock) as reports:
        await reports.next(Calls)
        pbx.tokens.drop()
        await pbx.stream.drop(4401)
        await reports.next(Failure)
        reports.source.refresh()
        await reports.next(Calls)
        assert pbx.tokens.granted == 2


@pytest.mark.parametrize(("enabled", "level"), [(Enabled.AUTO, logging.WARNING), (Enabled.TRUE, logging.ERROR)])
async def test_a_missing_right_is_reported_with_what_to_tick_and_tried_again(
    pbx: SimulatedPbx, url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture, enabled: Enabled, level: int
) -> None:
    pbx.may_control_calls = False
    async with following(url, clock, enabled=enabled) as reports:
        failure = await reports.next(Failure)
        assert isinstance(failure.error, SourcePermissionError)
        assert "tick 'Call Control API Access'" in failure.reason
        assert [record.levelno for record in caplog.records if "tick" in record.message] == [level]
        assert pbx.tokens.granted == 1
        pbx.may_control_calls = True
        reports.source.refresh()
        await reports.next(Calls)


async def test_a_participant_that_cannot_be_read_has_everything_read_again(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async def broken(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=502) if "/participants/" in request.path else None

    async with following(url, clock, timing=QUICK) as reports:
        await reports.next(Calls)
        pbx.intercept = broken
        pbx.exchange.ring("0301234567", "101")
        snapshot = await reports.next(Calls)
        assert [leg.status for leg in snapshot.legs["101"]] == [RINGING]


async def test_a_failed_reading_of_everything_is_tried_again(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    failed = asyncio.Event()

    async def broken(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/callcontrol":
            return None
        failed.set()
        return web.Response(status=503)

    pbx.intercept = broken
    async with following(url, clock, timing=QUICK) as reports:
        await asyncio.wait_for(failed.wait(), limit(5))
        pbx.intercept = None
        await reports.next(Calls)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "Ringing", "party_dn_type": "Wexternalline"}, (RINGING, "inbound", "0301", False, None)),
        ({"status": "Dialing", "party_dn_type": "Wexternalline"}, (DIALING, "outbound", "0301", False, None)),
        ({"status": "Connected", "party_dn_type": "Wexternalline"}, (ON_CALL, None, "0301", False, None)),
        ({"status": "Connected", "party_dn_type": "Wextension"}, (ON_CALL, "internal", "102", True, None)),
        ({"status": "Held", "party_dn_type": "Wextension"}, (ON_HOLD, "internal", "102", True, None)),
        ({"status": "Hold", "party_dn_type": "Wspecialmenu"}, (ON_HOLD, "internal", "102", True, None)),
        ({"status": "Terminated", "party_dn_type": "None"}, (None, "internal", "102", True, None)),
        ({"status": "Gargling", "party_dn_type": "Wextension"}, (None, "internal", "102", True, None)),
        (
            {
                "status": "Ringing",
                "party_dn_type": "Wexternalline",
                "on_behalf_of_dn": "8000",
                "on_behalf_of_type": "Wqueue",
            },
            (RINGING, "inbound", "0301", False, "8000"),
        ),
        (
            {
                "status": "Ringing",
                "party_dn_type": "Wextension",
                "originated_by_dn": "R",
                "originated_by_type": "Wroutepoint",
            },
            (RINGING, "internal", "102", True, None),
        ),
    ],
)
def test_a_participant_is_read(fields: dict[str, object], expected: tuple[object, ...]) -> None:
    raw = {"id": 7, "callid": 1, "party_caller_id": "0301", "party_dn": "102", "party_caller_name": "Bob"} | fields
    directory = Directory()
    directory.learn("all users", dict.fromkeys(("101", "102"), Kind.USER))
    found = parse.participant(json.dumps(raw).encode()).leg("101", directory)
    assert (found.status, found.direction, found.party, found.internal, found.via) == expected


async def test_repeated_failures_to_read_everything_end_the_connection(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async def broken(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if request.path == "/callcontrol" else None

    pbx.intercept = broken
    async with following(url, clock, timing=QUICK) as reports:
        failure = await reports.next(Failure)
        assert isinstance(failure.error, SourceUnavailable)
        assert len(pbx.requests_to("/callcontrol")) == 3


async def test_a_401_when_the_websocket_is_opened_is_a_missing_right(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async def closed(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=401) if request.path == "/callcontrol/ws" else None

    pbx.intercept = closed
    async with following(url, clock) as reports:
        failure = await reports.next(Failure)
        assert isinstance(failure.error, SourcePermissionError)
        assert "tick" in failure.reason
        reports.source.refresh()
        await reports.next(Failure)
        assert (pbx.tokens.granted, len(pbx.requests_to("/callcontrol/ws"))) == (2, 3)


def test_events_with_absurd_numbers_are_of_no_interest() -> None:
    entity = f"/callcontrol/101/participants/{'9' * 5000}"
    assert parse.event(json.dumps({"event": {"event_type": 0, "entity": entity}})).type is None


class Brittle:
    """A stand-in for Call Control: opens at once, has no calls, and breaks when `over` is set."""

    close_code = 1006

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.over = asyncio.Event()

    @asynccontextmanager
    async def websocket(self) -> AsyncIterator["Brittle"]:
        self.over.clear()
        self.opened.set()
        yield self

    async def everything(self) -> parse.Snapshot:
        return parse.Snapshot([], [], {})

    def __aiter__(self) -> "Brittle":
        return self

    async def __anext__(self) -> object:
        await self.over.wait()
        raise StopAsyncIteration


@pytest.mark.parametrize("turns", range(8))
async def test_the_end_is_not_missed_when_the_connection_is_lost_at_the_same_time(
    url: str, clock: FakeClock, turns: int
) -> None:
    api = Brittle()
    async with tools(settings(url), clock) as (found, _):
        source = CallControl(found, source_settings(enabled=Enabled.AUTO), cast("CallControlApi", api))
        work = asyncio.create_task(source.run(lambda _: None))
        await asyncio.wait_for(api.opened.wait(), limit(5))
        await asyncio.sleep(0.01)
        api.over.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait({work}, timeout=2)
        ended = work.cancelled()
        work.cancel()
    assert ended


async def test_a_connection_that_never_lasts_is_opened_less_and_less_often(
    url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Brittle()
    pauses: list[float] = []

    async def rest(_tools: object, _source: str, _wake: asyncio.Event, seconds: float, _least: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr("bridge.sources.threecx.tools.Tools.rest", rest)
    async with tools(settings(url), clock) as (found, _):
        source = CallControl(found, source_settings(enabled=Enabled.AUTO), cast("CallControlApi", api))
        async with at_work(source):
            for number in range(1, 10):
                await asyncio.wait_for(api.opened.wait(), limit(5))
                api.opened.clear()
                if number == 8:
                    clock.turn(31)
                api.over.set()
                while len(pauses) < number:
                    await asyncio.sleep(0)
    assert pauses[:9] == [1, 2, 4, 8, 16, 30, 30, 1, 2]


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_a_participant_that_cannot_be_read_does_not_end_the_connection(
    pbx: SimulatedPbx, url: str, clock: FakeClock, status: int
) -> None:
    async def closed(request: web.Request) -> web.StreamResponse | None:
        refused = request.path.startswith("/callcontrol/100/participants/")
        return web.Response(status=status, headers={"Retry-After": "1"}) if refused else None

    pbx.intercept = closed
    async with following(url, clock, timing=QUICK) as reports:
        await reports.next(Calls)
        pbx.exchange.ring("0301234567", "100")
        pbx.exchange.ring("0301234568", "101")
        await statuses(reports, "101", RINGING)
        await reports.next(Calls, lambda calls: {"100", "101"} <= calls.legs.keys())
        assert len(pbx.requests_to("/callcontrol/ws")) == 1


async def test_whom_the_snapshot_says_nothing_about_is_not_covered(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    connected = {"id": "500", "callid": "900", "status": "Connected", "party_dn_type": "Wexternalline"}
    rows = [
        {"dn": "101", "type": "Wextension", "participants": [connected]},
        {"dn": "102", "type": "Wextension"},
        {"dn": "103", "type": "Wextension", "participants": [connected, {"id": "x", "status": "Connected"}]},
        {"dn": "800", "type": "Wqueue", "participants": []},
        "odd",
    ]

    async def snapshot(request: web.Request) -> web.StreamResponse | None:
        return web.json_response(rows) if request.path == "/callcontrol" else None

    pbx.intercept = snapshot
    async with following(url, clock) as reports:
        found = await reports.next(Calls)
        assert (found.covered, found.unread) == (frozenset({"101", "103"}), frozenset({"103"}))
        assert [(leg.id, leg.status) for leg in found.legs["101"]] == [("900", ON_CALL)]


async def test_a_participant_that_cannot_be_read_any_more_stays(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    connected = {"id": 500, "callid": 900, "status": "Connected", "party_dn_type": "Wexternalline"}

    async def snapshot(request: web.Request) -> web.StreamResponse | None:
        rows = [{"dn": "101", "type": "Wextension", "participants": [connected]}]
        return web.json_response(rows) if request.path == "/callcontrol" else None

    pbx.intercept = snapshot
    async with following(url, clock, timing=QUICK) as reports:
        await reports.next(Calls)
        connected["id"] = "broken"
        reports.source.refresh()
        found = await reports.next(Calls)
        assert ([leg.id for leg in found.legs["101"]], found.unread) == (["900"], frozenset({"101"}))


async def test_one_who_picks_up_is_pushed_with_what_others_in_the_call_show(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    trunk = {"party_dn": "10001", "party_caller_id": "0301234567", "party_dn_type": "Wexternalline"}
    answers = {
        "/callcontrol/101/participants/1": {"id": 1, "callid": 5, "status": "Connected", "party_dn_type": "None"},
        "/callcontrol/102/participants/2": {"id": 2, "callid": 5, "status": "Ringing"} | trunk,
    }

    async def participants(request: web.Request) -> web.StreamResponse | None:
        return web.json_response(answers[request.path]) if request.path in answers else None

    async with following(url, clock) as reports:
        await reports.next(Calls)
        pbx.intercept = participants
        for path in answers:
            pbx.stream.raw(json.dumps({"event": {"event_type": 0, "entity": path}}))
        found = await reports.next(UserCalls, lambda push: push.dn == "101" and push.legs[0].direction is not None)
        assert (found.legs[0].direction, found.legs[0].party) == ("inbound", "0301234567")
