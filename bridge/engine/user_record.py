"""What is known about one user, from all sources together."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.domain.calls import Call
from bridge.domain.model import MonitorRow, Row, State, User, UserRow
from bridge.engine.source_state import CallSourceState, PeopleSourceState

_MOST_OPEN_IDS = 100
"""A bound for a PBX that is lost in the middle of calls again and again."""


@dataclass(slots=True)
class UserRecord:
    """The facts about one user, and what was published of them last."""

    name: str | None = None
    department: str | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    """The latest row of each source of people that reports the user, by the source's name."""
    doubted: frozenset[str] = frozenset()
    """Sources whose last complete round missed the user. One miss proves nothing: while a source reads page by page, a
    row can slip to a page that was read already."""
    calls: tuple[Call, ...] | None = None
    """None: not known. No call events are published for the step from None, as it is not known when they happened."""
    calls_before_silence: tuple[Call, ...] = ()
    """Those that were known before the sources stopped answering: they may go on when an answer comes."""
    open_ids: frozenset[str] = frozenset()
    """Ids of calls that nobody saw end: their end was never published."""
    calls_from: CallSourceState | None = None
    """The source that `calls` come from; another one may number the same calls differently."""
    interruptions: int = 0
    """Of that source, when `calls` were read."""
    user: User | None = None
    """As published last."""
    missing_since: float | None = None
    """When the first complete round came without this user (monotonic seconds)."""
    before_silence: tuple[State, int] | None = None
    """State and `since` from before the sources stopped answering: the same state afterwards has the same `since`."""

    def confirm(self, source: str) -> None:
        """Note that the source reports the user."""
        self.missing_since = None
        if source in self.doubted:
            self.doubted -= {source}

    def take(self, source: str, row: Row, people: Iterable[PeopleSourceState]) -> bool:
        """Store the row of one source; says whether it is a new one. `people` are the sources, preferred ones first."""
        self.confirm(source)
        if self.rows.get(source) is row:
            return False
        self.rows[source] = row
        for each in people:
            known = self.rows.get(each.name)
            if known is not None and known.name:
                self.name = known.name
                break
        return True

    def know_calls(self, calls: tuple[Call, ...]) -> None:
        """The calls are these now."""
        if self.calls is None:
            lost = {call.id for call in self.calls_before_silence} - {call.id for call in calls}
            self.open_ids = frozenset(sorted(self.open_ids | lost)[-_MOST_OPEN_IDS:])
            self.calls_before_silence = ()
        self.calls = calls

    def lose_calls(self) -> None:
        """The calls are not known any more."""
        if self.calls is not None:
            self.calls_before_silence = self.calls
        self.calls = None

    def profile(self, sources: Iterable[PeopleSourceState]) -> UserRow | None:
        """The row with profile and registration, of the first of `sources` that has one."""
        for source in sources:
            row = self.rows.get(source.name)
            if isinstance(row, UserRow):
                return row
        return None

    def monitor(self, sources: Iterable[PeopleSourceState]) -> MonitorRow | None:
        """The monitor row, of the first of `sources` that has one."""
        for source in sources:
            row = self.rows.get(source.name)
            if isinstance(row, MonitorRow):
                return row
        return None
