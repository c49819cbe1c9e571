"""Which users are published: added when a source reports them, removed when none has for `users.forget_after`."""

import logging
from collections.abc import Iterable, Iterator, Mapping

from bridge.domain.clock import Clock
from bridge.domain.model import Remembered, Row, State, UserRow
from bridge.engine.admission import Admission
from bridge.engine.settings import UsersSettings
from bridge.engine.source_state import Feed, Feeds, Known
from bridge.log import Recurring

_FEW = 3
"""So many users may disappear at once without asking, however small the PBX is."""

_logger = logging.getLogger(__name__)


class Roster:
    """The users by DN.

    Methods return the DNs whose facts changed and whose presence must be derived again. Users that were removed are
    collected in `gone` until the caller has cleared what is published of them.
    """

    def __init__(self, settings: UsersSettings, feeds: Feeds, clock: Clock) -> None:
        self._settings = settings
        self._feeds = feeds
        self._clock = clock
        self._admission = Admission(settings)
        self._specials: set[str] = set()
        self._drop_unreported = False
        self._unguarded: set[Feed] = set()
        """Sources whose next complete round may remove any number of users, because a refresh was requested."""
        self._mass_removal = Recurring(_logger)
        self.known: dict[str, Known] = {}
        self.gone: list[Known] = []

    def __len__(self) -> int:
        return len(self.known)

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def lift_guard(self) -> None:
        """Let the next complete round of each source remove any number of users, and no later round.

        Each source has a permission of its own: a user goes only when no source reports it, so it may be the last
        source to answer that decides. With one permission for all, a user who refreshes after deleting extensions
        would lose it to the first source, while the others' last rounds still have the extensions.
        """
        self._unguarded = set(self._feeds.rows)

    def take(self, feed: Feed, rows: Mapping[str, Row], *, complete: bool) -> set[str]:
        """Merge a round of `feed`; returns the DNs that are new or whose facts changed.

        Only a complete round (read to its end, narrowed by no option) says that a user is missing.
        """
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
        if complete:
            self._forget_missing(feed, absent)
        changed |= self._without(feed, absent)
        self.drop_unreported()
        return changed & self.known.keys()

    def introduce(self, dns: Iterable[str]) -> None:
        """Where no source reports users, the extensions whose calls Call Control pushes are the users.

        Their list counts as a round of the source `users`, which is off then. Like an empty answer of other sources, a
        list without extensions is not a complete round: more likely the API client lost a right than all users left.
        """
        feed = self._feeds.users
        feed.rows = dict.fromkeys(dns)  # no facts but that they exist
        for dn in feed.rows:
            if self._admits(dn):
                self.known.setdefault(dn, Known()).missing_since = None
        if feed.rows:
            self._forget_missing(feed, [dn for dn in self.known if dn not in feed.rows])

    def adopt(self, remembered: Mapping[str, Remembered], *, same_options: bool) -> None:
        """Add the users that an earlier run had published; see Engine.adopt."""
        self._drop_unreported = not same_options
        for dn, past in remembered.items():
            if self._admits(dn):  # what is retained of others is cleared by comparing with the snapshot
                known = self.known.setdefault(dn, Known())
                known.name, known.department = known.name or past.name, known.department or past.department
                if known.user is None or known.user.state in {past.state, State.UNKNOWN}:
                    known.before_silence = (past.state, past.since)
        self.drop_unreported()

    def drop_unreported(self) -> None:
        """After a start with other options, remove users that no source reports, once every source has reported.

        The guard does not apply: options that admit fewer users are meant to remove many at once.
        """
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
        """Drop what `feed` said earlier about users that it does not report now; returns the DNs that this changes."""
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

    def _forget_missing(self, feed: Feed, absent: Iterable[str]) -> None:
        """After a complete round of `feed`: remove the users that no source has reported for `forget_after`."""
        guarded = feed not in self._unguarded
        self._unguarded.discard(feed)
        overdue = self._overdue(absent)
        if guarded and len(overdue) > _FEW and len(overdue) * 2 > len(self.known):
            self._mass_removal.failed(
                f"the PBX no longer reports {len(overdue)} of {len(self.known)} users; in case this is a mistake "
                "there, they are kept until a refresh is requested"
            )
            return
        self._remove(overdue)
        # Ends this failure, so that another mass removal is reported again, also one of the same numbers.
        self._mass_removal.recovered("the guard against mass removal holds no users back any more")

    def _overdue(self, absent: Iterable[str]) -> list[str]:
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
        return overdue

    def _remove(self, dns: Iterable[str]) -> None:
        self.gone += [self.known.pop(dn) for dn in dns if dn in self.known]


def _replaced(known: Known, row: Row) -> bool:
    """Store `row` in place of the previous one; returns whether they differ."""
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
