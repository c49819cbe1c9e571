"""The participants of all extensions as Call Control reports them, and the races between events and answers.

An event only says that something has changed. The participant has to be requested, and the answer may arrive after a
later event, or after the call has ended; so may the answer to the request for all of them. An event that arrives after
a request was sent is newer than the answer to it.
"""

import itertools
from collections.abc import Iterable
from dataclasses import replace

from bridge.domain.calls import importance
from bridge.domain.model import CallStatus, Leg, Legs
from bridge.sources.threecx.parse import Extension, Participant

Key = tuple[str, int]
"""A DN and the id of one of its participants."""


class Participants:
    """The known participants, by DN, and the requests that are under way."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, Participant]] = {}
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
        if participant is not None:
            self._known.setdefault(dn, {})[number] = participant
        elif dn in self._known:
            self._known[dn].pop(number, None)
            if not self._known[dn]:
                del self._known[dn]

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
        self._known = fresh

    def legs(self, dn: str) -> Legs:
        """The calls of one extension. Several devices in one call are one call, with the status of the furthest one."""
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
        """The calls of all extensions that have one."""
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
