"""Who is published: users come with the rounds of the sources, and go when none reports them any more."""

import logging
from collections.abc import Iterable, Iterator, Mapping

from bridge.domain.clock import Clock
from bridge.domain.model import Remembered, Row, State, UserRow
from bridge.engine.admission import Admission
from bridge.engine.settings import UsersSettings
from bridge.engine.source_state import Feed, Feeds, Known
from bridge.log import Recurring

_FEW = 3

_logger = logging.getLogger(__name__)


class Roster:
    """The users by DN. What a method calls changed is to be derived anew; who goes is collected in `gone`."""

    def __init__(self, settings: UsersSettings, feeds: Feeds, clock: Clock) -> None:
        self._settings = settings
        self._feeds = feeds
        self._clock = clock
        self._admission = Admission(settings)
        self._specials: set[str] = set()
        self._drop_unreported = False
        self._guarded = True
        self._mass_removal = Recurring(_logger)
        self.known: dict[str, Known] = {}
        self.gone: list[Known] = []

    def __len__(self) -> int:
        return len(self.known)

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def lift_guard(self) -> None:
        """Let the next round remove as many users as it will."""
        self._guarded = False

    def take(self, feed: Feed, rows: Mapping[str, Row], *, complete: bool) -> set[str]:
        """Take in a round; returns the DNs that are new or whose facts changed."""
        feed.rows, feed.complete = rows, complete
        changed = set()
        for dn, row in rows.items():
            if isinstance(row, UserRow):
                self._note_special(row)
            if not self._admits(dn):
                self._remove([dn])
                continue
            known = self.known.get(dn)
            if known is None:
                known = self.known[dn] = Known()
            known.missing_since = None
            if _replaced(known, row):
                changed.add(dn)
        absent = [dn for dn in self.known if dn not in rows]
        if absent:
            if complete:
                self._forget_missing(absent)
                self._guarded = True
            changed |= self._without(feed, absent)
        self.drop_unreported()
        return changed & self.known.keys()

    def introduce(self, dns: Iterable[str]) -> None:
        """Where no source reports users, those whose calls are pushed are the users."""
        feed = self._feeds.users
        feed.rows = dict.fromkeys(dns)  # who is there, and no facts
        for dn in feed.rows:
            if self._admits(dn):
                self.known.setdefault(dn, Known()).missing_since = None
        self._forget_missing([dn for dn in self.known if dn not in feed.rows])

    def adopt(self, remembered: Mapping[str, Remembered], *, same_options: bool) -> None:
        """Take over whom an earlier run had published; see Engine.adopt."""
        self._drop_unreported = not same_options
        for dn, past in remembered.items():
            if self._admits(dn):  # others are not taken over, and so cleared as leftovers
                known = self.known.setdefault(dn, Known())
                known.name, known.department = known.name or past.name, known.department or past.department
                if known.user is None or known.user.state in {past.state, State.UNKNOWN}:
                    known.before_silence = (past.state, past.since)
        self.drop_unreported()

    def drop_unreported(self) -> None:
        """Once all sources of users have spoken after the options changed, let go of whom none of them reports."""
        feeds = [feed for feed in self._feeds.rows if feed.on]
        if self._drop_unreported and all(feed.spoken for feed in feeds) and any(feed.fresh for feed in feeds):
            self._drop_unreported = False
            self._remove([dn for dn in self.known if not self._reported(dn)])

    def _admits(self, dn: str) -> bool:
        return self._admission.admits(dn) and (self._settings.special or dn not in self._specials)

    def _note_special(self, row: UserRow) -> None:
        if row.special:
            self._specials.add(row.dn)
        else:
            self._specials.discard(row.dn)

    def _reported(self, dn: str) -> bool:
        return any(dn in feed.rows for feed in self._feeds.rows)

    def _without(self, feed: Feed, absent: Iterable[str]) -> set[str]:
        """Drop the facts that `feed` once told about users whom it does not report now; returns whose there were."""
        changed = set()
        for dn in absent:
            known = self.known.get(dn)
            if known is None:
                continue
            if feed is self._feeds.monitor and known.monitor is not None:
                known.monitor = None
                changed.add(dn)
            elif feed is self._feeds.users and known.profile is not None:
                if feed.complete and not known.doubted:
                    known.doubted = True
                    continue
                known.profile = None
                changed.add(dn)
        return changed

    def _forget_missing(self, absent: Iterable[str]) -> None:
        now = self._clock.monotonic()
        overdue = []
        for dn in absent:
            known = self.known[dn]
            if self._reported(dn):
                continue
            if known.missing_since is None:
                known.missing_since = now
            if now - known.missing_since >= self._settings.forget_after:
                overdue.append(dn)
        if self._guarded and len(overdue) > _FEW and len(overdue) * 2 > len(self.known):
            self._mass_removal.failed(
                f"the PBX no longer reports {len(overdue)} of {len(self.known)} users; in case this is a mistake "
                "there, they are kept until a refresh is requested"
            )
        elif overdue:
            self._remove(overdue)

    def _remove(self, dns: Iterable[str]) -> None:
        self.gone += [self.known.pop(dn) for dn in dns if dn in self.known]


def _replaced(known: Known, row: Row) -> bool:
    """Let `row` take the place of the last one; says whether it is another."""
    if isinstance(row, UserRow):
        known.doubted = False
        if known.profile is row:
            return False
        known.profile, known.name = row, row.name or known.name
        return True
    if known.monitor is row:
        return False
    known.monitor = row
    if known.profile is None or known.profile.name is None:
        known.name = row.name or known.name
    return True
