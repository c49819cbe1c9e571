"""What is read of queues and of the system status, and what is never."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.queues import Queue
from bridge.domain.system import System
from bridge.domain.updates import Calls, Queues, SystemSeen, UserCalls
from bridge.errors import SourceProtocolError
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.call_control import CallControlApi
from bridge.sources.threecx.readers.call_control import CallControl
from bridge.sources.threecx.readers.queues import Queues as QueuesSource
from bridge.sources.threecx.readers.system import System as SystemSource
from tests.support.clock import FakeClock
from tests.support.threecx import at_work, settings, source_settings, tools

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("row", "queue"),
    [
        (
            {"Number": "800", "Name": "Support", "Agents": [{"Number": "101"}, {"Number": "102", "Name": "Ben"}]},
            Queue("800", "Support", frozenset({"101", "102"})),
        ),
        ({"Number": "800", "Name": "", "Agents": []}, Queue("800", None, frozenset())),
        ({"Number": "800", "Agents": None}, Queue("800", None, None)),
        ({"Number": "800", "Agents": [{"Number": "101"}, {"Name": "Ben"}]}, Queue("800", None, None)),
        ({"Number": "800", "Name": 7, "Agents": "all"}, Queue("800", None, None)),
    ],
)
def test_agents_are_known_where_all_of_them_can_be_read(row: object, queue: Queue) -> None:
    assert parse.queue(row) == queue


@pytest.mark.parametrize("row", [None, [], {}, {"Number": None}, {"Name": "Support"}])
def test_a_queue_without_a_number_is_none(row: object) -> None:
    with pytest.raises(SourceProtocolError):
        parse.queue(row)


def test_of_the_system_status_counts_a_date_and_the_version_are_read() -> None:
    status = {
        "CallsActive": 3,
        "MaxSimCalls": 16,
        "TrunksRegistered": 1,
        "TrunksTotal": 2,
        "ExtensionsRegistered": 7,
        "ExtensionsTotal": 9,
        "ExpirationDate": "2030-01-01T00:00:00.1234567Z",
        "Version": "20.0.8.1109",
    }
    assert parse.system(json.dumps(status).encode()) == System(3, 16, 1, 2, 7, 9, "2030-01-01T00:00:00Z", "20.0.8.1109")


@given(st.dictionaries(st.sampled_from([*parse.SYSTEM_FIELDS, "LicenseKey", "Ip"]), JSON))
def test_whatever_the_pbx_sends_no_text_gets_through_but_a_version_and_a_date(raw: dict[str, object]) -> None:
    secret = {key: "KEY-1234 of pbx.example.com" if isinstance(value, str) else value for key, value in raw.items()}
    try:
        found = parse.system(json.dumps(secret, allow_nan=True).encode())
    except SourceProtocolError:
        return
    counts = (found.calls, found.max_calls, found.trunks, found.trunks_online, found.extensions_online)
    assert all(each is None or (type(each) is int and each >= 0) for each in counts)
    assert (found.version, found.licence_expires) == (None, None)


async def test_only_what_is_needed_is_requested(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with tools(settings(url), clock) as (found, _):
        async with at_work(QueuesSource(found, source_settings())) as reports:
            assert (await reports.next(Queues)).queues["8000"].agents == frozenset(pbx.users)
        pbx.numbers.trunks_down.add("10001")
        async with at_work(SystemSource(found, source_settings())) as reports:
            status = (await reports.next(SystemSeen)).system
    assert (status.trunks, status.trunks_online, status.licence_expires) == (1, 0, "2030-01-01T00:00:00Z")
    queues, system = (pbx.requests_to(path)[0].query for path in ("/xapi/v1/Queues", "/xapi/v1/SystemStatus"))
    assert (queues["$select"], queues["$expand"]) == ("Number,Name", "Agents")
    assert set(system["$select"].split(",")) == set(parse.SYSTEM_FIELDS)


async def test_callers_of_a_queue_that_call_control_lists_are_pushed(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    pbx.lists_services = True
    async with tools(settings(url), clock) as (found, client):
        api = CallControlApi(client, found.timing.heartbeat, found.shapes)
        async with at_work(CallControl(found, source_settings(), api)) as reports:
            everything = await reports.next(Calls)
            assert everything.queues == frozenset({"8000"})
            assert everything.covered == frozenset(pbx.users)
            call = pbx.exchange.ring("0301234567", "8000")
            pushed = await reports.next(UserCalls)
            assert (pushed.dn, [leg.party for leg in pushed.legs]) == ("8000", ["0301234567"])
            pbx.exchange.end(call)
            assert (await reports.next(UserCalls)).legs == ()
