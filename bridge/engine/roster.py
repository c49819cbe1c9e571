"""Which users are published: added when a source reports them, removed when none has for `users.forget_after`."""

import logging
from collections.abc import Iterable, Iterator, Mapping

from bridge.domain.clock import Clock
from bridge.domain.model import Row, State, User, UserRow
from bridge.domain.remembered import Remembered
from bridge.engine.admission import Admission
from bridge.engine.settings import UsersSettings
from bridge.engine.source_state import PeopleSourceState, SourceStates
from bridge.engine.user_record import UserRecord
from bridge.log import RepeatedFailure

_FEW = 3
"""So many users may disappear at once without asking, however small the PBX is."""
_INTRODUCED = "pushed extensions"
"""Stands for the source of users where only Call Control reports extensions; no source has this name."""

_logger = logging.getLogger(__name__)


class Roster:
    """The users by DN.

    Methods return the DNs whose facts changed and whose presence must be derived again. Users that were removed are
    collected in `gone` until the caller has cleared what is published of them.
    """

    def __init__(self, settings: UsersSettings, states: SourceStates, clock: Clock) -> None:
        self._settings = settings
        self._states = states
        self._introduced: frozenset[str] = frozenset()
        self._clock = clock
        self._admission = Admission(settings)
        self._specials: set[str] = set()
        self._drop_unreported = False
        self._unguarded: set[str] = set()
        """Sources whose next complete round may remove any number of users, because a refresh was requested."""
        self._mass_removal = RepeatedFailure(_logger)
        self.known: dict[str, UserRecord] = {}
        self.gone: list[UserRecord] = []

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
        self._unguarded = {*self._states.people, _INTRODUCED}

    def take(self, source: PeopleSourceState, rows: Mapping[str, Row], *, complete: bool) -> set[str]:
        """Merge a round of `source`; returns the DNs that are new or whose facts changed.

        Only a complete round (read to its end, narrowed by no option) says that a user is missing.
        """
        source.rows, source.complete = rows, complete
        changed = set()
        name, people = source.name, self._states.people.values()
        for dn, row in rows.items():
            known = self.known.get(dn)
            if known is not None and known.rows.get(name) is row:  # unchanged pages give the very same objects,
                known.confirm(name)  # about which everything below has been decided
                continue
            if isinstance(row, UserRow):
                self._note_special(row)
            if not self._admits(dn):
                self._remove([dn])
                continue
            if known is None:
                known = self.known[dn] = UserRecord()
            if known.take(name, row, people):
                changed.add(dn)
        absent = [dn for dn in self.known if dn not in rows]
        if complete:
            self._forget_missing(source.name, absent)
        changed |= self._without(source, absent)
        self.drop_unreported()
        return changed & self.known.keys()

    def introduce(self, dns: Iterable[str]) -> None:
        """Where no source reports users, the extensions whose calls are pushed are the users.

        Their list counts as a round of a source of people. Like an empty answer of other sources, a list without
        extensions is not a complete round: more likely the API client lost a right than all users left.
        """
        self._introduced = frozenset(dns)
        for dn in sorted(self._introduced):
            if self._admits(dn):
                self.known.setdefault(dn, UserRecord()).missing_since = None
        if self._introduced:
            self._forget_missing(_INTRODUCED, [dn for dn in self.known if dn not in self._introduced])

    def user(self, dn: str) -> User | None:
        """As published; None where the DN is not published."""
        known = self.known.get(dn)
        return None if known is None else known.user

    def adopt(self, remembered: Mapping[str, Remembered], *, same_options: bool, now: int) -> None:
        """Add the users that an earlier run had published, with their states. `now` is in Unix seconds.

        Where the options differ from that run's, users that no source reports are removed as soon as all have reported.
        A time in the future or before 1970 was written while a clock was wrong: the state then holds since now.
        """
        self._drop_unreported = not same_options
        for dn, past in remembered.items():
            if self._admits(dn):  # what is retained of others is cleared by comparing with the snapshot
                known = self.known.setdefault(dn, UserRecord())
                known.name, known.department = known.name or past.name, known.department or past.department
                if known.user is None or known.user.state in {past.state, State.UNKNOWN}:
                    known.before_silence = (past.state, past.since if 0 <= past.since <= now else now)
        self.drop_unreported()

    def drop_unreported(self) -> None:
        """After a start with other options, remove users that no source reports, once it is known whom each reports.

        A source that only timed out may well report users that no other one does, so it is waited for.
        The guard does not apply: options that admit fewer users are meant to remove many at once.
        """
        people = [source for source in self._states.people.values() if source.on]
        if self._drop_unreported and all(each.decided for each in people) and any(each.fresh for each in people):
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
        return dn in self._introduced or any(dn in source.rows for source in self._states.people.values())

    def _without(self, source: PeopleSourceState, absent: Iterable[str]) -> set[str]:
        """Drop what `source` said earlier about users that it does not report now; returns the DNs that changed."""
        changed = set()
        for dn in absent:
            known = self.known.get(dn)
            if known is None or source.name not in known.rows:
                continue
            if isinstance(known.rows[source.name], UserRow) and source.complete and source.name not in known.doubted:
                known.doubted |= {source.name}
                continue
            del known.rows[source.name]
            changed.add(dn)
        return changed

    def _forget_missing(self, source: str, absent: Iterable[str]) -> None:
        """After a complete round of `source`: remove the users that no source has reported for `forget_after`."""
        guarded = source not in self._unguarded
        self._unguarded.discard(source)
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
