"""Answers requests one after the other, so that whoever asks too much waits for itself and holds up nobody else."""

import asyncio
import json
import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping

from bridge.domain.message import Message, Rank
from bridge.errors import BridgeError
from bridge.mqtt.drops import DropReport
from bridge.ports import Publisher
from bridge.statistics import Queue, Statistics
from bridge.topics import Topics, to_json

MAX_REQUEST = 4096
MAX_ANSWER = 900_000
"""Bytes: some brokers take no more than 1 MB in one message."""
MOST_WAITING = 20
"""Requests of one operation; the oldest are dropped when there are more."""

_UNKNOWN = ""
"""Requests that nobody knows wait in one line, whatever they are called."""
_LONGEST_NAME = 40
_SHORTEST_PAUSE = 0.01
_PAUSE_PER_SECOND = 4.0
"""Seconds of pause for each second that an answer took to make: the rest of the bridge has most of the time."""
_DROP_REPORT = 60.0
"""Seconds between two reports of dropped requests."""

Operation = Callable[[Mapping[str, object]], object]
"""Carries out a request and returns the data to answer with, fit for JSON. Refuses by raising BridgeError."""

_Request = tuple[str, bytes, bool]
"""What follows `bridge/request/` in the topic, the payload, and whether it was retained."""

_logger = logging.getLogger(__name__)


class Answers:
    """Requests that wait for their answers, in a line for each operation; the operations take turns.

    Equal requests that wait get one answer: there is one topic for it, and it would be the same.
    """

    def __init__(
        self,
        topics: Topics,
        operations: Mapping[str, Operation],
        publisher: Publisher,
        statistics: Statistics,
        monotonic: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._operations = operations
        self._publisher = publisher
        self._statistics = statistics
        self._monotonic = monotonic
        self._drops = DropReport(Queue.RECEIVE, _DROP_REPORT, monotonic)
        self._waiting: OrderedDict[str, OrderedDict[_Request, None]] = OrderedDict()
        """By operation; the one whose turn is next comes first."""
        self._asked = asyncio.Event()

    def ask(self, name: str, payload: bytes, *, retained: bool) -> None:
        """Take a request; it is answered by `run`."""
        line = name if name in self._operations else _UNKNOWN
        waiting = self._waiting.setdefault(line, OrderedDict())
        waiting[(name[:_LONGEST_NAME], payload[: MAX_REQUEST + 1], retained)] = None
        if len(waiting) > MOST_WAITING:
            waiting.popitem(last=False)
            self._drops.dropped(self._statistics, MOST_WAITING)
        self._asked.set()

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            began = self._monotonic()
            if self.answer_next():
                took = self._monotonic() - began
                await asyncio.sleep(max(_SHORTEST_PAUSE, took * _PAUSE_PER_SECOND))
            else:
                self._drops.drained()
                self._asked.clear()
                await self._asked.wait()

    def answer_next(self) -> bool:
        """Answer the request whose turn it is; says whether there was one."""
        if not self._waiting:
            return False
        line, waiting = self._waiting.popitem(last=False)
        request, _ = waiting.popitem(last=False)
        if waiting:
            self._waiting[line] = waiting
        self._answer(*request)
        return True

    def _answer(self, name: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as in _Request
        answer: dict[str, object] = {"status": "ok", "data": None, "error": None, "transaction": None}
        try:
            request = request_in(payload, retained=retained)
            answer["transaction"] = request.get("transaction")
            answer["data"] = self._operations.get(name, self._unknown)(request)
        except BridgeError as error:
            _logger.warning("request %s: %s", ascii(name)[1:-1], error, extra={"subject": name})
            answer |= {"status": "error", "error": str(error)}
        text = to_json(answer).encode("utf-8", "replace")
        if len(text) > MAX_ANSWER:
            answer |= {
                "status": "error",
                "data": None,
                "error": f"the answer is over {MAX_ANSWER} bytes: ask for a part",
            }
            text = to_json(answer).encode("utf-8", "replace")
        self._publisher.publish(Message(self._topics.response(name), text, Rank.DOCUMENT, retain=False))

    def _unknown(self, _request: Mapping[str, object]) -> object:
        raise BridgeError(f"there is no such request; known requests: {', '.join(self._operations)}")


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity: Python reads them, but other clients could not parse an answer that repeats them."""
    raise ValueError(name)


def _finite(text: str) -> float:
    """The same for numbers that are too large."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def request_in(payload: bytes, *, retained: bool) -> Mapping[str, object]:
    """The request or command that a message holds; an empty message is one without options. BridgeError: it is none."""
    if retained:
        raise BridgeError("a retained request is refused, as it would come again at every connect: do not retain it")
    if len(payload) > MAX_REQUEST:
        raise BridgeError(f"the request is over {MAX_REQUEST} bytes")
    if not payload.strip():
        return {}
    try:
        request = json.loads(payload, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise BridgeError("the request is not JSON") from None
    if not isinstance(request, dict):
        raise BridgeError("the request is not a JSON object")
    return request
