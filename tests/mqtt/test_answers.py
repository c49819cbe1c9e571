import asyncio
import json
from collections.abc import Callable, Mapping

import pytest

from bridge.errors import BridgeError
from bridge.mqtt.answers import MAX_ANSWER, MAX_REQUEST, MOST_WAITING, Answers, Operation
from bridge.statistics import Queue, Statistics
from bridge.topics import Topics
from tests.support.answers import Prompt
from tests.support.beside import beside
from tests.support.clock import FakeClock
from tests.support.faults import until
from tests.support.wire import Wire


def answer(payload: bytes, *, retained: bool = False) -> dict[str, object]:
    wire = Wire()

    def echo(request: Mapping[str, object]) -> object:
        if "refuse" in request:
            raise BridgeError("not today")
        return dict(request)

    Prompt(wire, {"echo": echo}).ask("echo", payload, retained=retained)
    (message,) = wire.sent
    assert (message.topic, message.retain) == ("3cx/bridge/response/echo", False)
    result = json.loads(message.payload)
    assert set(result) == {"status", "data", "error", "transaction"}
    return dict(result)


def test_a_request_is_answered_with_its_transaction() -> None:
    assert answer(b'{"transaction":"x","a":1}') == {
        "status": "ok",
        "data": {"transaction": "x", "a": 1},
        "error": None,
        "transaction": "x",
    }
    assert answer(b" ")["status"] == "ok"


@pytest.mark.parametrize(
    ("payload", "retained", "error"),
    [
        (b"{", False, "the request is not JSON"),
        (b"\xff", False, "the request is not JSON"),
        (b"[]", False, "the request is not a JSON object"),
        (b" " * (MAX_REQUEST + 1), False, "the request is over 4096 bytes"),
        (b'{"refuse":1}', False, "not today"),
        (b'{"transaction":NaN}', False, "the request is not JSON"),
        (b'{"transaction":1e999}', False, "the request is not JSON"),
        (b"{}", True, "a retained request is refused, as it would come again at every connect: do not retain it"),
    ],
)
def test_a_bad_request_is_answered_with_an_error(payload: bytes, retained: bool, error: str) -> None:
    result = answer(payload, retained=retained)
    assert (result["status"], result["error"]) == ("error", error)


def test_an_unknown_request_is_answered_with_those_that_there_are() -> None:
    wire = Wire()
    Prompt(wire, {"refresh": lambda _: None}).ask("dance", b"", retained=False)
    (message,) = wire.sent
    assert message.topic == "3cx/bridge/response/dance"
    assert json.loads(message.payload)["error"] == "there is no such request; known requests: refresh"


def test_an_answer_that_a_broker_might_not_take_is_not_sent() -> None:
    wire = Wire()
    Prompt(wire, {"all": lambda _: "x" * MAX_ANSWER}).ask("all", b'{"transaction": 1}', retained=False)
    (message,) = wire.sent
    assert json.loads(message.payload) == {
        "status": "error",
        "data": None,
        "error": "the answer is over 900000 bytes: ask for a part",
        "transaction": 1,
    }


@pytest.fixture
def statistics(clock: FakeClock) -> Statistics:
    return Statistics(clock.clock)


def counted(name: str, calls: list[str]) -> Operation:
    return lambda _request: calls.append(name)


@pytest.fixture
def make(clock: FakeClock, statistics: Statistics) -> Callable[[Wire, Mapping[str, Operation]], Answers]:
    return lambda wire, operations: Answers(
        Topics("3cx", "hq", "ha"), operations, wire, statistics, clock.clock.monotonic
    )


Make = Callable[[Wire, Mapping[str, Operation]], Answers]


def test_equal_requests_that_wait_get_one_answer(make: Make) -> None:
    wire, calls = Wire(), list[str]()
    answers = make(wire, {"users": counted("users", calls)})
    for _ in range(1000):
        answers.ask("users", b"", retained=False)
    while answers.answer_next():
        pass
    assert (calls, len(wire.sent)) == (["users"], 1)
    answers.ask("users", b"", retained=False)
    assert answers.answer_next()
    assert calls == ["users", "users"]


def test_the_operations_take_turns(make: Make) -> None:
    wire, calls = Wire(), list[str]()
    answers = make(wire, {name: counted(name, calls) for name in ("users", "check")})
    for number in range(5):
        answers.ask("users", b'{"transaction":%d}' % number, retained=False)
        answers.ask(f"nonsense{number}", b"", retained=False)
    answers.ask("check", b"", retained=False)
    for _ in range(3):
        answers.answer_next()
    assert calls == ["users", "check"]
    assert [message.topic.rpartition("/")[2] for message in wire.sent] == ["users", "nonsense0", "check"]


def test_of_too_many_the_oldest_are_dropped_and_counted_and_other_operations_lose_nothing(
    make: Make, statistics: Statistics, caplog: pytest.LogCaptureFixture
) -> None:
    wire, calls = Wire(), list[str]()
    answers = make(wire, {name: counted(name, calls) for name in ("users", "check")})
    answers.ask("check", b"", retained=False)
    for number in range(MOST_WAITING + 2):
        answers.ask("users", b'{"transaction":%d}' % number, retained=False)
    for number in range(3 * MOST_WAITING):
        answers.ask(f"nonsense{number}", b"", retained=False)
    while answers.answer_next():
        pass
    transactions = [json.loads(each.payload)["transaction"] for each in wire.sent if each.topic.endswith("/users")]
    assert transactions == list(range(2, MOST_WAITING + 2))
    assert calls.count("check") == 1
    assert len(wire.sent) == 1 + 2 * MOST_WAITING
    assert statistics.drops[Queue.RECEIVE] == 2 + 2 * MOST_WAITING
    assert [each.message for each in caplog.records if "dropped" in each.message] == [
        "requests and commands received from the broker: 20 are waiting, so the oldest are dropped"
    ]


async def test_between_two_answers_the_rest_of_the_bridge_has_its_turn(statistics: Statistics) -> None:
    """The pause after an answer is a multiple of the time that it took."""
    loop, wire, turns = asyncio.get_running_loop(), Wire(), [0]
    clock = FakeClock()

    def slow(_request: Mapping[str, object]) -> object:
        clock.turn(0.02)
        return turns[0]

    async def other() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    answers = Answers(Topics("3cx", "hq", "ha"), {"slow": slow}, wire, statistics, clock.clock.monotonic)
    async with beside(answers.run()), beside(other()):
        began = loop.time()
        for number in range(3):
            answers.ask("slow", b'{"n":%d}' % number, retained=False)
        await until(lambda: len(wire.sent) == 3)
        assert loop.time() - began >= 2 * 4 * 0.02
    first, second, third = (json.loads(message.payload)["data"] for message in wire.sent)
    assert first < second < third
