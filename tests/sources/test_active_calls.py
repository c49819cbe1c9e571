"""The source `active_calls`: what the two display strings and the status of a call mean."""

import pytest
from aiohttp import web

from bridge.domain.model import CallStatus, Direction, Leg
from bridge.domain.updates import Calls
from bridge.errors import SourceProtocolError
from bridge.simulator import SimulatedPbx
from bridge.simulator.state import Intercept
from bridge.sources.threecx import parse
from bridge.sources.threecx.directory import Directory, Kind
from bridge.sources.threecx.readers.active_calls import ActiveCalls, _by_number
from tests.support.clock import FakeClock
from tests.support.threecx import at_work, settings, source_settings, tools

RINGING, DIALING, ON_CALL, ON_HOLD = CallStatus.RINGING, CallStatus.DIALING, CallStatus.ON_CALL, CallStatus.ON_HOLD
TRUNK = "10001 SIP-Trunk (0301234567)"


def directory() -> Directory:
    found = Directory()
    found.learn("all users", dict.fromkeys(("101", "102", "103"), Kind.USER))
    found.learn("Trunks", {"10001": Kind.TRUNK})
    found.learn("Queues", {"8003": Kind.QUEUE})
    return found


def sides(caller: str | None, callee: str | None, status: str = "Talking") -> dict[str, Leg]:
    raw = {"Id": 4711, "Caller": caller, "Callee": callee, "Status": status, "EstablishedAt": None}
    return dict(parse.active_call(raw).sides(directory()))


@pytest.mark.parametrize(
    ("status", "caller", "callee", "keeps"),
    [
        ("Initiating", DIALING, None, False),
        ("Routing", DIALING, RINGING, False),
        ("Rerouting", DIALING, RINGING, True),
        ("Talking", ON_CALL, ON_CALL, False),
        ("talking", ON_CALL, ON_CALL, False),
        ("Transferring", ON_CALL, None, True),
        ("Held", ON_HOLD, ON_HOLD, False),
        ("Unknown", None, None, True),
        ("Gargling", None, None, True),
    ],
)
def test_a_status_means_something_for_each_side(
    status: str, caller: CallStatus | None, callee: CallStatus | None, keeps: bool
) -> None:
    found = sides("101 Ada Example", "102 Bob", status)
    assert [(leg.status, leg.keeps) for leg in found.values()] == [(caller, keeps), (callee, keeps)]


def test_an_inbound_call_has_the_outside_number_of_the_trunk() -> None:
    leg = sides(TRUNK, "101 Ada Example")["101"]
    assert (leg.direction, leg.party, leg.internal, leg.name) == (Direction.INBOUND, "0301234567", False, None)


def test_an_outbound_call_too() -> None:
    leg = sides("101 Ada Example", "10001 SBC, Berlin (old) (+49 30 1234567)")["101"]
    assert (leg.direction, leg.party, leg.internal) == (Direction.OUTBOUND, "+49 30 1234567", False)


def test_an_internal_call_names_the_other_side() -> None:
    found = sides("101 Ada Example", "102 O'Brien, Bob")
    ada, bob = found["101"], found["102"]
    assert (ada.direction, ada.party, ada.name, ada.internal) == (Direction.INTERNAL, "102", "O'Brien, Bob", True)
    assert (bob.direction, bob.party, bob.name) == (Direction.INTERNAL, "101", "Ada Example")


@pytest.mark.parametrize(
    ("text", "number", "name"),
    [
        ("101 Ada Example", "101", "Ada Example"),
        ("8003 - Support", "8003", "Support"),
        ("101", "101", None),
        ("Voicemail Menu", "Voicemail", "Voicemail Menu"),
        ("MakeCall", "MakeCall", None),
    ],
)
def test_the_number_is_what_stands_before_the_first_blank(text: str, number: str, name: str | None) -> None:
    found = sides(text, "102 Bob")
    assert number in found
    assert found["102"].name == name


def test_the_caller_s_bare_number_is_an_outside_one() -> None:
    leg = sides("0301234567", "101 Ada")["101"]
    assert (leg.direction, leg.party, leg.internal) == (Direction.INBOUND, "0301234567", False)


