"""What each source reported last, and for how long that may be used."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bridge.domain.model import FactKind, Legs, Row, SourceDescription
from bridge.domain.updates import Calls
from bridge.engine.doubts import Doubts
from bridge.errors import SourceError, SourceMissing, SourcePermissionError


@dataclass(slots=True, eq=False)
class PeopleSourceState:
    """A source of people: rows by DN."""

    description: SourceDescription
    rows: Mapping[str, Row] = field(default_factory=dict)
    complete: bool = False
    """Whether the last round was complete; see Round."""
    fresh: bool = False
    """Whether its rows may be used."""
    reported: bool = False
    """The first poll has finished, or the source has reported why it cannot."""
    access_denied: bool = False
    """The PBX has no such function or does not allow it to this API client."""
    name: str = field(init=False)
    """The source's name. A field, as is `on`: they are read for every user of every round."""
    on: bool = field(init=False)
    """Whether the configuration uses it."""
    _until: float = 0.0

    def __post_init__(self) -> None:
        self.name, self.on = self.description.name, self.description.on

    @property
    def decided(self) -> bool:
        """Whether it is known whom it reports: its rows may be used, or the PBX gives it none."""
        return self.fresh or self.access_denied

    def received(self, now: float, good_for: float) -> None:
        """A round was read just now; its facts may be used for `good_for` seconds."""
        self.fresh = self.reported = True
        self.access_denied = False
        self._until = now + good_for

    def failed(self, *, access_denied: bool) -> None:
        """The round failed. Without access its last rows no longer prove that a user exists."""
        self.reported = True
        self.access_denied = access_denied
        if access_denied:
            self.rows = {}

    def expired(self, now: float) -> bool:
        """Whether its facts have become too old just now: True once, at the first call after that."""
        if self.fresh and now > self._until:
            self.fresh = False
            return True
        return False


