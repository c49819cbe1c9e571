"""Counts each user's calls of the day, across restarts of the bridge and past midnight."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from datetime import date
from itertools import islice
from zoneinfo import ZoneInfo

from bridge.domain.clock import Clock
from bridge.domain.model import CallEvent, User
from bridge.domain.privacy import CallerId, is_masked, shown_number
from bridge.domain.remembered import Remembered
from bridge.domain.today import Today, local_date
from bridge.engine.rendering import Rendering
from bridge.engine.user_record import UserRecord

_RENEWED_AT_ONCE = 500
"""Users whose new day is published in one tick: 10,000 at once would hold up everything else."""


class Tallies:
    """Publishes what changes; `of` is right at any time, also before midnight's change has been published."""

    def __init__(
        self,
        known: Mapping[str, UserRecord],
        rendering: Rendering,
        caller_id: CallerId,
        zone: ZoneInfo | None,
        clock: Clock,
    ) -> None:
        self._known = known
        self._rendering = rendering
        self._caller_id = caller_id
        self._zone = zone
        self._clock = clock
        self._date = self._today()
        self._tallies: dict[str, Today] = {}
        """Of users with a call on this day; those of removed users are kept until midnight, as they may come back."""
        self._to_renew: Iterator[str] = iter(())

    def of(self, dn: str) -> Today:
        """The user's calls of this day."""
        return self._tallies.get(dn) or Today(self._date)

    def sums(self) -> dict[str, int]:
        """The calls of all published users, by `missed`, `answered` and `made`."""
        sums = Counter(missed=0, answered=0, made=0)
        for dn in self._known.keys() & self._tallies.keys():
            tally = self._tallies[dn]
            sums.update(missed=tally.missed, answered=tally.answered, made=tally.made)
        return dict(sums)

    def note(self, user: User, event: CallEvent) -> None:
        """Count a call that has ended."""
        self._turn_page()
        before = self.of(user.number)
        after = before.counted(event, int(self._clock.wall()))
        if after != before:
            self._tallies[user.number] = after
            self._rendering.today(user.number, before, after)

    def tick(self) -> None:
        """Start a new day for everybody, some users at a time. To be called about once a second."""
        self._turn_page()
        for dn in islice(self._to_renew, _RENEWED_AT_ONCE):
            if dn in self._known:
                self._rendering.today(dn, None, self.of(dn))

    def adopt(self, remembered: Mapping[str, Remembered]) -> None:
        """Add what an earlier process counted on this day and left on the broker."""
        self._turn_page()
        for dn, past in remembered.items():
            if past.today is not None and past.today.date == self._date:
                self._tallies[dn] = self.of(dn).joined(self._private(past.today, remembered))

    def _turn_page(self) -> None:
        today = self._today()
        if today != self._date:
            self._date = today
            self._tallies.clear()
            self._to_renew = iter(tuple(self._known))

    def _today(self) -> date:
        return local_date(self._clock.wall(), self._zone)

    def _private(self, tally: Today, users: Container[str]) -> Today:
        """`privacy.caller_id` may have been less strict in the earlier process. Users are numbers of this PBX."""
        last = tally.last_missed
        if last is None or last.party is None or (self._caller_id is CallerId.MASKED and is_masked(last.party)):
            return tally
        party = shown_number(last.party, self._caller_id, internal=last.party in users)
        return replace(tally, last_missed=replace(last, party=party))
