"""The values that travel from the sources through the engine to the outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bridge.errors import SourceError


class State(StrEnum):
    """The one word per user that lights and dashboards follow."""

    AVAILABLE = "available"
    AWAY = "away"
    DO_NOT_DISTURB = "do_not_disturb"
    RINGING = "ringing"
    DIALING = "dialing"
    ON_CALL = "on_call"
    ON_HOLD = "on_hold"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MonitorRow:
    """One row of GetMonitorStatus()."""

    dn: str
    name: str | None
    """The display name, on builds and proxies that add one."""
    state: State | None
    """What the row's own state word says; None where it carries no word, as official rows do."""
    json: str
    """The row as compact JSON, fit to be published: secrets masked, size bounded."""


@dataclass(frozen=True, slots=True)
class User:
    """Everything that is published about one user. What is not known is None."""

    number: str
    name: str | None
    state: State
    busy: bool | None
    since: int
    """When `state` began, Unix seconds."""
    reason: str
    monitor: str | None
    """The row of GetMonitorStatus() as JSON; `{}` when the PBX says it has none for this user."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Whether a source is in use, and if not, why."""

    name: str
    in_use: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Bridge:
    """Everything that is published about the bridge itself."""

    pbx_online: bool
    pbx_version: str | None
    sources: tuple[SourceReport, ...]
    roster: tuple[tuple[str, str | None], ...]
    """(number, name) of every user, by number."""
    busy: int
    count: int | None
    """The total the PBX reported for $count; None while unknown or not asked for."""


@dataclass(frozen=True, slots=True)
class Round:
    """A source read everything that its options let through."""

    source: str
    rows: Mapping[str, MonitorRow]
    """By DN."""
    complete: bool
    """True when no option narrowed it and it was read to its short last page: who is missing is really gone."""
    total: int | None
    """`@odata.count`, when asked for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A source could not finish its round."""

    source: str
    error: SourceError
    reason: str
    """For people: what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The PBX answered something else than a round, and perhaps told its version, such as `20.0.8.1109`."""

    version: str | None


Update = Round | Failure | Answered


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the broker retained about a user from before this process started."""

    name: str | None
    state: State
    since: int
