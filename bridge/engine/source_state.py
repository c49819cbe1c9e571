"""What each source said last, how far it is to be trusted, and what is known about one user."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.domain.calls import Call
from bridge.domain.model import Calls, Legs, MonitorRow, Row, State, User, UserRow


@dataclass(slots=True, eq=False)
class Feed:
    """A source of users: rows by DN."""

    name: str
    on: bool
    """Whether the configuration wants it."""
    rows: Mapping[str, Row | None] = field(default_factory=dict)
    complete: bool = False
    fresh: bool = False
    """Whether its rows may be believed."""
    spoken: bool = False
    """Whether it has told all that it will for now: a first round, or why there will be none."""
    _until: float = 0.0

    def heard(self, now: float, good_for: float) -> None:
        """Its facts were read just now."""
        self.fresh = self.spoken = True
        self._until = now + good_for

    def expired(self, now: float) -> bool:
        """Whether its facts, believed so far, are too old by now; asked once they are, it says no again."""
        if self.fresh and now > self._until:
            self.fresh = False
            return True
        return False


@dataclass(slots=True, eq=False)
class CallFeed:
    """A source of calls."""

    name: str
    on: bool
    required: bool = True
    """Whether it counts as a source even while it cannot be used."""
    kept_out: bool = False
    """Whether the PBX does not let this API client in."""
    legs: dict[str, Legs] = field(default_factory=dict)
    covered: frozenset[str] | None = frozenset()
    fresh: bool = False
    spoken: bool = False
    live: bool = False
    """A live feed is up to date at any moment; others are as of `as_of`."""
    as_of: float = 0.0
    _until: float = 0.0

    def replace(self, update: Calls) -> set[str]:
        """Take in everything anew; returns the numbers whose calls changed."""
        legs = dict(update.legs)
        changed = {dn for dn in self.legs.keys() | legs.keys() if self.legs.get(dn) != legs.get(dn)}
        self.legs, self.covered = legs, update.covered
        self.live, self.as_of, self._until = update.live, update.as_of, update.as_of + update.good_for
        self.fresh = self.spoken = True
        self.kept_out = False
        return changed

    def change(self, dn: str, legs: Legs) -> bool:
        """Take in the calls of one user; says whether anything changed."""
        if self.legs.get(dn, ()) == legs:
            return False
        if legs:
            self.legs[dn] = legs
        else:
            del self.legs[dn]
        return True

    def lost(self, now: float, good_for: float) -> None:
        """The connection broke: what it said holds a little longer, unless another source knows later."""
        self.live, self.as_of, self._until = False, now, now + good_for

    def doubt(self, now: float, good_for: float) -> None:
        """Believe what it said for so long at most: it was asked seldom while another source knew better."""
        self._until = min(self._until, now + good_for)

    def expired(self, now: float) -> bool:
        """As for Feed."""
        if self.fresh and now > self._until:
            self.fresh = self.live = False
            return True
        return False

    def covers(self, dn: str) -> bool:
        """Whether it tells about this user."""
        return self.covered is None or dn in self.covered


@dataclass(slots=True)
class Feeds:
    """The four sources, by what they tell."""

    monitor: Feed
    users: Feed
    active: CallFeed
    control: CallFeed
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the PBX's custom profiles."""
    departments: Mapping[int, str] | None = None
    """Names by id; None while nobody has told."""
    in_charge: tuple[CallFeed, ...] = ()
    """The sources of calls to ask about a user, one after the other until one covers the user: the latest first."""

    @property
    def rows(self) -> tuple[Feed, Feed]:
        """Those that tell who the users are."""
        return self.monitor, self.users

    @property
    def calls(self) -> tuple[CallFeed, CallFeed]:
        """Those that tell of calls."""
        return self.control, self.active

    @property
    def all(self) -> tuple[Feed | CallFeed, ...]:
        """All of them."""
        return (*self.rows, *self.calls)

    @property
    def calls_expected(self) -> bool:
        """Whether some source should tell of calls; Call Control on `auto` does unless the PBX keeps the bridge out."""
        control = self.control
        return self.active.on or (control.on and (control.required or not control.kept_out))

    def rank(self) -> bool:
        """Put the sources of calls in order again; says whether that changed who is in charge."""
        before = self.in_charge
        fresh = (feed for feed in self.calls if feed.fresh)
        self.in_charge = tuple(sorted(fresh, key=lambda feed: (feed.live, feed.as_of), reverse=True))
        return self.in_charge != before

    def expire(self, now: float) -> bool:
        """Stop believing what is too old by now (monotonic); says whether anything was."""
        expired = [feed.expired(now) for feed in self.all]
        return any(expired)


@dataclass(slots=True)
class Known:
    """What is known about one user."""

    name: str | None = None
    department: str | None = None
    monitor: MonitorRow | None = None
    profile: UserRow | None = None
    doubted: bool = False
    """Missing from one complete round of Users: while pages are read, users may slip from one to another unseen."""
    calls: tuple[Call, ...] | None = None
    """None: not known, so that what comes next happened nobody knows when."""
    calls_from: CallFeed | None = None
    user: User | None = None
    """As published last."""
    missing_since: float | None = None
    """When the first complete round came without this user (monotonic)."""
    before_silence: tuple[State, int] | None = None
    """State and `since` from before the news stopped: the state holds if it is the same afterwards."""
