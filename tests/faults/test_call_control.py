"""The websocket of Call Control breaks in every way that a websocket can; no call is made up, none is missed.

How events and answers that cross each other are put in order is shown in tests/sources/test_call_control.py.
"""

import asyncio
import json
import logging
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from aiohttp import web

from bridge.domain.model import CallStatus, State
from bridge.simulator import SimulatedPbx
from bridge.simulator.state import Intercept
from bridge.sources.threecx.client.http import MAX_BODY
from tests.faults.calls import call_events
from tests.faults.conftest import Configure, Note
from tests.support.clock import FakeClock
from tests.support.faults import SILENCE, Link, Log, expected_states, living, published, quicker, until, until_correct
from tests.support.limits import limit
from tests.support.subscriber import Subscriber
from tests.support.world import ACTIVE_CALLS, CALL_CONTROL, USERS, World, leg, user

RECOVERY_LIMIT = 5.0
"""Seconds: the loss is noticed (1.5 heartbeats at most), the socket is opened again (0.2 s, 0.4 s); a busy machine."""

MEMORY = 32 * 2**20
"""Bytes that one message may cost, whatever its length."""


HEART = quicker(heartbeat=0.5)
"""A ping of the websocket every half second, not every 10 s."""


class Agents:
    """100 has put a call on hold; 101's phone rings because of a queue; 102 talks; 103 is called by 102's colleague."""

    def __init__(self, pbx: SimulatedPbx) -> None:
        self._pbx = pbx
        pbx.change("101", queue="LoggedIn")
        self.held = pbx.exchange.ring("0301234561", "100")
        pbx.exchange.answer(self.held)
        pbx.exchange.hold(self.held, "100")
        self.queued = pbx.exchange.ring("0301234562", "8000")
        self.talk = pbx.exchange.ring("102", "0301234563")
        pbx.exchange.answer(self.talk)

    async def have_later_events(self, subscriber: Subscriber) -> None:
        """No event was published since it began; from here on each is, once."""
        assert {dn: call_events(subscriber, dn) for dn in ("100", "101", "102", "103")} == {
            dn: [] for dn in ("100", "101", "102", "103")
        }
        exchange = self._pbx.exchange
        exchange.hold(self.held, "100", held=False)
        exchange.answer(self.queued, "101")
        exchange.end(self.talk)
        expected = {"100": ["resumed"], "101": ["answered"], "102": ["ended"], "103": []}
        await until(
            lambda: {dn: call_events(subscriber, dn) for dn in expected} == expected,
            10,
            lambda: {dn: call_events(subscriber, dn) for dn in expected},
        )


async def covered(subscriber: Subscriber, pbx: SimulatedPbx) -> None:
    """Calls are pushed, and every user's state is correct."""
    await subscriber.until(lambda: "3cx/bridge/info" in subscriber.latest)
    await subscriber.until(lambda: subscriber.json("3cx/bridge/info")["sources"]["call_control"]["in_use"])
    await until(lambda: len(pbx.stream) == 1)
    await until_correct(subscriber, pbx, 10)


@pytest.mark.parametrize("code", [1000, 1001, None, 1008, 1011, 1012, 4401])
async def test_a_closed_websocket_is_opened_again_and_no_call_is_invented(
    pbx: SimulatedPbx,
    link: Link,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
    code: int | None,
) -> None:
    """`code` None: no close at all, the connection is reset (1006)."""
    agents = Agents(pbx)
    async with living(configure(call_control=""), timing=HEART):
        await covered(subscriber, pbx)
        states = len(subscriber.log)
        if code is None:
            link.drop()
        else:
            if code == 4401:
                pbx.tokens.drop()
            await pbx.stream.drop(code)
        await until(lambda: bool(log.levels("the connection was lost")))
        note("reopened_after", await until(lambda: len(pbx.stream) == 1, RECOVERY_LIMIT))
        rounds = len(pbx.requests_to("/Users"))
        await until(lambda: len(pbx.requests_to("/Users")) >= rounds + 2)
        assert published(subscriber, pbx) == expected_states(pbx)
        assert not [topic for topic, _, _ in subscriber.log[states:] if topic.endswith("/state")]
        await agents.have_later_events(subscriber)
    assert log.levels(f"the connection was lost (code {code or 1006})") == [logging.WARNING]
    assert sum(log.warnings().values()) == 1, log.warnings()
    assert log.levels("call_control: reading again") == [logging.INFO]


async def test_a_websocket_without_pongs_is_given_up_and_opened_again(
    pbx: SimulatedPbx,
    link: Link,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
) -> None:
    agents = Agents(pbx)
    async with living(configure(call_control=""), timing=HEART):
        await covered(subscriber, pbx)
        link.strike_open(SILENCE)
        note("noticed_after", await until(lambda: bool(log.levels("the connection was lost")), RECOVERY_LIMIT))
        sockets = len(pbx.requests_to("/callcontrol/ws"))
        await until(lambda: len(pbx.requests_to("/callcontrol/ws")) > sockets, RECOVERY_LIMIT)
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        await agents.have_later_events(subscriber)
    assert len(log.warnings()) <= 2, log.warnings()  # the socket, and requests over connections that ended with it