@dataclass(slots=True, eq=False)
class CallSourceState:
    """A source of calls."""

    description: SourceDescription
    legs: dict[str, Legs] = field(default_factory=dict)
    covered: frozenset[str] | None = frozenset()
    """The DNs whose calls it reports; None: all."""
    fresh: bool = False
    queues: frozenset[str] | None = frozenset()
    """The queues whose callers it reports; None: all."""
    reported: bool = False
    """The first poll has finished, or the source has reported why it cannot."""
    access_denied: bool = False
    """The PBX has no such function or does not allow it to this API client."""
    live: bool = False
    """Changes are being pushed, so its calls are up to date now; otherwise they are as of `as_of`."""
    as_of: float = 0.0
    name: str = field(init=False)
    """The source's name. A field, as is `on`: they are read for every user of every round."""
    on: bool = field(init=False)
    """Whether the configuration uses it."""
    interruptions: int = 0
    """How often it failed before it reported again: the PBX may have restarted meanwhile."""
    _failing: bool = False
    _until: float = 0.0
    _reported: dict[str, Legs] = field(default_factory=dict)
    """What it reported last; `legs` may hold calls besides these that it may have failed to report."""
    _doubts: Doubts = field(default_factory=Doubts)

    def __post_init__(self) -> None:
        self.name, self.on = self.description.name, self.description.on

    @property
    def expected(self) -> bool:
        """Whether it should report calls: an optional source is not waited for where the PBX denies access to it."""
        return self.on and (self.description.required or not self.access_denied)

    def replace(self, update: Calls) -> set[str]:
        """Store all calls; returns the numbers whose calls changed."""
        before = self.legs
        self._doubts.renew(update.unread, self._until if self.fresh else update.as_of - 1, update.as_of)
        self._reported = dict(update.legs)
        self.legs, self.covered = self._doubts.kept(before, update.legs), update.covered
        self.queues = update.queues
        self.live, self.as_of, self._until = update.live, update.as_of, update.as_of + update.good_for
        self.fresh = self.reported = True
        self.interruptions += self._failing
        self.access_denied = self._failing = False
        return {dn for dn in before.keys() | self.legs.keys() if before.get(dn) != self.legs.get(dn)}

    def change(self, dn: str, legs: Legs) -> bool:
        """Store the calls of one user; says whether anything changed."""
        self._reported[dn] = legs
        if self.legs.get(dn, ()) == legs:
            return False
        if legs:
            self.legs[dn] = legs
        else:
            del self.legs[dn]
        return True

    def failed(self, *, access_denied: bool) -> None:
        """The round failed, or the connection was lost."""
        self.reported = True
        self._failing = True
        self.access_denied = access_denied

    def lose_push(self, now: float, grace: float) -> None:
        """The connection was lost: its calls are used for `grace` seconds more, unless another source is newer."""
        self.live, self.as_of, self._until = False, now, now + grace

    def shorten(self, now: float, grace: float) -> None:
        """Use its calls for `grace` seconds at most: they are old, as it was polled seldom while others pushed."""
        self._until = min(self._until, now + grace)

    def expired(self, now: float) -> bool:
        """As for PeopleSourceState; also whether the calls of some users became too old."""
        if self.fresh and now > self._until:
            self.fresh = self.live = False
            return True
        if not self.fresh or not self._doubts.lapse(now):
            return False
        self.legs = self._doubts.kept(self.legs, {dn: legs for dn, legs in self._reported.items() if legs})
        return True

    def covers(self, dn: str) -> bool:
        """Whether it reports the calls of this DN, and could be read."""
        covered = self.covered is None or dn in self.covered
        return covered and (dn in self.legs or not self._doubts.lapsed(dn))

    def covers_queue(self, dn: str) -> bool:
        """Whether it reports the callers of this queue, and could be read."""
        covered = self.queues is None or dn in self.queues
        return covered and (dn in self.legs or not self._doubts.lapsed(dn))

    def in_doubt(self, dn: str) -> bool:
        """Whether it reports no call of this DN and cannot say that there is none."""
        return self._doubts.about(dn) and not self._reported.get(dn)

    @property
    def coverage(self) -> object:
        """What `covers` depends on besides `legs`, to be compared."""
        return self.covered, self.queues, self._doubts.state


@dataclass(slots=True, eq=False)
class FactsState:
    """A source of facts that stand for themselves, such as the queues: they are stored where they are used."""

    description: SourceDescription
    fresh: bool = False
    reported: bool = False
    """The first poll has finished, or the source has reported why it cannot."""
    access_denied: bool = False
    """The PBX has no such function or does not allow it to this API client."""
    _until: float = 0.0

    @property
    def on(self) -> bool:
        """Whether the configuration uses it."""
        return self.description.on

    def received(self, now: float, good_for: float) -> None:
        """It was read just now; what it says may be used for `good_for` seconds."""
        self.fresh = self.reported = True
        self.access_denied = False
        self._until = now + good_for

    def expired(self, now: float) -> bool:
        """As for PeopleSourceState."""
        if self.fresh and now > self._until:
            self.fresh = False
            return True
        return False


