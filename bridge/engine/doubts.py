"""Whose calls a source may have failed to report, because the PBX sent something that cannot be read.

That a call is missing from such a report does not prove its end. Until a report can be read again, what was known stays
in use for as long as it could have been used without that report; then nothing is known.
"""

from collections.abc import Mapping

from bridge.domain.model import Legs


class Doubts:
    """Of one source of calls. All times are monotonic seconds."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        """DN → until when it stays as it was."""
        self._everybody: float | None = None
        """The same for all DNs; None: not all are in doubt."""
        self._lapsed: frozenset[str] = frozenset()
        self._all_lapsed = False

    def renew(self, unread: frozenset[str] | None, good_until: float, now: float) -> None:
        """A report came. `unread` is as in Calls; what was known before may be used until `good_until`."""
        before, everybody = self._until, self._everybody
        since = good_until if everybody is None else everybody
        self._everybody = since if unread is None else None
        self._until = {dn: before.get(dn, since) for dn in unread or ()}
        if unread is None:
            self._until = dict(before)
        self.lapse(now)

    def kept(self, before: Mapping[str, Legs], after: Mapping[str, Legs]) -> dict[str, Legs]:
        """The calls in `after`, a report, with those in `before` that it may have failed to report."""
        found = dict(after)
        for dn, legs in before.items():
            if self.about(dn) and not self.lapsed(dn):
                ids = {leg.id for leg in found.get(dn, ())}
                found[dn] = (*found.get(dn, ()), *(leg for leg in legs if leg.id not in ids))
        return found

    def lapsed(self, dn: str) -> bool:
        """Whether it is not known any more which calls the DN has besides those that were reported."""
        return self._all_lapsed or dn in self._lapsed

    def lapse(self, now: float) -> bool:
        """Stop using what is too old; says whether there was any."""
        before = self.state
        self._all_lapsed = self._everybody is not None and now > self._everybody
        self._lapsed = frozenset(dn for dn, until in self._until.items() if now > until)
        return self.state != before

    @property
    def state(self) -> object:
        """Who is in doubt and who has lapsed, to be compared."""
        return self._everybody is None, self._until.keys() | set(), self._all_lapsed, self._lapsed

    def about(self, dn: str) -> bool:
        """Whether the DN may have calls besides those that were reported."""
        return self._everybody is not None or dn in self._until