async def test_without_the_websocket_polling_sees_calls_and_events_are_published_once(
    pbx: SimulatedPbx,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
) -> None:
    async def no_socket(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=503) if request.path == "/callcontrol/ws" else None

    call = pbx.exchange.ring("0301234561", "101")
    pbx.exchange.answer(call)
    async with living(configure(call_control=""), timing=HEART):
        await covered(subscriber, pbx)
        pbx.intercept = no_socket
        await pbx.stream.drop()
        other = pbx.exchange.ring("0301234562", "102")
        pbx.exchange.end(call)
        note("polled_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
        pbx.exchange.answer(other)
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        await until(lambda: len(log.levels("instead of opening a websocket")) >= 2, 20)
        pbx.intercept = None
        await until(lambda: len(pbx.stream) == 1, 20)
        pbx.exchange.end(other)
        await until(lambda: call_events(subscriber, "102") == ["ringing", "answered", "ended"], RECOVERY_LIMIT)
        assert call_events(subscriber, "101") == ["ended"]
    log.is_logged_once("HTTP 503 instead of opening a websocket")


async def test_an_event_while_everything_is_read_again_ends_no_call(
    pbx: SimulatedPbx, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    """The websocket is back and reports a call that the bridge does not know; the answer to its request comes last."""
    asked, everything, participant = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse | None:
        if "/participants/" in request.path:
            await participant.wait()
        if request.path != "/callcontrol" or asked.is_set():
            return None
        rows = [{"dn": dn, "type": "Wextension", "participants": pbx.exchange.participants(dn)} for dn in pbx.users]
        asked.set()
        await everything.wait()
        return web.json_response(rows)

    call = pbx.exchange.ring("0301234561", "100")
    pbx.exchange.answer(call)
    async with living(configure(call_control=""), timing=HEART):
        await covered(subscriber, pbx)
        pbx.intercept = late
        await pbx.stream.drop()
        await asyncio.wait_for(asked.wait(), limit(10))
        await until(lambda: len(pbx.stream) == 1)
        fetched = len(pbx.requests)
        pbx.exchange.hold(call, "100")
        await until(lambda: any("/participants/" in request.path for request in list(pbx.requests)[fetched:]))
        everything.set()
        await until(lambda: bool(log.levels("call_control: reading again")))
        participant.set()
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        await until(lambda: call_events(subscriber, "100") == ["held"])


def test_facts_that_polling_cannot_see_are_kept_for_20_seconds_after_a_loss(clock: FakeClock) -> None:
    """ActiveCalls knows neither held calls nor phones that ring because of a queue."""
    world = World(clock, sources=(USERS, ACTIVE_CALLS, CALL_CONTROL))
    world.users(user("100"), user("101"), user("102"))
    queued = leg(CallStatus.RINGING, "2", via="8000")
    world.snapshot(
        {"100", "101", "102"},
        {"100": (leg(CallStatus.ON_HOLD, "1"),), "101": (queued,), "102": (leg(CallStatus.RINGING, "3"),)},
    )
    world.lost()
    polled = {"100": (leg(CallStatus.ON_CALL, "1", hold_unseen=True),)}
    for _ in range(6):
        world.wait(3)
        world.users(user("100"), user("101"), user("102"))
        world.polled(polled)
        states = [world.user(dn).state for dn in ("100", "101", "102")]
        assert states == [State.ON_HOLD, State.RINGING, State.AVAILABLE]
    world.wait(3)
    assert [world.user(dn).state for dn in ("100", "101", "102")] == [State.ON_CALL, State.AVAILABLE, State.AVAILABLE]
    published = [topic for topic, _ in world.wire.events]
    assert "3cx/users/100/call" not in published  # the bridge cannot know that the call was resumed


def test_a_phone_that_rang_because_of_a_queue_and_was_answered_is_followed_by_polling(clock: FakeClock) -> None:
    """Whatever number ActiveCalls gives the call."""
    for number in ("2", "5002"):
        world = World(clock, sources=(USERS, ACTIVE_CALLS, CALL_CONTROL))
        world.users(user("101"))
        world.snapshot({"101"}, {"101": (leg(CallStatus.RINGING, "2", via="8000", party="0301234562"),)})
        world.lost()
        world.wait(1)
        world.polled({"101": (leg(CallStatus.ON_CALL, number, party="0301234562"),)})
        assert [json.loads(payload)["event_type"] for _, payload in world.wire.events] == ["answered"]
        world.wait(1)
        world.polled()
        assert [json.loads(payload)["event_type"] for _, payload in world.wire.events] == ["answered", "ended"]


async def no_answer(request: web.Request) -> None:
    await asyncio.Event().wait()


async def half_an_answer(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs")
    request.transport.close()


async def another_key(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
    )
    request.transport.close()


Upgrade = Callable[[web.Request], Awaitable[None]]


@pytest.mark.parametrize("upgrade", [no_answer, half_an_answer, another_key])
async def test_a_socket_that_does_not_open_leaves_calls_to_polling(
    pbx: SimulatedPbx, configure: Configure, subscriber: Subscriber, log: Log, upgrade: Upgrade
) -> None:
    async def spoil(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/callcontrol/ws":
            await upgrade(request)
        return None if request.path != "/callcontrol/ws" else web.Response()

    async with living(configure(call_control=""), timing=HEART):
        await covered(subscriber, pbx)
        pbx.intercept = spoil
        await pbx.stream.drop()
        await until(lambda: len(pbx.requests_to("/callcontrol/ws")) >= 2, 20)
        pbx.exchange.ring("0301234561", "100")
        await until(lambda: call_events(subscriber, "100") == ["ringing"], 20)
        await until(lambda: len(pbx.requests_to("/callcontrol/ws")) >= 3, 20)
        pbx.intercept = None
        await until(lambda: len(pbx.stream) == 1, 20)
        await until_correct(subscriber, pbx, RECOVERY_LIMIT)
        assert call_events(subscriber, "100") == ["ringing"]
    assert all(times == 1 for times in log.warnings().values()), log.warnings()
    assert sum(log.warnings().values()) == 2, log.warnings()


def spoiling(frames: Callable[[], AsyncIterator[bytes]], over: asyncio.Event) -> Intercept:
    """The next socket gets these bytes after the upgrade; `over` is set once they are out or it is closed."""

    async def spoil(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/callcontrol/ws" or over.is_set():
            return None
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert socket._writer is not None
        with suppress(ConnectionError):
            async for frame in frames():
                socket._writer.transport.write(frame)
                await socket._writer.protocol._drain_helper()
        over.set()
        async for _ in socket:
            pass
        return socket

    return spoil


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\x81\x02\xff\xfe", id="text that is no UTF-8"),
        pytest.param(b"\x8f\x00", id="an opcode that is none"),
        pytest.param(b"\x81\x7f" + (2**40).to_bytes(8, "big") + b"x" * 1000, id="a terabyte announced"),
        pytest.param(b"\x80\x01x", id="a continuation of nothing"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another protocol"),
    ],
)
async def test_frames_that_break_the_protocol_cost_the_connection_and_nothing_else(
    pbx: SimulatedPbx, configure: Configure, subscriber: Subscriber, log: Log, frame: bytes
) -> None:
    over = asyncio.Event()

    async def frames() -> AsyncIterator[bytes]:
        yield frame

    agents = Agents(pbx)
    async with living(configure(call_control=""), timing=HEART):
        await covered(subscriber, pbx)
        pbx.intercept = spoiling(frames, over)
        await pbx.stream.drop()
        await asyncio.wait_for(over.wait(), limit(10))
        await until(lambda: len(pbx.requests_to("/callcontrol/ws")) == 3, RECOVERY_LIMIT)
        await covered(subscriber, pbx)
        await agents.have_later_events(subscriber)
    assert all(times == 1 for times in log.warnings().values()), log.warnings()
    assert sum(log.warnings().values()) == 2, log.warnings()


async def test_a_message_without_an_end_is_taken_in_no_further_than_8_mib(
    pbx: SimulatedPbx, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    over, sent = asyncio.Event(), 0
    piece = b"\x7f" + (2**18).to_bytes(8, "big") + b"x" * 2**18

    async def frames() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b"\x01" + piece
        while sent < 2**28:
            yield b"\x00" + piece
            sent += len(piece)

    async with living(configure(call_control=""), timing=HEART):
        await covered(subscriber, pbx)
        pbx.intercept = spoiling(frames, over)
        tracemalloc.start()
        try:
            await pbx.stream.drop()
            await asyncio.wait_for(over.wait(), limit(20))
            assert tracemalloc.get_traced_memory()[1] < MEMORY
        finally:
            tracemalloc.stop()
        assert MAX_BODY <= sent < 4 * MAX_BODY
        await until(lambda: len(pbx.requests_to("/callcontrol/ws")) == 3, 20)
        await covered(subscriber, pbx)
        pbx.exchange.ring("0301234561", "100")
        await until(lambda: call_events(subscriber, "100") == ["ringing"], RECOVERY_LIMIT)
    assert sum(log.warnings().values()) == 2, log.warnings()


async def test_a_flood_of_malformed_events_is_logged_once_and_delays_nothing(
    pbx: SimulatedPbx, configure: Configure, subscriber: Subscriber, log: Log
) -> None:
    async with living(configure(call_control=""), timing=HEART):
        await covered(subscriber, pbx)
        for number in range(3000):
            pbx.stream.raw(f"nonsense {number}")
        pbx.exchange.ring("0301234561", "100")
        await until(lambda: call_events(subscriber, "100") == ["ringing"], RECOVERY_LIMIT)
    # A busy machine may lose the connection in the flood and learn of the call by resynchronising, without reading all.
    levels = log.levels("it is ignored")
    assert (levels.count(logging.WARNING), set(levels)) == (1, {logging.WARNING, logging.DEBUG})
