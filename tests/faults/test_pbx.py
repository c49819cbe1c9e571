"""The network between the bridge and the PBX fails, or what answers is no answer; afterwards all is as it should be.

After each fault: every user's state is correct within a bound, no change is lost, no call event is made up, the log has
said once what was wrong, and nothing is left running. What other tests show already:

- a wrong key, missing rights, a bad filter, an unknown build, TLS: tests/integration/test_pbx.py
- every answer's class of error, one by one: tests/sources/client/test_auth.py
- an outage with everything on, by HTTP 502: tests/integration/test_presence.py
"""

import asyncio
import gzip
import logging
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from bridge.domain.clock import Clock
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.client.http import MAX_BODY
from tests.faults.calls import Office, call_events
from tests.faults.conftest import Configure, NameServer, Note
from tests.support.faults import (
    BLACK_HOLE,
    SILENCE,
    TRICKLE,
    Fault,
    Link,
    Log,
    answering,
    cut,
    expected_states,
    living,
    published,
    quicker,
    reset,
    until,
    until_correct,
)
from tests.support.subscriber import Subscriber

RECOVERY_LIMIT = 5.0
"""Seconds: a request that hangs (1 s), the probe that finds the PBX back (0.5 s), a round (0.1 s); a busy machine."""

MEMORY = 32 * 2**20
"""Bytes that an answer without an end may cost: what is read of it, twice, and room to grow."""

NOTICED = 20.0
"""Seconds that the bridge may take to complain for the second time."""


async def settled(subscriber: Subscriber, pbx: SimulatedPbx) -> None:
    await until_correct(subscriber, pbx, 10)
    await subscriber.until(lambda: "20.0.10" in subscriber.latest["3cx/bridge/info"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(None, "connection refused", id="refused"),
        pytest.param(reset(), "onnection reset by peer", id="reset before the answer"),
        pytest.param(reset(300), "cannot reach", id="reset within the answer"),
        pytest.param(cut(), "closed without an answer", id="closed before the answer"),
        pytest.param(cut(300), "cannot reach", id="closed within the answer"),
        pytest.param(BLACK_HOLE, "no answer from", id="black hole"),
        pytest.param(SILENCE, "no answer from", id="silence"),
        pytest.param(TRICKLE, "no answer from", id="a byte a second"),
    ],
)
async def test_after_a_network_failure_states_are_right_and_no_event_is_invented(
    pbx: SimulatedPbx,
    link: Link,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
    fault: Fault | None,
    words: str,
) -> None:
    office = Office(pbx)
    async with living(configure()):
        await settled(subscriber, pbx)
        before = expected_states(pbx)
        link.refuse() if fault is None else link.strike(fault)
        office.changes_unseen()
        await until(lambda: len(log.levels(words)) >= 3, NOTICED, lambda: log.records)
        assert published(subscriber, pbx) == before
        await link.heal()
        note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
        await office.has_expected_events(subscriber)
        await until(lambda: logging.INFO in log.levels("reading again"))
        await office.has_later_events(subscriber)
        note("warnings", dict(log.warnings()))
    log.is_logged_once(words)
    assert sum(log.warnings().values()) <= 2, log.warnings()


NOWHERE = {"Location": "http://[no-address/"}


def html(status: int) -> Callable[[], web.Response]:
    return lambda: web.Response(status=status, text="<html>nginx</html>", content_type="text/html")


def raw(body: bytes, content_type: str = "application/json", **headers: str) -> Callable[[], web.Response]:
    return lambda: web.Response(body=body, content_type=content_type, headers=headers)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(html(502), "HTTP 502", id="502"),
        pytest.param(html(503), "HTTP 503", id="503"),
        pytest.param(html(504), "HTTP 504", id="504"),
        pytest.param(html(200), "the answer is a web page", id="a web page"),
        pytest.param(raw(b'{"value":[]}', "text/plain"), "the answer is a web page", id="wrong content type"),
        pytest.param(lambda: web.Response(status=302, headers=NOWHERE), "an invalid address", id="to nowhere"),
        pytest.param(raw(b""), "is not JSON", id="nothing"),
        pytest.param(raw(b'{"value":[{"Number":"100"'), "is not JSON", id="half of it"),
        pytest.param(raw(b'{"value":[{"Number":"\xff\xfe"}]}'), "is not JSON", id="invalid UTF-8"),
        pytest.param(
            raw(b"\x1f\x8b broken", **{"Content-Encoding": "gzip"}), "cannot be decompressed", id="broken gzip"
        ),
        pytest.param(raw(b"[" * 200_000), "is not JSON", id="nested beyond measure"),
    ],
)
async def test_malformed_answers_change_nothing_and_are_logged_once(
    pbx: SimulatedPbx,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
    answer: Callable[[], web.Response],
    words: str,
) -> None:
    office = Office(pbx)
    async with living(configure()):
        await settled(subscriber, pbx)
        before = expected_states(pbx)
        office.changes_unseen()
        pbx.intercept = answering(answer, "/Users", "/ActiveCalls")
        await until(lambda: len(log.levels(words)) >= 3, NOTICED, lambda: log.records)
        assert published(subscriber, pbx) == before
        assert subscriber.latest["3cx/bridge/pbx"] == "online"
        pbx.intercept = None
        note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
        await office.has_expected_events(subscriber)
        await office.has_later_events(subscriber)
        note("warnings", dict(log.warnings()))
    assert sum(log.warnings().values()) <= 2, log.warnings()
    assert all(times == 1 for times in log.warnings().values()), log.warnings()
    assert log.levels("reading again")


