"""Groups of users (`groups:`), kept up to date as their members change."""

from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet

from bridge.domain.model import Group, State, User
from bridge.engine.membership import Membership
from bridge.engine.settings import GroupSettings

Member = tuple[str, State, bool | None]
"""Number, state and busy: all that a group shows of a user."""


class Groups:
    """The members of each group and their states.

    `note` only stores a change; `changes` builds the groups that it affects. A group has up to as many members as there
    are users, so building it for each of them would take time that grows with the square of their number.
    """

    def __init__(self, groups: Mapping[str, GroupSettings]) -> None:
        self._membership = Membership(groups)
        self._members: dict[str, dict[str, Member]] = {name: {} for name in groups}
        self._groups = {name: Group(name, None, ()) for name in groups}
        self._of: dict[str, tuple[str, ...]] = {}
        """The names of the groups that each user is in, by DN."""
        self._changed: set[str] = set()
        self._unsorted: set[str] = set()
        """Groups with members that were added at the end, out of order."""

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def note(self, dn: str, user: User | None) -> None:
        """Store that a user changed, or was removed (None)."""
        member = None if user is None else (user.number, user.state, user.busy)
        before = self._of.get(dn, ())
        names = () if user is None else self._membership.of(dn, user.department)
        if before != names:
            self._of[dn] = names
            for name in set(before).difference(names):
                del self._members[name][dn]
                self._changed.add(name)
        if member is None:
            self._of.pop(dn, None)
            self._membership.forget(dn)
            return
        for name in names:
            members = self._members[name]
            if members.get(dn) != member:
                self._changed.add(name)
                if dn not in members:
                    self._unsorted.add(name)
                members[dn] = member

    def know_departments(self, names: Collection[str] | None) -> None:
        """The PBX has these departments, or refuses to list them (None)."""
        self._membership.know_departments(names)

    def know_agents(self, agents: Mapping[str, AbstractSet[str] | None], user: Callable[[str], User | None]) -> None:
        """The agents of all queues, by the queue's DN; `user` gives a published user by DN."""
        for dn in self._membership.know_agents(agents):
            known = user(dn)
            if known is not None:
                self.note(dn, known)

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
