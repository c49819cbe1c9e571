"""Which numbers are, or were a moment ago, in which call: the phones of a ring group or queue share its id."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from bridge.domain.model import CallStatus, Direction, Leg

_MOST_ENDED = 4096
"""Ended calls that are remembered at most; the oldest is forgotten first."""
_CONNECTED = frozenset({CallStatus.ON_CALL, CallStatus.ON_HOLD})

Moment = tuple[float, int]
"""When a source reported something: monotonic seconds, and a number that orders reports of the same time."""


@dataclass(slots=True)
class Member:
    """What one number did in one call, and when."""

    leg: Leg
    """As reported last."""
    status: CallStatus | None
    """None: it has left the call, or its status is not known."""
    joined_at: Moment
    rang_at: Moment | None = None
    dialled_at: Moment | None = None
    connected_at: Moment | None = None
    present: bool = True

    def take(self, leg: Leg, now: Moment) -> None:
        """The leg as it is now. A status that is unknown, or a guess, does not replace one that was reported."""
        self.leg = leg
        if leg.status is not None and not (leg.keeps and self.status is not None):
            self.status = leg.status
        if self.status is CallStatus.RINGING and self.rang_at is None:
            self.rang_at = now
        elif self.status is CallStatus.DIALING and self.dialled_at is None:
            self.dialled_at = now
        elif self.status in _CONNECTED and self.connected_at is None:
            self.connected_at = now


class CallMembers:
    """The members of all calls by id, whichever source reports them, also those that are no published users."""

    def __init__(self, is_extension: Callable[[str], bool], slack: float, remember: float) -> None:
        """`is_extension`: whether a number is a person's phone; queues, trunks and the voicemail answer no call.

        Events of several phones that happen together may be reported in any order within `slack` seconds. Calls are
        remembered for `remember` seconds after the last member has left.
        """
        self._is_extension = is_extension
        self._slack = slack
        self._remember = remember
        self._reports = itertools.count()
        self._calls: dict[str, dict[str, Member]] = {}
        self._present: dict[str, frozenset[str]] = {}
        """The calls that each number is in now."""
        self._ended: dict[str, float] = {}
        """Calls without a present member → since when, oldest first."""

    def __iter__(self) -> Iterator[str]:
        """The numbers that are in a call now."""
        return iter(tuple(self._present))

    def __len__(self) -> int:
        """How many calls are remembered."""
        return len(self._calls)

    def note(self, legs: Mapping[str, Iterable[Leg]], now: float, *, interrupted: bool = False) -> None:
        """One report: all calls of each of these numbers at `now` (monotonic seconds).

        `interrupted`: nothing was reported for a while. A PBX that has restarted meanwhile counts its calls from the
        start, so an id may stand for another call now; that of a call that has ended may at any later time.
        """
        moment = now, next(self._reports)
        legs = {dn: tuple(each) for dn, each in legs.items()}
        self._forget_replaced(leg for each in legs.values() for leg in each if interrupted or leg.id in self._ended)
        for dn, each in legs.items():
            self._note(dn, {leg.id: leg for leg in each}, moment)
        self._forget(now)

    def answered_by(self, call: str, dn: str) -> str | None:
        """The extension at which the call was answered that rang at `dn`; of several, the first; None: not known."""
        members = self._calls.get(call, {})
        own = members.get(dn)
        if own is None:
            return None
        answers = [
            (member.connected_at, other)
            for other, member in members.items()
            if member.connected_at is not None and other != dn and self._answered(other, member, own)
        ]
        return min(answers)[1] if answers else None

    def rings_elsewhere(self, call: str, dn: str) -> bool:
        """Whether another extension than `dn` still rings because of this call."""
        return any(
            member.status is CallStatus.RINGING and other != dn and self._is_extension(other)
            for other, member in self._calls.get(call, {}).items()
        )

    def caller_left(self, call: str, dn: str) -> bool:
        """Whether a colleague called `dn` and is known to have hung up, so that nobody can answer any more."""
        members = self._calls.get(call, {})
        own = members.get(dn)
        if own is None or own.leg.direction is not Direction.INTERNAL or own.leg.party is None:
            return False
        caller = members.get(own.leg.party)
        return caller is not None and not caller.present

    def called_with(self, call: str, dn: str) -> Iterator[Leg]:
        """The legs of others that this call rang at: they name the caller. Not those that `dn` itself has called."""
        for other, member in self._calls.get(call, {}).items():
            if other != dn and member.rang_at is not None and member.leg.party != dn:
                yield member.leg

    def _answered(self, other: str, member: Member, own: Member) -> bool:
        """Whether that member, who is or was connected, took the call that rang at `own`.

        The caller is connected too, to the voicemail for instance, and is no answer; nor is one who was in the call
        before it rang here, and transferred it. In a call from outside no extension is the caller: who dials there,
        dials the code of a pick-up.
        """
        rang_at = own.joined_at if own.rang_at is None else own.rang_at
        connected_at, dialled_at = member.connected_at, member.dialled_at
        if connected_at is None or not self._is_extension(other):
            return False
        if own.leg.direction is not Direction.INBOUND:
            calls = dialled_at is not None and dialled_at[0] <= rang_at[0] + self._slack
            if calls or other == own.leg.party:
                return False
        # Reported first as connected: another phone of the ring group, unless it has transferred the call.
        early = member.rang_at is not None and member.present and connected_at[0] >= rang_at[0] - self._slack
        return connected_at >= rang_at or early

    def _forget_replaced(self, legs: Iterable[Leg]) -> None:
        """Forget calls whose id another call has now: both have outside numbers, and not one in common."""
        parties: defaultdict[str, set[str]] = defaultdict(set)
        for leg in legs:
            if leg.party is not None and not leg.internal:
                parties[leg.id].add(leg.party)
        for call, new in parties.items():
            members = self._calls.get(call, {})
            old = {member.leg.party for member in members.values() if not member.leg.internal} - {None}
            if old and not old & new:
                for dn in members:
                    self._present[dn] = self._present.get(dn, frozenset()) - {call}
                del self._calls[call]
                self._ended.pop(call, None)

    def _note(self, dn: str, current: Mapping[str, Leg], now: Moment) -> None:
        for call in self._present.get(dn, frozenset()) - current.keys():
            self._leave(call, dn, now[0])
        for call, leg in current.items():
            self._ended.pop(call, None)
            members = self._calls.setdefault(call, {})
            member = members.get(dn)
            if member is None or not member.present:  # who comes back is called, or calls, anew
                member = members[dn] = Member(leg, None, now)
            member.take(leg, now)
        if current:
            self._present[dn] = frozenset(current)
        else:
            self._present.pop(dn, None)

    def _leave(self, call: str, dn: str, now: float) -> None:
        members = self._calls[call]
        members[dn].present, members[dn].status = False, None
        if not any(member.present for member in members.values()):
            self._ended[call] = now

    def _forget(self, now: float) -> None:
        while self._ended:
            call, since = next(iter(self._ended.items()))
            if now - since <= self._remember and len(self._ended) <= _MOST_ENDED:
                return
            del self._ended[call], self._calls[call]
