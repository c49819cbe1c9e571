"""The engine by itself, with a recorder in place of a broker and a clock that the test turns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from bridge.domain.message import Message
from bridge.domain.model import CallStatus, Leg, Legs, MonitorRow, Queue, SourceDescription, State, User, UserRow
from bridge.domain.presence import DEFAULT_BUSY, DEFAULT_PROFILES, Rules, profile_key
from bridge.domain.privacy import CallerId
from bridge.domain.updates import Calls, Failure, Round, UserCalls
from bridge.engine.engine import Engine
from bridge.engine.policy import Policy
from bridge.engine.settings import UsersSettings, group_settings
from bridge.errors import SourceError, SourceUnavailable
from bridge.mqtt.retained import RetainedTopics
from bridge.outputs.state import StateOutput
from bridge.ports import Output
from bridge.sources.table import TABLE
from bridge.sources.threecx.settings import Enabled, SourceSettings
from bridge.topics import Topics
from tests.support.clock import FakeClock

RULES = Rules(
    profiles={profile_key(name): state for name, state in DEFAULT_PROFILES.items()},
    busy=frozenset(DEFAULT_BUSY),
    ignore_unregistered=False,
)
TOPICS = Topics("3cx", "hq", "homeassistant")
MONITOR_STATUS, USERS, ACTIVE_CALLS, CALL_CONTROL = "monitor_status", "users", "active_calls", "call_control"
QUEUES, SYSTEM = "queues", "system"
ALL = (MONITOR_STATUS, USERS, ACTIVE_CALLS, CALL_CONTROL, QUEUES, SYSTEM)
"""The sources that tests of the engine know; a new one in the table is none of theirs."""


UTC = ZoneInfo("UTC")


class Wire:
    """A broker that is in sync unless `in_sync` is False: keeps what is retained, and the order of all topics."""

    def __init__(self) -> None:
        self.in_sync = True
        self.retained: dict[str, str] = {}
        self.order: list[str] = []
        self.events: list[tuple[str, str]] = []

    def publish(self, message: Message) -> None:
        self.order.append(message.topic)
        if not message.retain:
            self.events.append((message.topic, message.payload.decode()))
            return
        self.retained[message.topic] = message.payload.decode()
        if not message.payload:
            del self.retained[message.topic]

    def state(self, dn: str) -> str | None:
        return self.retained.get(f"3cx/users/{dn}/state")

    def dns(self) -> set[str]:
        return {topic.split("/")[2] for topic in self.retained if topic.startswith("3cx/users/")}


def described(sources: Sequence[str], *, push_required: bool = False) -> tuple[SourceDescription, ...]:
    """The sources of ALL, with those on that are named; those that push are optional unless required."""
    found = []
    for name in ALL:
        row = TABLE[name]
        optional = row.pushes and not push_required
        enabled = Enabled.FALSE if name not in sources else Enabled.AUTO if optional else Enabled.TRUE
        found.append(row.description(SourceSettings(enabled, 5.0)))
    return tuple(found)


class World:
    """An engine with the given sources on, and short names for what sources report to it."""

    def __init__(
        self,
        clock: FakeClock,
        *,
        sources: Sequence[str] = (MONITOR_STATUS,),
        interval: float = 5.0,
        forget_after: float = 600.0,
        special: bool = False,
        rules: Rules = RULES,
        caller_id: CallerId = CallerId.FULL,
        groups: Mapping[str, Iterable[str]] | None = None,
        push_required: bool = False,
        more_sources: Iterable[SourceDescription] = (),
        zone: ZoneInfo = UTC,
        observers: Iterable[Output] = (),
    ) -> None:
        self.clock = clock
        self._observers = tuple(observers)
        self.wire = Wire()
        self.good_for = max(20.0, 3 * interval)
        policy = Policy(
            users=UsersSettings(include=(), exclude=(), special=special, forget_after=forget_after),
            rules=rules,
            caller_id=caller_id,
            groups=group_settings(groups or {}),
            sources=(*described(sources, push_required=push_required), *more_sources),
            bound=self.good_for,
            zone=zone,
        )
        self._policy = policy
        self.engine = self._new_engine()

    def _new_engine(self) -> Engine:
        self._adopted = False
        outputs = [StateOutput(TOPICS, {"pbx": {"name": "hq"}})]
        return Engine(self._policy, outputs, self.wire, self.clock.clock, self._observers)

    def restart(self) -> None:
        """The bridge ends, and another one starts with what the broker has retained."""
        self.engine = self._new_engine()
        self.wire.in_sync = False

    def synchronise(self) -> None:
        """The broker is connected again: read back, compare, publish the difference."""
        readback = RetainedTopics(TOPICS)
        for topic, payload in self.wire.retained.items():
            readback.add(topic, payload.encode())
        if not self._adopted:
            self._adopted = True
            self.engine.adopt(readback.remembered(), same_options=True)
        self.wire.in_sync = True
        for message in list(readback.difference(self.engine.snapshot())):
            self.wire.publish(message)

    def round(self, states: dict[str, State | None], *, complete: bool = True, total: int | None = None) -> None:
        """A round of monitor status."""
        rows = {dn: MonitorRow(dn, None, state, f'{{"DN":"{dn}"}}') for dn, state in states.items()}
        self.engine.apply(Round(MONITOR_STATUS, rows, complete, total, self.good_for))

    def users(self, *rows: UserRow, complete: bool = True) -> None:
        """A round of users."""
        self.engine.apply(Round(USERS, {row.dn: row for row in rows}, complete, None, self.good_for))

    def polled(self, legs: Mapping[str, Legs] | None = None, *, now: int | None = None) -> None:
        """A round of active calls."""
        asked = self.clock.now
        self.engine.apply(Calls(ACTIVE_CALLS, dict(legs or {}), None, asked, self.good_for, now=now))

    def snapshot(self, covered: Iterable[str], legs: Mapping[str, Legs] | None = None) -> None:
        """Call Control has read everything."""
        seen = frozenset(covered)
        self.engine.apply(Calls(CALL_CONTROL, dict(legs or {}), seen, self.clock.now, 135.0, live=True))

    def pushed(self, dn: str, *legs: Leg) -> None:
        """Call Control pushes a change."""
        self.engine.apply(UserCalls(CALL_CONTROL, dn, legs))

    def lost(self) -> None:
        """Call Control's connection breaks."""
        self.fail(SourceUnavailable("the connection was lost"), CALL_CONTROL)

    def fail(self, error: SourceError, source: str = MONITOR_STATUS) -> None:
        self.engine.apply(Failure(source, error, str(error)))

    def wait(self, seconds: float) -> None:
        self.clock.turn(seconds)
        self.engine.tick()

    def user(self, dn: str) -> User:
        return next(user for user in self.engine.users() if user.number == dn)

    def since(self, dn: str) -> int:
        return self.user(dn).since


def user(dn: str = "101", profile: str | None = "Available", registered: bool | None = True, **more: Any) -> UserRow:
    fields: dict[str, Any] = {"id": 1, "name": None, "queue": Queue.LOGGED_OUT, "department": None, "special": False}
    return UserRow(dn, registered=registered, profile=profile, **(fields | more))


def leg(status: CallStatus | None, call: str = "1", **more: Any) -> Leg:
    return Leg(call, status, **more)
