"""Who is published: users come with the rounds of the sources, and go when none reports them any more."""

import logging
from collections.abc import Iterable, Iterator, Mapping

from bridge.domain.clock import Clock
from bridge.domain.model import Remembered, Row, State, UserRow
from bridge.engine.admission import Admission
from bridge.engine.settings import UsersSettings
from bridge.engine.source_state import PeopleSourceState, SourceStates
from bridge.engine.user_record import UserRecord
from bridge.log import Recurring

_FEW = 3

_logger = logging.getLogger(__name__)


class Roster:
    """The users by DN. What a method calls changed is to be derived anew; who goes is collected in `gone`."""

    def __init__(self, settings: UsersSettings, states: SourceStates, clock: Clock) -> None:
        self._settings = settings
        self._states = states
        self._introduced: frozenset[str] = frozenset()
        self._clock = clock
        self._admission = Admission(settings)
        self._specials: set[str] = set()
        self._drop_unreported = False
        self._guarded = True
        self._mass_removal = Recurring(_logger)
        self.known: dict[str, UserRecord] = {}
        self.gone: list[UserRecord] = []

    def __len__(self) -> int:
        return len(self.known)

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def lift_guard(self) -> None:
        """Let the next round remove as many users as it will."""
        self._guarded = False

    def take(self, source: PeopleSourceState, rows: Mapping[str, Row], *, complete: bool) -> set[str]:
        """Take in a round; returns the DNs that are new or whose facts changed."""
        source.rows, source.complete = rows, complete
        changed = set()
        for dn, row in rows.items():
            if isinstance(row, UserRow):
                self._note_special(row)
            if not self._admits(dn):
                self._remove([dn])
                continue
            known = self.known.get(dn)
            if known is None:
                known = self.known[dn] = UserRecord()
            if known.take(source.name, row, self._states.people.values()):
                changed.add(dn)
        absent = [dn for dn in self.known if dn not in rows]
        if absent:
            if complete:
                self._forget_missing(absent)
                self._guarded = True
            changed |= self._without(source, absent)
        self.drop_unreported()
        return changed & self.known.keys()

    def introduce(self, dns: Iterable[str]) -> None:
        """Where no source reports users, those whose calls are pushed are the users."""
        self._introduced = frozenset(dns)
        for dn in sorted(self._introduced):
            if self._admits(dn):
                self.known.setdefault(dn, UserRecord()).missing_since = None
        self._forget_missing([dn for dn in self.known if dn not in self._introduced])

    def adopt(self, remembered: Mapping[str, Remembered], *, same_options: bool) -> None:
        """Take over whom an earlier run had published; see Engine.adopt."""
        self._drop_unreported = not same_options
        for dn, past in remembered.items():
            if self._admits(dn):  # others are not taken over, and so cleared as leftovers
                known = self.known.setdefault(dn, UserRecord())
                known.name, known.department = known.name or past.name, known.department or past.department
                if known.user is None or known.user.state in {past.state, State.UNKNOWN}:
                    known.before_silence = (past.state, past.since)
        self.drop_unreported()

    def drop_unreported(self) -> None:
        """Once all sources of users have spoken after the options changed, let go of whom none of them reports."""
        people = [source for source in self._states.people.values() if source.on]
        if self._drop_unreported and all(each.reported for each in people) and any(each.fresh for each in people):
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
        """Drop the rows of users whom `source` does not report now; returns the DNs that had one."""
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
