"""Which sources are in use, which are not and why, and whom they do not cover: for `bridge/info` and `check`."""

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from bridge.domain.model import SourceDescription, SourceReport
from bridge.domain.updates import Failure, Round
from bridge.engine.source_state import CallSourceState, SourceStates
from bridge.errors import SourceAuthError, SourceMissing, SourcePermissionError, SourceQueryError
from bridge.log import RepeatedFailure

_MOST_NAMED = 20
"""Users that one message names; it says how many there are in all."""

_NOT_USABLE = SourceMissing | SourcePermissionError | SourceQueryError | SourceAuthError
"""Failures that an administrator has to fix; after others the source may be usable again with its next attempt."""

_logger = logging.getLogger(__name__)


class SourceReports:
    """The report of each source, in the order of the configuration."""

    def __init__(self, descriptions: Iterable[SourceDescription], states: SourceStates, users: Collection[str]) -> None:
        """`users` are the DNs that are published."""
        self._states = states
        self._users = users
        described = tuple(descriptions)
        self._reports = {
            each.name: SourceReport(each.name, in_use=False, reason=each.why_off or "not read yet")
            for each in described
        }
        self._failing: set[str] = set()
        self._optional = frozenset(each.name for each in described if not each.required)
        self._totals: dict[str, int | None] = dict.fromkeys(self._reports)
        self._uncovered = {each.name: RepeatedFailure(_logger) for each in described if each.pushes}

    def __iter__(self) -> Iterator[SourceReport]:
        return iter(self._reports.values())

    @property
    def count(self) -> int | None:
        """The total that the PBX reported for $count, of the first source that has one."""
        return next((total for total in self._totals.values() if total is not None), None)

    @property
    def failing(self) -> tuple[str, ...]:
        """The sources that should be in use and cannot be read until an administrator changes something, sorted."""
        return tuple(sorted(self._failing))

    def in_use(self, source: str) -> None:
        """The source reads what it should; the log names users that it does not cover, once."""
        self._failing.discard(source)
        reason = self._not_covered(source)
        self._reports[source] = SourceReport(source, in_use=True, reason=reason)
        if source in self._uncovered:
            if reason is None:
                self._uncovered[source].recovered(f"{source} covers all users")
            else:
                self._uncovered[source].failed(f"{source} {reason}")

    def failed(self, failure: Failure) -> None:
        """Note that a source cannot be used, if that is for an administrator to fix.

        That the PBX has no such function, or denies access to it, is something that an optional source has to expect.
        """
        source, error = failure.source, failure.error
        if source in self._reports and isinstance(error, _NOT_USABLE):
            if not (isinstance(error, SourceMissing | SourcePermissionError) and source in self._optional):
                self._failing.add(source)
            self._reports[source] = SourceReport(source, in_use=False, reason=failure.reason)

    def note_total(self, update: Round) -> None:
        """Keep the total of a round."""
        self._totals[update.source] = update.total

    def users_changed(self) -> None:
        """Other users are published: the sources in use may cover all of them now, or no longer."""
        for source, report in self._reports.items():
            if report.in_use and source in self._uncovered:
                self._reports[source] = replace(report, reason=self._not_covered(source))

    def _not_covered(self, source: str) -> str | None:
        """Names the users whose calls are not pushed, and what to do about it."""
        state: CallSourceState | None = self._states.calls.get(source)
        if state is None or not state.description.pushes:
            return None
        missing = sorted(dn for dn in self._users if not state.covers(dn))
        if not missing:
            return None
        named = ", ".join(missing[:_MOST_NAMED]) + (", …" if len(missing) > _MOST_NAMED else "")
        reason = f"does not cover {len(missing)} of {len(self._users)} users ({named})"
        return f"{reason}: {state.description.uncovered_advice}" if state.description.uncovered_advice else reason
