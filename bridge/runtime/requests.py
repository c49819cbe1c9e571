"""What the bridge tells about itself as a program, and what it can be asked under `bridge/request/`."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict

from bridge import log
from bridge.domain.finding import Finding
from bridge.domain.message import Message, Rank
from bridge.engine.engine import Engine
from bridge.errors import BridgeError
from bridge.log import LogLevel
from bridge.mqtt.router import Operation
from bridge.outputs.state import documents, encode
from bridge.ports import Publisher
from bridge.statistics import Statistics
from bridge.topics import Topics, to_json

MOST_TOLD = 2000
"""Users in one answer; more would hold up everything, only to be too long for a message."""

HEALTH_INTERVAL = 60.0
"""Seconds from one `bridge/health` to the next."""


class Controls:
    """Health, log and log level of the bridge; `refresh` has all read anew, `findings` says how the PBX stands."""

    def __init__(
        self,
        topics: Topics,
        publisher: Publisher,
        engine: Engine,
        statistics: Statistics,
        refresh: Callable[[], None],
        findings: Callable[[], Iterable[Finding]],
    ) -> None:
        self._topics = topics
        self._publisher = publisher
        self._engine = engine
        self._statistics = statistics
        self._refresh = refresh
        self._findings = findings

    @property
    def operations(self) -> Mapping[str, Operation]:
        """What can be asked, by name."""
        return {
            "refresh": self._read_anew,
            "users": self._tell_users,
            "log_level": self._set_log_level,
            "check": self._check,
        }

    def retained(self) -> Iterator[Message]:
        """What should be retained now."""
        yield self._level()
        yield self._condition()

    async def tell_health(self) -> None:
        """Publish `bridge/health` for ever."""
        while True:
            await asyncio.sleep(HEALTH_INTERVAL)
            self._publisher.publish(self._condition())

    def publish_log(self, line: str) -> None:
        """A warning or an error, as JSON."""
        self._publisher.publish(Message(self._topics.bridge_log, encode(line), Rank.DETAIL, retain=False))

    def _level(self) -> Message:
        return Message(self._topics.bridge_log_level, log.level().encode(), Rank.DETAIL)

    def _condition(self) -> Message:
        report = self._statistics.report(len(self._engine.users()))
        return Message(self._topics.bridge_health, to_json(report).encode(), Rank.DETAIL)

    def _read_anew(self, _request: Mapping[str, object]) -> object:
        self._refresh()
        return None

    def _tell_users(self, request: Mapping[str, object]) -> object:
        """All of them, or as many as `top` says from the one on whose place is `skip`."""
        skip, top = (_whole(request, name) for name in ("skip", "top"))
        users = self._engine.users()[skip or 0 :][:top]
        if len(users) > MOST_TOLD:
            raise BridgeError(f'these are {len(users)} users, too many for one answer: ask for parts, {{"top": 500}}')
        return documents(users)

    def _check(self, _request: Mapping[str, object]) -> object:
        return [asdict(finding) for finding in self._findings()]

    def _set_log_level(self, request: Mapping[str, object]) -> object:
        wanted = request.get("level")
        if wanted not in tuple(LogLevel):
            raise BridgeError(f'{wanted!r} is no level: write {{"level": "debug"}}, or {", ".join(LogLevel)}')
        log.set_level(LogLevel(str(wanted)))
        self._publisher.publish(self._level())
        return {"level": log.level()}


def _whole(request: Mapping[str, object], name: str) -> int | None:
    value = request.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise BridgeError(f"{name} is a whole number, not {value!r}")
