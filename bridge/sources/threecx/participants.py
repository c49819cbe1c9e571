"""The participants of all extensions as Call Control's events tell them, and the races between events and answers.

An event only says that something changed: the participant has to be fetched, and the answer may come after a later
event, or after the call is over. So may the answer to the question for everything. What an event has said since a
question was asked beats the answer.
"""

import itertools
from collections.abc import Iterable
from dataclasses import replace

from bridge.domain.calls import importance
from bridge.domain.model import CallStatus, Leg, Legs
from bridge.sources.threecx.parse import Extension, Participant

Key = tuple[str, int]
"""A DN and the number of one of its participants."""


class Participants:
    """What is known, by DN; and what is being asked for."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, Participant]] = {}
        self._wanted: dict[Key, int] = {}
        """Participants to ask for → the ticket of the latest event that says so."""
        self._touched: set[Key] | None = None
        """What events told of since everything was asked for; None while nobody asks."""
        self._tickets = itertools.count()

    def changed(self, key: Key) -> None:
        """An event says that the participant is new or other than before, without saying how."""
        self._wanted[key] = next(self._tickets)
        self._touch(key)

    def asking(self, key: Key) -> int | None:
        """A ticket for the question that is about to be asked; None when there is nothing to ask any more."""
        return self._wanted.get(key)

    def answered(self, key: Key, ticket: int, participant: Participant | None) -> bool:
        """Take the answer (None: gone) unless something has happened since; says whether it was taken."""
        if self._wanted.get(key) != ticket:
            return False
        self.told(key, participant)
        return True

    def told(self, key: Key, participant: Participant | None) -> None:
        """The participant is so, or gone (None): nothing needs to be asked."""
        self._wanted.pop(key, None)
        self._touch(key)
        dn, number = key
        if participant is not None:
            self._known.setdefault(dn, {})[number] = participant
        elif dn in self._known:
            self._known[dn].pop(number, None)
            if not self._known[dn]:
                del self._known[dn]

    def given_up(self, key: Key) -> None:
        """No answer can be had: what was known holds until everything is read anew."""
        self._wanted.pop(key, None)

    def asking_for_all(self) -> None:
        """The question for everything is about to be asked."""
        self._touched = set(self._wanted)

    def all_answered(self, extensions: Iterable[Extension]) -> None:
        """Take the answer, but for what events have told since it was asked.

        Of a participant that is only known to be another by now, and still asked for, it is better than nothing.
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
        self._known = fresh

    def legs(self, dn: str) -> Legs:
        """The calls of one extension: several devices in one call are one call, as far on as the furthest of them."""
        calls: dict[str, Leg] = {}
        for each in self._known.get(dn, {}).values():
            if each.status is None:
                continue
            known = calls.get(each.call)
            if known is None or _further(each.status, known.status):
                leg = _leg(each)
                calls[each.call] = leg if known is None else replace(leg, direction=leg.direction or known.direction)
        return tuple(calls[call] for call in sorted(calls))

    def all_legs(self) -> dict[str, Legs]:
        """The calls of everybody who has one."""
        found = {dn: self.legs(dn) for dn in self._known}
        return {dn: legs for dn, legs in found.items() if legs}

    def _touch(self, key: Key) -> None:
        if self._touched is not None:
            self._touched.add(key)


def _further(status: CallStatus, than: CallStatus | None) -> bool:
    return than is None or importance(status) < importance(than)


def _leg(participant: Participant) -> Leg:
    return Leg(
        id=participant.call,
        status=participant.status,
        direction=participant.direction,
        party=participant.party,
        internal=participant.internal,
        name=participant.name,
        via=participant.via,
    )
