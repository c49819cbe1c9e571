"""The bridge as a program: the requests under `bridge/request/`, its health, its log and its log level."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict

from bridge import log
from bridge.documents import encode, user_documents
from bridge.domain.finding import Finding
from bridge.domain.message import Message, Rank
from bridge.engine.engine import Engine
from bridge.errors import BridgeError
from bridge.log import LogLevel
from bridge.mqtt.answers import Operation
from bridge.ports import Publisher
from bridge.statistics import Statistics
from bridge.topics import Topics, to_json

MOST_USERS = 2000
"""Users in one answer. Rendering more would hold up the event loop, and the answer would exceed what a broker takes."""


class Requests:
    """Answers requests and publishes `bridge/health`, `bridge/log` and `bridge/log_level`.

    `refresh` reads the PBX again, `findings` says what `check` would say of PBX and sources, `shapes` how often what
    the PBX sent was of which shape.
    """

    def __init__(
        self,
        topics: Topics,
        publisher: Publisher,
        engine: Engine,
        statistics: Statistics,
        refresh: Callable[[], None],
        findings: Callable[[], Iterable[Finding]],
        shapes: Callable[[], object],
    ) -> None:
        self._topics = topics
        self._publisher = publisher
        self._engine = engine
        self._statistics = statistics
        self._refresh = refresh
        self._findings = findings
        self._shapes = shapes

    @property
    def operations(self) -> Mapping[str, Operation]:
        """The requests by name: what follows `bridge/request/` in the topic."""
        return {
            "refresh": self._request_refresh,
            "users": self._request_users,
            "log_level": self._request_log_level,
            "check": self._request_check,
            "shapes": self._request_shapes,
        }

    def retained(self) -> Iterator[Message]:
        """What should be retained now."""
        yield self._level()
        yield self._health()

    async def publish_health(self, interval: float) -> None:
        """Publish `bridge/health` every `interval` seconds, until cancelled."""
        while True:
            await asyncio.sleep(interval)
            self._publisher.publish(self._health())

    def publish_log(self, line: str) -> None:
        """Publish a warning or an error, given as JSON."""
        self._publisher.publish(Message(self._topics.bridge_log, encode(line), Rank.DETAIL, retain=False))

    def _level(self) -> Message:
        return Message(self._topics.bridge_log_level, log.level().encode(), Rank.DETAIL)

    def _health(self) -> Message:
        report = self._statistics.report(len(self._engine.users()))
        return Message(self._topics.bridge_health, to_json(report).encode(), Rank.DETAIL)

    def _request_refresh(self, _request: Mapping[str, object]) -> object:
        self._refresh()
        return None

    def _request_users(self, request: Mapping[str, object]) -> object:
        """All users by number, or `top` of them after the first `skip`."""
        skip, top = (_whole_number(request, name) for name in ("skip", "top"))
        users = self._engine.users()[skip or 0 :][:top]
        if len(users) > MOST_USERS:
            raise BridgeError(f'these are {len(users)} users, too many for one answer: ask for parts, {{"top": 500}}')
        return user_documents(users)

    def _request_check(self, _request: Mapping[str, object]) -> object:
        return [asdict(finding) for finding in self._findings()]

    def _request_shapes(self, _request: Mapping[str, object]) -> object:
        return self._shapes()

    def _request_log_level(self, request: Mapping[str, object]) -> object:
        wanted = request.get("level")
        if wanted not in tuple(LogLevel):
            raise BridgeError(f'{wanted!r} is no log level: write {{"level": "debug"}}, or {", ".join(LogLevel)}')
        log.set_level(LogLevel(str(wanted)))
        self._publisher.publish(self._level())
        return {"level": log.level()}


def _whole_number(request: Mapping[str, object], name: str) -> int | None:
    value = request.get(name)
    # bool is a subclass of int in Python, and `true` is no number in JSON.
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise BridgeError(f"{name} must be a whole number that is not negative, not {value!r}")