class SourceStates:
    """The states of all sources, by kind and name."""

    def __init__(self, descriptions: Iterable[SourceDescription]) -> None:
        described = tuple(descriptions)
        people = [each for each in described if each.kind is FactKind.PEOPLE]
        calls = [each for each in described if each.kind is FactKind.CALLS]
        # Order is preference: names of users count more than those in monitor rows; of two sources of calls that are
        # equally new, the one that pushes knows more.
        people.sort(key=lambda each: each.monitor_rows)
        calls.sort(key=lambda each: not each.pushes)
        self.people = {each.name: PeopleSourceState(each) for each in people}
        self.calls = {each.name: CallSourceState(each) for each in calls}
        others = [each for each in described if each.kind not in {FactKind.PEOPLE, FactKind.CALLS}]
        self.others = {each.name: FactsState(each) for each in others}
        self.profiles_expected = any(each.on and not each.monitor_rows for each in people)
        """Whether a source is on that reports profile and registration."""
        self.calls_read = any(each.on for each in calls)
        """Whether a source of calls is on."""
        self.labels: Mapping[str, str] = {}
        """Of the PBX's custom profiles."""
        self.departments: Mapping[int, str] | None = None
        """Names by id; None while no source has reported them."""
        self.preferred: tuple[CallSourceState, ...] = ()
        """The fresh sources of calls, newest first. For each user, the first one that covers the user counts."""

    @property
    def settled(self) -> bool:
        """Whether every source that is on has reported: its first poll has finished, or it reported why it cannot."""
        return all(state.reported for state in self._all() if state.on)

    @property
    def calls_expected(self) -> bool:
        """Whether some source should report calls, so that users without news about calls are unknown."""
        for state in self.calls.values():  # noqa: SIM110  # asked for every user, and `any` is slower
            if state.on and state.expected:
                return True
        return False

    def fresh_people(self) -> list[PeopleSourceState]:
        """The sources of people whose rows may be used, preferred ones first."""
        return [state for state in self.people.values() if state.fresh]

    def denied(self) -> frozenset[str]:
        """The sources that are on and that the PBX does not have, or does not let this API client read."""
        return frozenset(state.description.name for state in self._all() if state.on and state.access_denied)

    def introduces(self, source: CallSourceState) -> bool:
        """Whether the DNs that this source of calls covers are the users, as no source of people is on."""
        return source.description.introduces_users and not any(state.on for state in self.people.values())

    def introduced(self) -> list[str]:
        """The DNs that sources of calls introduce as users, where `introduces` holds."""
        introducing = [state for state in self.calls.values() if state.description.introduces_users]
        return sorted({dn for state in introducing for dn in state.covered or ()})

    def push_covers(self, dns: Iterable[str], queues: Iterable[str] = ()) -> bool:
        """Whether changes of the calls of all these users, and of the callers in these queues, are being pushed."""
        if not all(any(state.live and state.covers_queue(dn) for state in self.calls.values()) for dn in queues):
            return False
        live = [state for state in self.calls.values() if state.live]
        if not live or any(state.covered is None for state in live):
            return bool(live)
        return frozenset[str]().union(*(state.covered or () for state in live)).issuperset(dns)

    def rank(self) -> bool:
        """Sort the sources of calls; says whether another one is preferred now."""
        before = self.preferred
        fresh = (state for state in self.calls.values() if state.fresh)
        self.preferred = tuple(sorted(fresh, key=lambda state: (state.live, state.as_of), reverse=True))
        return self.preferred != before

    def expire(self, now: float) -> bool:
        """Stop using facts that are too old at `now` (monotonic); says whether there were any."""
        expired = [state.expired(now) for state in self._all()]
        return any(expired)

    def note_failure(self, source: str, error: SourceError, now: float, grace: float) -> bool:
        """A source failed; says whether that changes what is known about calls. Unknown names, as the probe's, pass."""
        expected = self.calls_expected
        access_denied = isinstance(error, SourceMissing | SourcePermissionError)
        if source in self.people:
            self.people[source].failed(access_denied=access_denied)
        if source in self.others:
            self.others[source].reported, self.others[source].access_denied = True, access_denied
        failed = self.calls.get(source)
        if failed is None:
            return False
        failed.failed(access_denied=access_denied)
        if failed.live:
            failed.lose_push(now, grace)
            for other in self.calls.values():
                if other is not failed and not other.live:
                    other.shorten(now, grace)
        return self.rank() or self.calls_expected is not expected

    def _all(self) -> Iterator[PeopleSourceState | CallSourceState | FactsState]:
        yield from self.people.values()
        yield from self.calls.values()
        yield from self.others.values()