@pytest.mark.parametrize("nobody", [None, "", " ", 7])
def test_an_empty_side_is_left_out(nobody: str | None) -> None:
    assert "101" in sides("101 Ada", nobody)


@pytest.mark.parametrize("raw", [None, [], {}, {"Id": None}, {"Id": "x"}, {"Id": True}])
def test_rows_that_are_no_call_are_refused(raw: object) -> None:
    with pytest.raises(SourceProtocolError):
        parse.active_call(raw)


def test_times_are_the_pbx_s() -> None:
    raw = {
        "Id": 1,
        "Caller": TRUNK,
        "Callee": "101 Ada",
        "Status": "Talking",
        "EstablishedAt": "2026-11-22T10:00:00Z",
        "LastChangeStatus": "2026-11-22T10:00:05.123Z",
        "ServerNow": "2026-11-22T10:01:00",
    }
    call = parse.active_call(raw)
    assert dict(call.sides(Directory()))["101"].since == FakeClock.START
    assert call.now == FakeClock.START + 60
    for nonsense in ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "now"):
        odd = parse.active_call(raw | {"EstablishedAt": nonsense})
        assert dict(odd.sides(Directory()))["101"].since in {FakeClock.START + 5, 253402351199}
    ringing = parse.active_call(raw | {"Status": "Routing", "ServerNow": "soon"})
    assert (dict(ringing.sides(Directory()))["101"].since, ringing.now) == (FakeClock.START + 5, None)


