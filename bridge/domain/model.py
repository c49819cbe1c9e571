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


class CallStatus(StrEnum):
    """How far one call of one user is."""

    ON_CALL = "on_call"
    ON_HOLD = "on_hold"
    RINGING = "ringing"
    DIALING = "dialing"


class Direction(StrEnum):
    """Who called, seen from the user; internal calls are internal on both sides."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Queue(StrEnum):
    """Whether a user takes calls of queues; 3CX knows one login for all of a user's queues."""

    LOGGED_IN = "logged_in"
    LOGGED_OUT = "logged_out"


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
class UserRow:
    """One row of Users."""

    dn: str
    id: int | None
    """XAPI's key, which writing needs."""
    name: str | None
    registered: bool | None
    """Whether a phone of the user is registered."""
    profile: str | None
    """The current profile's name, as the PBX writes it."""
    queue: Queue | None
    department: int | None
    """The id of the primary department; `Departments` has the names."""
    special: bool
    """No person, or not in use: API client, fax, AI agent, disabled."""


Row = MonitorRow | UserRow


@dataclass(frozen=True, slots=True)
class Leg:
    """One call of one user, as a source sees it now."""

    id: str
    status: CallStatus | None
    keeps: bool = False
    """`status` is a guess for calls not seen before; a known call keeps the status it had."""
    hold_unseen: bool = False
    """The source takes calls on hold for connected ones."""
    direction: Direction | None = None
    party: str | None = None
    """The other side's number."""
    internal: bool = False
    """Whether `party` is a number of this PBX."""
    name: str | None = None
    via: str | None = None
    """The queue or group that the call came through."""
    since: int | None = None
    """When `status` began by the PBX's clock, Unix seconds."""


Legs = tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A call as it is published: what `privacy.caller_id` hides is gone."""

    status: CallStatus
    direction: Direction | None
    party: str | None
    name: str | None
    since: int


class CallEventType(StrEnum):
    """What can happen to a call."""

    RINGING = "ringing"
    DIALING = "dialing"
    ANSWERED = "answered"
    HELD = "held"
    RESUMED = "resumed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Something happened to a call of a user; parties are as `privacy.caller_id` lets them show."""

    event_type: CallEventType
    id: str
    answered: bool
    """Whether the call was ever connected: `ended`, inbound and not answered is a missed call."""
    direction: Direction | None
    party: str | None
    name: str | None
    via: str | None
    duration: int
    """Seconds since the answer; before it, since the first ring."""


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
    profile: str | None
    registered: bool | None
    queue: Queue | None
    call: ShownCall | None
    """The most important one."""
    calls: int | None
    """How many."""
    department: str | None
    """Where they belong: Home Assistant's suggestion for an area."""
    monitor: str | None
    """The row of GetMonitorStatus() as JSON; `{}` when the PBX says it has none for this user."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of users: who is in which state, and whether anybody is busy."""

    name: str
    busy: bool | None
    """None while nothing is known about anybody in it."""
    members: tuple[tuple[str, State, bool | None], ...]
    """(number, state, busy) of every published member, by number."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Whether a source is in use, and if not, why; `reason` may also name what is missing in one that is."""

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
    rows: Mapping[str, Row]
    """By DN."""
    complete: bool
    """True when no option narrowed it and it was read to its short last page: who is missing is really gone."""
    total: int | None
    """`@odata.count`, when asked for."""
    good_for: float
    """Seconds for which its facts are to be trusted."""


@dataclass(frozen=True, slots=True)
class Calls:
    """All calls that a source sees. Users without a call are not in `legs`."""

    source: str
    legs: Mapping[str, Legs]
    """By the number of one side; it need not be a user's."""
    covered: frozenset[str] | None
    """The DNs that the source tells about; None: everybody's."""
    as_of: float
    """When it was asked (monotonic): what happened later is not in it."""
    good_for: float
    live: bool = False
    """Whether changes are pushed as they happen, as UserCalls."""
    now: int | None = None
    """The PBX's own clock at that time, Unix seconds."""


@dataclass(frozen=True, slots=True)
class UserCalls:
    """A live source pushes that the calls of one user changed; these are all of them."""

    source: str
    dn: str
    legs: Legs


@dataclass(frozen=True, slots=True)
class Failure:
    """A source could not finish its round, or lost its connection."""

    source: str
    error: SourceError
    reason: str
    """For people: what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The PBX answered a probe, and perhaps told its version, such as `20.0.8.1109`."""

    version: str | None


@dataclass(frozen=True, slots=True)
class Labels:
    """What this PBX calls the custom profiles: the profile's name → the label that people see."""

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Departments:
    """The departments of this PBX: id → name."""

    names: Mapping[int, str]


Update = Round | Calls | UserCalls | Failure | Answered | Labels | Departments


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the broker retained about a user from before this process started."""

    name: str | None
    state: State
    since: int
    department: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A wish to change a user in the PBX; what is None stays as it is."""

    dn: str
    profile: str | None = None
    queue: Queue | None = None
