"""Groups of users (`groups:`), kept up to date as their members change."""

from collections.abc import Iterable, Iterator, Mapping

from bridge.domain.dn import pattern
from bridge.domain.model import Group, State, User

Member = tuple[str, State, bool | None]
"""Number, state and busy: all that a group shows of a user."""


class Groups:
    """The members of each group and their states.

    `note` only stores a change; `changes` builds the groups that it affects. A group has up to as many members as there
    are users, so building it for each of them would take time that grows with the square of their number.
    """

    def __init__(self, globs: Mapping[str, Iterable[str]]) -> None:
        self._patterns = {name: pattern(members) for name, members in globs.items()}
        self._members: dict[str, dict[str, Member]] = {name: {} for name in globs}
        self._groups = {name: Group(name, None, ()) for name in globs}
        self._of: dict[str, tuple[str, ...]] = {}
        """The names of the groups of a user, by DN: matching globs is slow, and their answer never changes."""
        self._changed: set[str] = set()
        self._unsorted: set[str] = set()
        """Groups with members that were added at the end, out of order."""

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def note(self, dn: str, user: User | None) -> None:
        """Store that a user changed, or was removed (None)."""
        member = None if user is None else (user.number, user.state, user.busy)
        for name in self._groups_of(dn):
            members = self._members[name]
            if members.get(dn) == member:
                continue
            self._changed.add(name)
            if member is None:
                del members[dn]
                continue
            if dn not in members:
                self._unsorted.add(name)
            members[dn] = member
        if user is None:
            self._of.pop(dn, None)

    def changes(self) -> list[tuple[Group, Group]]:
        """(before, after) of each group that is another than at the last call."""
        changes = []
        for name in sorted(self._changed):
            before, after = self._groups[name], self._build(name)
            if before != after:
                self._groups[name] = after
                changes.append((before, after))
        self._changed.clear()
        return changes

    def _groups_of(self, dn: str) -> tuple[str, ...]:
        names = self._of.get(dn)
        if names is None:
            found = (name for name, matches in self._patterns.items() if matches is not None and matches.match(dn))
            names = self._of[dn] = tuple(found)
        return names

    def _build(self, name: str) -> Group:
        members = self._members[name]
        if name in self._unsorted:  # else a change of one of 8,000 members would sort them all
            self._unsorted.remove(name)
            members = self._members[name] = dict(sorted(members.items()))
        busy = {busy for _, _, busy in members.values()}
        return Group(
            name,
            busy=True if True in busy else False if False in busy else None,
            members=tuple(members.values()),
        )
