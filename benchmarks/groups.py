"""What groups cost the engine: processor time of a first round and of one user's change, with a group of all users."""

import time
from collections.abc import Iterable

from bridge.domain.clock import Clock
from bridge.domain.message import Message
from bridge.domain.model import FactKind, MonitorRow, SourceDescription, State
from bridge.domain.presence import DEFAULT_BUSY, DEFAULT_PROFILES, Rules, profile_key
from bridge.domain.privacy import CallerId
from bridge.domain.updates import Round
from bridge.engine.engine import Engine
from bridge.engine.policy import Policy
from bridge.engine.settings import UsersSettings, group_settings
from bridge.outputs.state import StateOutput
from bridge.topics import Topics

_SOURCE = "monitor_status"
_CHANGES = 200


class _Sink:
    """A broker that is there and keeps nothing."""

    in_sync = True

    def publish(self, message: Message) -> None:
        """Nothing: what is measured ends here."""


def measure(users: int) -> str:
    """One line of results for a PBX of this size."""
    first, change = _measure(users, {"all": ["*"]})
    first_without, change_without = _measure(users, {})
    return (
        f"{users:>6} users in one group: first round {first:.2f} s of CPU ({first - first_without:.2f} s for the "
        f"group), a change of one user {change * 1e3:.1f} ms ({(change - change_without) * 1e3:.1f} ms)"
    )


def _measure(users: int, groups: dict[str, Iterable[str]]) -> tuple[float, float]:
    """Seconds of CPU of the first round, and of a round in which one user changed."""
    engine = _engine(groups)
    rows = {dn: _row(dn, State.AVAILABLE) for dn in map(str, range(10_000, 10_000 + users))}
    began = time.process_time()
    engine.apply(_round(rows))
    first = time.process_time() - began
    began = time.process_time()
    for number in range(_CHANGES):
        dn = str(10_000 + number * 7 % users)
        rows = rows | {dn: _row(dn, State.AVAILABLE if rows[dn].state is State.AWAY else State.AWAY)}
        engine.apply(_round(rows))
    return first, (time.process_time() - began) / _CHANGES


def _engine(groups: dict[str, Iterable[str]]) -> Engine:
    policy = Policy(
        users=UsersSettings(include=(), exclude=(), special=False, forget_after=600.0),
        rules=Rules(
            profiles={profile_key(name): state for name, state in DEFAULT_PROFILES.items()},
            busy=frozenset(DEFAULT_BUSY),
            ignore_unregistered=False,
        ),
        caller_id=CallerId.MASKED,
        groups=group_settings(groups),
        sources=(SourceDescription(_SOURCE, FactKind.PEOPLE, monitor_rows=True),),
        bound=20.0,
    )
    return Engine(policy, [StateOutput(Topics("3cx", "hq", "homeassistant"), {})], _Sink(), Clock())


def _row(dn: str, state: State) -> MonitorRow:
    return MonitorRow(dn, None, state, f'{{"DN":"{dn}"}}')


def _round(rows: dict[str, MonitorRow]) -> Round:
    return Round(_SOURCE, rows, complete=True, total=None, good_for=20.0)
