"""Groups of users, kept up to date as their members change."""

from collections.abc import Iterable, Iterator, Mapping

from bridge.domain.dn import pattern
from bridge.domain.model import Group, User


class Groups:
    """Who is in which group, and how each group stands."""

    def __init__(self, globs: Mapping[str, Iterable[str]]) -> None:
        self._patterns = {name: pattern(members) for name, members in globs.items()}
        self._members: dict[str, dict[str, User]] = {name: {} for name in globs}
        self._groups = {name: Group(name, None, ()) for name in globs}

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def note(self, dn: str, user: User | None) -> Iterator[tuple[Group, Group]]:
        """A user changed, or went (None); yields (before, after) of the groups that this changes."""
        for name, matches in self._patterns.items():
            members = self._members[name]
            if user is None:
                members.pop(dn, None)
            elif matches is not None and matches.match(dn):
                members[dn] = user
            else:
                continue
            before = self._groups[name]
            after = _group(name, members)
            if before != after:
                self._groups[name] = after
                yield before, after


def _group(name: str, members: Mapping[str, User]) -> Group:
    users = [user for _, user in sorted(members.items())]
    known = [user.busy for user in users if user.busy is not None]
    return Group(
        name,
        busy=any(known) if known else None,
        members=tuple((user.number, user.state, user.busy) for user in users),
    )
