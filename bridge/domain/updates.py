"""What the sources report to the engine."""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.domain.model import Legs, Row
from bridge.domain.queues import Queue
from bridge.domain.system import System
from bridge.errors import SourceError


@dataclass(frozen=True, slots=True)
class Round:
    """A source of people has read everything that its options select."""

    source: str
    rows: Mapping[str, Row]
    """By DN."""
    complete: bool
    """No option narrowed the round and it was read to its short last page: a DN that is missing does not exist."""
    total: int | None
    """`@odata.count`, when asked for."""
    good_for: float
    """Seconds for which its facts may be used."""


@dataclass(frozen=True, slots=True)
class Calls:
    """All calls that a source sees. Users without a call are not in `legs`."""

    source: str
    legs: Mapping[str, Legs]
    """By the number of one side of the call, which need not be a user's."""
    covered: frozenset[str] | None
    """The DNs whose calls the source reports; None: all DNs."""
    as_of: float
    """When the request was sent (monotonic seconds): later events are not included."""
    good_for: float
    live: bool = False
    """Whether changes are pushed as they happen, as UserCalls."""
    now: int | None = None
    """The PBX's own clock at that time, Unix seconds."""
    unread: frozenset[str] | None = frozenset()
    """The DNs that may have calls besides these, as the PBX sent something that cannot be read; None: any DN. That
    such a DN has no call, or no other call, is not proven."""
    queues: frozenset[str] | None = frozenset()
    """The queues whose callers the source reports, as calls of the queue's DN; None: of all queues."""


@dataclass(frozen=True, slots=True)
class UserCalls:
    """A source that pushes reports a change of one user's calls; `legs` are all calls of that user."""

    source: str
    dn: str
    legs: Legs


@dataclass(frozen=True, slots=True)
class Failure:
    """A source could not finish its round, or lost its connection."""

    source: str
    error: SourceError
    """Its class decides how the engine reacts."""
    reason: str
    """For an administrator: what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The PBX answered a probe. `version` is its build, such as `20.0.8.1109`; None: the answer did not name it."""

    version: str | None


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of custom profiles: 3CX's own name (`Custom 1`) → the label that people see."""

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Departments:
    """The departments of this PBX."""

    names: Mapping[int, str] | None
    """By id; None: the PBX refuses to list them."""


@dataclass(frozen=True, slots=True)
class Queues:
    """All queues of this PBX."""

    source: str
    queues: Mapping[str, Queue]
    """By DN."""
    good_for: float
    """Seconds for which that may be used."""


@dataclass(frozen=True, slots=True)
class SystemSeen:
    """The PBX has said how it is as a whole."""

    source: str
    system: System
    good_for: float
    """Seconds for which that may be used."""


@dataclass(frozen=True, slots=True)
class ShapesSeen:
    """The PBX has sent something of a new shape. A shape holds no name and no number: `999 A` for `101 Ada`."""

    shapes: Mapping[str, tuple[str, ...]]
    """All shapes seen since the start, by kind."""


Update = Round | Calls | UserCalls | Failure | Answered | Labels | Departments | Queues | SystemSeen | ShapesSeen