async def test_a_round_holds_all_calls_of_all_pages(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    for number in range(150):
        pbx.exchange.ring(f"030{number:07}", "101")
    pbx.exchange.answer(pbx.exchange.ring("100", "102"))
    async with tools(settings(url), clock) as (found, _):
        async with at_work(ActiveCalls(found, source_settings())) as reports:
            calls = await reports.next(Calls)
    assert len(calls.legs["101"]) == 150
    assert [leg.status for leg in calls.legs["102"]] == [ON_CALL]
    assert (calls.covered, calls.live) == (None, False)


async def test_a_caller_in_a_queue_is_no_call_of_a_user(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    pbx.change("101", queue="LoggedIn")
    pbx.exchange.ring("0301234567", "8000")
    async with tools(settings(url), clock) as (found, _):
        async with at_work(ActiveCalls(found, source_settings())) as reports:
            calls = await reports.next(Calls)
    assert not calls.legs.keys() & pbx.users.keys()


async def test_it_relaxes_and_is_back_at_once(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with tools(settings(url), clock) as (found, _):
        source = ActiveCalls(found, source_settings(2.0))
        source.relax(relaxed=True)
        async with at_work(source) as reports:
            assert (await reports.next(Calls)).good_for == 45.0
            source.relax(relaxed=False)
            assert (await reports.next(Calls)).good_for == 20.0


async def test_a_call_missed_between_two_pages_is_not_over(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    calls = [pbx.exchange.ring(f"030{number:07}", "101") for number in range(150)]

    async def ends_meanwhile(request: web.Request) -> web.StreamResponse | None:
        if request.query.get("$skip") == "100" and calls[0] in pbx.exchange.calls:
            pbx.exchange.end(calls[0])
        return None

    async with tools(settings(url), clock) as (found, _):
        async with at_work(ActiveCalls(found, source_settings())) as reports:
            await reports.next(Calls)
            pbx.intercept = ends_meanwhile
            numbers = []
            for _ in range(3):
                reports.source.refresh()
                numbers.append({leg.id for leg in (await reports.next(Calls)).legs["101"]})
    still = {str(call) for call in calls[1:]}
    assert [seen >= still for seen in numbers] == [True, True, True]
    assert numbers[2] == still


def test_a_number_on_both_sides_has_the_call_once() -> None:
    call = parse.active_call({"Id": 1, "Caller": "101 Ada", "Callee": "101 Ada", "Status": "Routing"})
    assert [leg.status for leg in _by_number([call], Directory())["101"]] == [RINGING]


RING_GROUP = [
    {"Id": "77", "Caller": TRUNK, "Callee": callee, "Status": "Routing", "EstablishedAt": None}
    for callee in ("101 Ada Example", "102 Bob")
]


def answering(*rows: object, link: str | None = None) -> Intercept:
    """An intercept: these are the active calls."""

    async def answer(request: web.Request) -> web.StreamResponse | None:
        if not request.path.endswith("/ActiveCalls"):
            return None
        return web.json_response({"value": list(rows)} | ({"@odata.nextLink": link} if link else {}))

    return answer


async def read(pbx: SimulatedPbx, url: str, clock: FakeClock, *rows: object, link: str | None = None) -> Calls:
    pbx.intercept = answering(*rows, link=link)
    async with tools(settings(url), clock) as (found, _):
        async with at_work(ActiveCalls(found, source_settings())) as reports:
            return await reports.next(Calls)


async def test_rows_of_one_id_are_one_call_of_each_side(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    calls = await read(pbx, url, clock, *RING_GROUP)
    assert [(leg.id, leg.status) for leg in calls.legs["101"]] == [("77", RINGING)]
    assert [(leg.id, leg.status) for leg in calls.legs["102"]] == [("77", RINGING)]
    calls = await read(pbx, url, clock, *({**row, "Caller": "103 Cem"} for row in RING_GROUP))
    assert [(leg.id, leg.status) for leg in calls.legs["103"]] == [("77", DIALING)]
    assert calls.unread == frozenset()


@pytest.mark.parametrize(
    ("row", "unread"),
    [
        ({"Id": None, "Caller": TRUNK, "Callee": "101 Ada"}, {"101", "10001"}),
        ({"Id": None, "Caller": TRUNK, "Callee": None}, None),
        ({"Id": {}, "Callee": "101 Ada"}, None),
        ("call", None),
    ],
)
async def test_a_row_that_cannot_be_read_may_be_a_call_of_those_it_names(
    pbx: SimulatedPbx, url: str, clock: FakeClock, row: object, unread: set[str] | None
) -> None:
    calls = await read(pbx, url, clock, row, *RING_GROUP)
    assert calls.legs.keys() >= {"101", "102"}
    assert calls.unread == unread


async def test_calls_that_the_pbx_keeps_back_may_be_anybody_s(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    assert (await read(pbx, url, clock, link="/xapi/v1/ActiveCalls?$skip=0")).unread is None


async def test_numbers_that_become_known_have_the_calls_read_again(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    pbx.may_read_numbers = False  # so that brackets show a trunk
    pbx.intercept = answering({"Id": 1, "Caller": "103 Cem Example (Sales)", "Callee": "101 Ada", "Status": "Talking"})
    async with tools(settings(url), clock) as (found, _):
        async with at_work(ActiveCalls(found, source_settings())) as reports:
            (leg,) = (await reports.next(Calls)).legs["101"]
            assert (leg.direction, leg.internal) == (Direction.INBOUND, False)
            found.directory.learn("all users", dict.fromkeys(("101", "103"), Kind.USER))
            (leg,) = (await reports.next(Calls)).legs["101"]
            assert (leg.direction, leg.party) == (Direction.INTERNAL, "103")


async def test_where_no_source_lists_the_users_their_numbers_are_read(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with tools(settings(url), clock) as (found, _):
        async with at_work(ActiveCalls(found, source_settings())) as reports:
            await reports.next(Calls)
            assert not found.directory.loaded
            clock.turn(found.timing.extras_retry)
            reports.source.refresh()
            await reports.next(Calls)
    assert all(found.directory.kind(dn) is Kind.USER for dn in pbx.users)
    (asked,) = pbx.requests_to("/Users")
    assert asked.query["$select"] == "Number"


async def test_the_pbx_s_numbers_are_read_once(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    lists = {"Trunks": Kind.TRUNK, "Queues": Kind.QUEUE, "RingGroups": Kind.GROUP}

    async def numbers(request: web.Request) -> web.StreamResponse | None:
        name = request.path.rpartition("/")[2]
        if name not in lists:
            return None
        return web.json_response({"value": [{"Number": f"{name}1"}, {"Number": None}]})

    pbx.intercept = numbers
    async with tools(settings(url), clock) as (found, _):
        async with at_work(ActiveCalls(found, source_settings())) as reports:
            for _ in range(3):
                await reports.next(Calls)
                reports.source.refresh()
        for name, kind in lists.items():
            assert found.directory.kind(f"{name}1") is kind
            assert [each.query["$select"] for each in pbx.requests_to(f"/{name}")] == ["Number"]
