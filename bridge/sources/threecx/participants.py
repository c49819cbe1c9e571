"""The participants of all extensions as Call Control reports them, and the races between events and answers.

An event only says that something has changed. The participant has to be requested, and the answer may arrive after a
later event, or after the call has ended; so may the answer to the request for all of them. An event that arrives after
a request was sent is newer than the answer to it.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce

from bridge.domain.calls import completed, joined
from bridge.domain.certainty import Certainty
from bridge.domain.model import CallStatus, Direction, Leg, Legs
from bridge.sources.threecx.directory import Directory
from bridge.sources.threecx.parse import Extension, Participant

Key = tuple[str, int]
"""A DN and the id of one of its participants."""


_MOST_OF_ONE = 50
"""Participants of one extension that events may add: what is beyond any telephone is not kept."""


class Participants:
    """The known participants, by DN, and the requests that are under way."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._known: dict[str, dict[int, Participant]] = {}
        self._calls: defaultdict[str, set[Key]] = defaultdict(set)
        """Call → its participants."""
        self._lacking: set[str] = set()
        """Extensions with a call whose other side, or direction, is not known."""
        self._wanted: dict[Key, int] = {}
        """Participants to request → the ticket of the latest event about each."""
        self._touched: set[Key] | None = None
        """Participants that events were about since all were requested; None while no such request is under way."""
        self._tickets = itertools.count()

    def changed(self, key: Key) -> None:
        """An event says that the participant is new or has changed, without saying how."""
        self._wanted[key] = next(self._tickets)
        self._touch(key)

    def requesting(self, key: Key) -> int | None:
        """The ticket for a request that is about to be sent; None: the participant need not be requested any more."""
        return self._wanted.get(key)

    def received(self, key: Key, ticket: int, participant: Participant | None) -> bool:
        """Store the answer (None: gone) unless an event is newer than the request; says whether it was stored."""
        if self._wanted.get(key) != ticket:
            return False
        self.store(key, participant)
        return True

    def store(self, key: Key, participant: Participant | None) -> None:
        """The participant as it is now, or None: it is gone. It need not be requested."""
        self._wanted.pop(key, None)
        self._touch(key)
        dn, number = key
        before = self._known.get(dn, {}).pop(number, None)
        if before is not None:
            self._leave(before.call, key)
        if participant is not None:
            self._known.setdefault(dn, {})[number] = participant
            self._calls[participant.call].add(key)
        elif not self._known.get(dn, True):
            del self._known[dn]

    def is_full(self, key: Key) -> bool:
        """Whether the participant is new and too many of its extension are known already."""
        known = self._known.get(key[0], {})
        return len(known) >= _MOST_OF_ONE and key[1] not in known

    def give_up(self, key: Key) -> None:
        """The request failed: what was known about the participant is kept until everything is read again."""
        self._wanted.pop(key, None)

    def requesting_all(self) -> None:
        """The request for all participants is about to be sent."""
        self._touched = set(self._wanted)

    def all_received(self, extensions: Iterable[Extension]) -> None:
        """Store the answer, except for participants that events were about since the request was sent.

        One that has changed and is still being requested is stored all the same: an old state is better than none.
        """
        touched, self._touched = self._touched or set(), None
        fresh: dict[str, dict[int, Participant]] = {}
        for extension in extensions:
            for each in extension.participants:
                if (extension.dn, each.id) not in touched or (extension.dn, each.id) in self._wanted:
                    fresh.setdefault(extension.dn, {})[each.id] = each
        for dn, number in touched:
            kept = self._known.get(dn, {}).get(number)
            if kept is not None:
                fresh.setdefault(dn, {})[number] = kept
        for extension in extensions:  # one that cannot be read now may be one that is known
            if extension.unread:
                fresh[extension.dn] = self._known.get(extension.dn, {}) | fresh.get(extension.dn, {})
        self._known = fresh
        self._calls.clear()
        for dn, participants in fresh.items():
            for number, each in participants.items():
                self._calls[each.call].add((dn, number))

    def legs(self, dn: str) -> Legs:
        """The calls of one extension. Several devices in one call are one call, with the status of the furthest one.

        What they leave open about the other side, the other extensions in the same call may say.
        """
        calls = self._own_legs(dn)
        for call, leg in calls.items():
            if _lacks(leg):
                calls[call] = reduce(completed, self._others(dn, leg), leg)
        if any(map(_lacks, calls.values())):
            self._lacking.add(dn)
        else:
            self._lacking.discard(dn)
        return tuple(calls[call] for call in sorted(calls))

    def in_doubt(self, dn: str) -> set[str]:
        """The other extensions in the calls of `dn` that left something open, and may now learn it from `dn`."""
        if not self._lacking - {dn}:
            return set()
        return {
            other
            for each in self._known.get(dn, {}).values()
            for other, _ in self._calls.get(each.call, ())
            if other != dn and other in self._lacking
        }

    def all_legs(self) -> dict[str, Legs]:
        """The calls of all extensions that have one."""
        found = {dn: self.legs(dn) for dn in self._known}
        return {dn: legs for dn, legs in found.items() if legs}

    def _touch(self, key: Key) -> None:
        if self._touched is not None:
            self._touched.add(key)

    def _own_legs(self, dn: str) -> dict[str, Leg]:
        calls: dict[str, Leg] = {}
        for each in self._known.get(dn, {}).values():
            if not each.over:
                leg = each.leg(dn, self._directory)
                calls[each.call] = joined(calls[each.call], leg) if each.call in calls else leg
        return calls

    def _others(self, dn: str, own: Leg) -> Iterator[Leg]:
        """What the other extensions in a call show about the other side of `dn`.

        An extension that calls, or that names `dn`, is the other side itself. One that is called has the same one.
        """
        for other in sorted({other for other, _ in self._calls.get(own.id, ())} - {dn}):
            leg = self._own_legs(other).get(own.id)
            if leg is None:
                continue
            called = leg.status is CallStatus.RINGING or leg.direction is Direction.INBOUND
            if leg.party == dn or (leg.status is CallStatus.DIALING and own.status is not CallStatus.DIALING):
                caller = Leg(own.id, None, direction=Direction.INTERNAL, party=other, internal=True)
                yield replace(caller, certainty=Certainty.PARSED)
            elif called and own.status is not CallStatus.DIALING:
                yield replace(leg, certainty=min(leg.certainty, Certainty.PARSED))

    def _leave(self, call: str, key: Key) -> None:
        """The participant is not in this call any more."""
        self._calls[call].discard(key)
        if not self._calls[call]:
            del self._calls[call]


def _lacks(leg: Leg) -> bool:
    return leg.direction is None or leg.certainty is Certainty.PLACEHOLDER
