"""The values that travel from the sources through the engine to the outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.domain.certainty import Certainty
from bridge.domain.system import System


class State(StrEnum):
    """The state of a user that lights and dashboards follow; published as `users/<dn>/state`."""

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
    """The stage that one call of one user has reached."""

    ON_CALL = "on_call"
    ON_HOLD = "on_hold"
    RINGING = "ringing"
    DIALING = "dialing"


class Direction(StrEnum):
    """Who started the call, as seen by the user; calls between two extensions are internal on both sides."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Queue(StrEnum):
    """The queue login. 3CX has one per user, which holds for all queues that the user is an agent of."""

    LOGGED_IN = "logged_in"
    LOGGED_OUT = "logged_out"


@dataclass(frozen=True, slots=True)
class MonitorRow:
    """One row of GetMonitorStatus()."""

    dn: str
    name: str | None
    """The display name, on builds and proxies that add one."""
    state: State | None
    """The state that the row itself carries; None where it carries none, as official rows (DN, Expiration) do."""
    json: str
    """The row as compact JSON, ready to be published: secrets masked, at most 4 KiB."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """One row of Users."""

    dn: str
    id: int | None
    """XAPI's key of the user, needed to write to it."""
    name: str | None
    registered: bool | None
    """Whether a phone of the user is registered."""
    profile: str | None
    """The current profile's name, as the PBX writes it."""
    queue: Queue | None
    department: int | None
    """The id of the primary department; `Departments` has the names."""
    special: bool
    """A non-person or unused extension: API client, fax server, AI agent, disabled user."""
    no_profile: bool = False
    """The PBX says that none is set, as it may of users who never changed it; else `profile` None is not known."""


Row = MonitorRow | UserRow
"""What a source of people reports about one DN. The type, not the source, decides how the engine uses it."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One call of one user, as a source sees it now."""

    id: str
    status: CallStatus | None
    keeps: bool = False
    """`status` is a guess for new calls only; a call that is known already keeps the status it had. With `status` None:
    the user is in a call of which the source says nothing that the bridge understands."""
    hold_unseen: bool = False
    """The source reports calls on hold as connected."""
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
    certainty: Certainty = Certainty.PLACEHOLDER
    """Of `direction` and `party`. Above a placeholder, no party is one outside that withholds its number."""


Legs = tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A call as it is published: without what `privacy.caller_id` hides."""

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


class Outcome(StrEnum):
    """How a call ended, as seen by the user. Missed calls are recognised by it, never by `answered` alone."""

    COMPLETED = "completed"
    """It was answered here."""
    MISSED = "missed"
    """It rang here, and nobody is known to have answered it."""
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    """It rang here and was answered at another extension: in a ring group or queue, or by a pick-up."""
    NOT_ANSWERED = "not_answered"
    """It was dialled here and not answered."""


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One event of a call of a user; numbers and name as `privacy.caller_id` allows."""

    event_type: CallEventType
    id: str
    answered: bool
    """Whether the call was ever connected here."""
    direction: Direction | None
    party: str | None
    name: str | None
    via: str | None
    duration: int
    """Seconds since the answer; before it, since the first ring."""
    outcome: Outcome | None = None
    """None: the call has not ended."""
    answered_by: str | None = None
    """Where it was answered, if elsewhere and known: an extension, which need not be a published user."""
    dialled: bool | None = None
    """Whether the call began here rather than with others; None: nobody saw it begin."""


@dataclass(frozen=True, slots=True)
class User:
    """Everything that is published about one user; None: not known."""

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
    """Name of the primary department."""
    monitor: str | None
    """The monitor row as JSON; `{}` when a complete round had none for this user."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of users: who is in which state, and whether any of them is busy."""

    name: str
    busy: bool | None
    """None while the state of no member is known."""
    members: tuple[tuple[str, State, bool | None], ...]
    """(number, state, busy) of every published member, by number."""


class FactKind(StrEnum):
    """What a source reports. The engine treats all sources of one kind alike."""

    PEOPLE = "people"
    """Rounds of rows: who exists, with name, profile, registration, queue login or a monitor row."""
    CALLS = "calls"
    """The calls of users, polled or pushed."""
    QUEUES = "queues"
    """The queues, with their agents."""
    SYSTEM = "system"
    """Counts of the PBX as a whole."""


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """What the engine needs to know about a source, so that it depends on kinds and capabilities and not on names."""

    name: str
    """The key under `sources:`; updates carry it."""
    kind: FactKind
    why_off: str | None = None
    """Why the configuration does not use the source; None: it is on."""
    required: bool = True
    """Calls: without this source, states are unknown, even where the PBX denies access to it (`enabled: true`)."""
    monitor_rows: bool = False
    """People: the rows are MonitorRows. They are published as they are, and a state in them counts only while no
    source of UserRows is on."""
    pushes: bool = False
    """Calls: changes are pushed as they happen, for the DNs that the source covers."""
    introduces_users: bool = False
    """Calls: the DNs that it covers are the users, where every source of people is off."""
    uncovered_advice: str = ""
    """Calls: what an administrator can do about users that the source does not cover."""

    @property
    def on(self) -> bool:
        """Whether the configuration uses the source."""
        return self.why_off is None


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Whether a source is in use. `reason`: why it is not, or what is missing although it is."""

    name: str
    in_use: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Bridge:
    """Everything that is published about the bridge itself."""

    pbx_online: bool
    pbx_version: str | None
    sources: tuple[SourceReport, ...]
    roster: tuple[tuple[str, str | None, str | None], ...]
    """(number, name, department) of every user, by number."""
    busy: int
    count: int | None
    """The total the PBX reported for $count; None while unknown or not asked for."""
    shapes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The shapes of what the PBX sends, by kind; see ShapesSeen."""
    system: System | None = None
    """None: the source is off, the PBX refuses it, or it has not answered yet."""
    queues: tuple[str, ...] = ()
    """The DNs of the queues, sorted."""
    failing: tuple[str, ...] = ()
    """The sources that should be in use and cannot be read until an administrator changes something, sorted."""
    denied: frozenset[str] = frozenset()
    """The sources that are on and that this PBX does not have, or does not let the API client read."""


@dataclass(frozen=True, slots=True)
class Command:
    """A request to change a user in the PBX; a field that is None stays as it is."""

    dn: str
    profile: str | None = None
    queue: Queue | None = None