async def test_alternating_failures_are_logged_once_each(
    pbx: SimulatedPbx, link: Link, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    """A connection that breaks in different places is one failure, logged once."""
    async with living(configure()):
        await settled(subscriber, pbx)
        for number in range(8):
            told_already = len(log.levels("cannot reach"))
            link.strike(cut(310 + 10 * number))
            await until(lambda seen=told_already: len(log.levels("cannot reach")) > seen, NOTICED)  # type: ignore[misc]
        await link.heal()
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
    assert sum(log.warnings().values()) <= 3, log.warnings()


async def test_an_empty_list_of_users_is_taken_for_a_fault(
    pbx: SimulatedPbx, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    """A PBX that is starting may report no users yet."""
    async with living(configure()):
        await settled(subscriber, pbx)
        pbx.intercept = answering(raw(b'{"value":[]}'), "/Users")
        await until(lambda: len(log.levels("Users came back empty")) >= 2, NOTICED)
        pbx.intercept = None
        pbx.change("100", profile="Away")
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
    assert [set(subscriber.payloads(f"3cx/users/{dn}/state")) for dn in pbx.users] == [
        {"available", "away"},
        {"available"},
        {"available"},
        {"available"},
    ]
    log.is_logged_once("Users came back empty")


async def test_lists_that_were_closed_or_missing_for_a_while_are_read_again_soon(
    pbx: SimulatedPbx,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
) -> None:
    """What starts up answers so, too; where nothing changes, it is asked less and less often."""
    async with living(configure(), timing=quicker(first_recheck=0.3)):
        await settled(subscriber, pbx)
        for status in (401, 403, 404):
            pbx.intercept = answering(html(status), "/Users", "/ActiveCalls")
            asked = len(pbx.requests_to("/Users"))
            await until(lambda seen=asked: len(pbx.requests_to("/Users")) >= seen + 2)  # type: ignore[misc]
            pbx.intercept = None
            pbx.change("100", profile="Away" if status == 403 else "Out of office")
            note(f"right_after_{status}", await until_correct(subscriber, pbx, RECOVERY_LIMIT))


async def test_too_many_requests_are_not_made_worse(
    pbx: SimulatedPbx,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
) -> None:
    wish = 3.0
    office = Office(pbx)
    async with living(configure()):
        await settled(subscriber, pbx)
        pbx.intercept = answering(lambda: web.Response(status=429, headers={"Retry-After": f"{wish:.0f}"}))
        await until(lambda: len(log.levels("fewer requests")) >= 2)
        asked, began = len(pbx.requests), time.monotonic()
        office.changes_unseen()
        await until(lambda: time.monotonic() - began > wish - 0.5)
        assert len(pbx.requests) - asked <= 2, list(pbx.requests)[asked:]  # sources that had not received it by then
        assert subscriber.latest["3cx/bridge/pbx"] == "online"
        pbx.intercept = None
        note("recovered_after", await until_correct(subscriber, pbx, wish + RECOVERY_LIMIT))
        await office.has_expected_events(subscriber)
    log.is_logged_once("fewer requests")


async def test_a_token_refused_between_two_pages_needs_one_login_and_loses_no_user(
    configure: Configure, link: Link, pbx: SimulatedPbx, subscriber: Subscriber, log: Log
) -> None:
    for number in range(200, 350):
        pbx.add_user(str(number), f"User {number}")
    granted_before = refused = 0

    async def void(request: web.Request) -> web.StreamResponse | None:
        nonlocal refused, granted_before
        if request.query.get("$skip") == "100" and not refused:
            refused, granted_before = 1, pbx.tokens.granted
            pbx.tokens.drop()
        return None

    async with living(configure(users="forget_after: 0s")):
        await settled(subscriber, pbx)
        pbx.intercept = void
        pbx.change("349", profile="Away")
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        await until(lambda: refused == 1)
        rounds = len(pbx.requests_to("/Users"))
        await until(lambda: len(pbx.requests_to("/Users")) >= rounds + 4)
        assert pbx.tokens.granted == granted_before + 1
    assert len([payload for payload in subscriber.payloads("3cx/users/349/state") if payload]) == 2
    assert not log.warnings()


@pytest.mark.parametrize("answer", [html(503), None], ids=["503", "no answer"])
async def test_a_token_that_ends_while_none_can_be_had_is_replaced_once_one_can(
    pbx: SimulatedPbx,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
    answer: Callable[[], web.Response] | None,
) -> None:
    pbx.tokens.lifetime, pbx.tokens.clock = 2, time.time
    forever = asyncio.Event()

    async def down(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/connect/token":
            return None
        if answer is None:
            await forever.wait()
            return None
        return answer()

    office = Office(pbx)
    async with living(configure()):
        await settled(subscriber, pbx)
        before = expected_states(pbx)
        pbx.intercept = down
        words = "down or starting" if answer else "no answer from"
        await until(lambda: len(log.levels(words)) >= 1, NOTICED)
        logins, began = len(pbx.requests_to("/connect/token")), time.monotonic()
        office.changes_unseen()
        await until(lambda: len(log.levels(words)) >= 4 and time.monotonic() - began > 2, NOTICED)
        assert published(subscriber, pbx) == before
        assert len(pbx.requests_to("/connect/token")) - logins <= 10 + 5 * (time.monotonic() - began)
        pbx.intercept = None
        forever.set()
        note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
        await office.has_expected_events(subscriber)
    log.is_logged_once(words)
    assert pbx.tokens.refused == 0


async def test_an_answer_without_an_end_is_read_no_further_than_8_mib(
    pbx: SimulatedPbx, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    piece = b" " * 2**18
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse | None:
        nonlocal sent
        if not request.path.endswith("/Users"):
            return None
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        sent = 0
        with suppress(ConnectionError):
            while True:
                await response.write(piece)
                sent += len(piece)
        return response

    async with living(configure(active_calls="enabled: false")):
        await settled(subscriber, pbx)
        tracemalloc.start()
        try:
            pbx.intercept = endless
            await until(lambda: len(log.levels("over 8 MiB")) >= 2, NOTICED)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < MEMORY
        await until(lambda: sent >= MAX_BODY)
        assert sent < 4 * MAX_BODY
        pbx.intercept = None
        pbx.change("100", profile="Away")
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
    log.is_logged_once("over 8 MiB")


async def test_a_small_answer_that_unpacks_to_a_huge_one_does_not_fill_the_memory(
    pbx: SimulatedPbx, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    packed = gzip.compress(b" " * 2**26)
    bomb = {"Content-Encoding": "gzip"}
    async with living(configure(active_calls="enabled: false")):
        await settled(subscriber, pbx)
        tracemalloc.start()
        try:
            pbx.intercept = answering(raw(packed, **bomb), "/Users")
            await until(lambda: len(log.levels("over 8 MiB")) >= 2, NOTICED)
            assert tracemalloc.get_traced_memory()[1] < MEMORY
        finally:
            tracemalloc.stop()
        pbx.intercept = None
        pbx.change("100", profile="Away")
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
    log.is_logged_once("over 8 MiB")


@asynccontextmanager
async def elsewhere(seen: list[str]) -> AsyncIterator[str]:
    """Another server, which answers everything and notes it."""

    async def note(request: web.Request) -> web.Response:
        seen.append(f"{request.method} {request.path} {request.headers.get('Authorization')}")
        return web.json_response({"value": [], "access_token": "stolen"})

    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", note)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "path"),
    [(307, "/connect/token"), (302, "/Users"), (301, "/callcontrol/ws"), (303, "/callcontrol/ws")],
)
async def test_redirects_to_another_server_are_not_followed(
    pbx: SimulatedPbx, configure: Configure, subscriber: Subscriber, log: Log, status: int, path: str
) -> None:
    seen: list[str] = []
    async with elsewhere(seen) as other:
        to = {"Location": f"{other}{path}"}
        pbx.intercept = answering(lambda: web.Response(status=status, headers=to), path)
        async with living(configure(call_control="", active_calls="enabled: false")):
            await until(lambda: len(log.levels("redirects to 127.0.0.1")) >= 2, NOTICED, lambda: log.records)
            pbx.intercept = None
            await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        assert not seen
    log.is_logged_once("redirects to 127.0.0.1")


async def test_a_name_that_cannot_be_resolved_is_tried_again_until_it_can(
    pbx: SimulatedPbx,
    link: Link,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    names: NameServer,
    note: Note,
) -> None:
    names.fails = True
    office = Office(pbx)
    async with living(configure(url=f"http://{names.HOST}:{link.port}")):
        await until(lambda: len(log.levels("cannot be resolved")) >= 3, NOTICED)
        office.changes_unseen()
        names.fails = False
        note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
        names.fails = True
        link.drop()
        pbx.change("100", profile="Out of office")
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)  # the address is remembered for a while
        names.fails = False
    log.is_logged_once("cannot be resolved")
    assert [call_events(subscriber, dn) for dn in pbx.users] == [[], [], [], []]


class TurnedClock:
    """The clocks of the machine, which the test sets."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.monotonic = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: time.monotonic() + self.monotonic, lambda: time.time() + self.wall)


@pytest.mark.parametrize(
    ("wall", "monotonic"),
    [
        pytest.param(3600.0, 0.0, id="an hour forward"),
        pytest.param(-3600.0, 0.0, id="an hour back"),
        pytest.param(3600.0, 3600.0, id="asleep for an hour"),
    ],
)
async def test_a_clock_that_jumps_changes_no_state_and_makes_up_no_call(
    pbx: SimulatedPbx,
    link: Link,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
    wall: float,
    monotonic: float,
) -> None:
    hands = TurnedClock()
    office = Office(pbx)
    async with living(configure(call_control=""), clock=hands.clock):
        await settled(subscriber, pbx)
        since = {dn: subscriber.json(f"3cx/users/{dn}")["since"] for dn in pbx.users}
        if monotonic:  # what was known is too old before anything new is received
            link.strike(SILENCE)
            hands.wall, hands.monotonic = wall, monotonic
            await subscriber.until(lambda: set(published(subscriber, pbx).values()) == {"unknown"})
            await link.heal()
        hands.wall = wall
        rounds = len(pbx.requests_to("/Users"))
        await until(lambda: len(pbx.requests_to("/Users")) >= rounds + 3)
        note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
        assert {dn: subscriber.json(f"3cx/users/{dn}")["since"] for dn in pbx.users} == since
        assert [call_events(subscriber, dn) for dn in pbx.users] == [[], [], [], []]
        office.changes_unseen()
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        await until(lambda: call_events(subscriber, "101") == ["ended"])
        assert "ringing" not in call_events(subscriber, "101") + call_events(subscriber, "102")
    seen = {state for dn in pbx.users for state in subscriber.payloads(f"3cx/users/{dn}/state")}
    assert monotonic or "unknown" not in seen
    assert not [message for message in log.warnings() if "has not answered" not in message]


async def test_after_an_upgrade_that_removes_a_function_the_others_are_used(
    pbx: SimulatedPbx,
    link: Link,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
) -> None:
    pbx.version = "20.0.8.1109"
    office = Office(pbx)
    async with living(configure(source="interval: 500ms", call_control=""), timing=quicker(probe_interval=2.0)):
        await until_correct(subscriber, pbx, 10)
        await subscriber.until(lambda: subscriber.json("3cx/bridge/info")["sources"]["monitor_status"]["in_use"])
        link.refuse()
        pbx.tokens.drop()
        pbx.version = "20.0.10.51"
        office.changes_unseen()
        await until(lambda: len(log.levels("connection refused")) >= 2)
        await link.heal()
        note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
        await subscriber.until(lambda: not subscriber.json("3cx/bridge/info")["sources"]["monitor_status"]["in_use"])
        await subscriber.until(lambda: subscriber.json("3cx/bridge/info")["pbx_version"] == "20.0.10.51")
        await office.has_expected_events(subscriber)
        asked = len(pbx.requests_to("GetMonitorStatus()"))
        await office.has_later_events(subscriber)
        assert len(pbx.requests_to("GetMonitorStatus()")) <= asked + 1
    assert log.levels("has no GetMonitorStatus()").count(logging.INFO) == 1
    log.is_logged_once("connection refused")
