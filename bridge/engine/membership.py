"""Who belongs to which group (`groups:`): by number, by department, and as an agent of a queue."""

import logging
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet

from bridge.domain.dn import pattern
from bridge.engine.settings import GroupSettings

_MOST_NAMED = 20
"""Departments or queues that one log line names."""

_logger = logging.getLogger(__name__)


class Membership:
    """Finds the groups of a user by lookups, as it is asked for every change of every user."""

    def __init__(self, groups: Mapping[str, GroupSettings]) -> None:
        self._patterns = {name: found for name, group in groups.items() if (found := pattern(group.users)) is not None}
        self._of_department = _inverted({name: group.departments for name, group in groups.items()})
        self._of_queue = _inverted({name: group.queues for name, group in groups.items()})
        self._numbered: dict[str, tuple[str, ...]] = {}
        """The groups of a user by number: matching globs is slow, and their answer never changes."""
        self._agents: dict[str, AbstractSet[str]] = {}
        """By queue, of the queues that groups name."""
        self._of_agent: dict[str, tuple[str, ...]] = {}
        """The groups of a user as an agent."""
        self._departments = _Named("department", self._of_department)
        self._queues = _Named("queue", self._of_queue)

    def of(self, dn: str, department: str | None) -> tuple[str, ...]:
        """The names of the groups of a user in this department."""
        numbered = self._numbered.get(dn)
        if numbered is None:
            found = (name for name, matches in self._patterns.items() if matches.match(dn))
            numbered = self._numbered[dn] = tuple(found)
        assigned = self._of_department.get(department, ()) if department is not None else ()
        agent = self._of_agent.get(dn, ())
        return tuple(dict.fromkeys((*numbered, *assigned, *agent))) if assigned or agent else numbered

    def forget(self, dn: str) -> None:
        """The user was removed."""
        self._numbered.pop(dn, None)

    def know_departments(self, names: Collection[str] | None) -> None:
        """The PBX has these departments, or refuses to list them (None): say once which ones groups name in vain."""
        self._departments.check(names)

    def know_agents(self, agents: Mapping[str, AbstractSet[str] | None]) -> set[str]:
        """The agents of all queues by the queue's DN; returns the DNs of those who have become or ceased to be one.

        Agents that are not known (None) stay as they were last.
        """
        self._queues.check(agents.keys())
        after: dict[str, AbstractSet[str]] = {}
        for queue in self._of_queue.keys() & agents.keys():
            known = agents[queue]
            after[queue] = self._agents.get(queue, frozenset()) if known is None else known
        changed = {
            dn
            for queue in self._agents.keys() | after.keys()
            for dn in self._agents.get(queue, frozenset()) ^ after.get(queue, frozenset())
        }
        if changed:
            self._agents = after
            of_agent: dict[str, list[str]] = {}
            for queue, members in after.items():
                for dn in members:
                    of_agent.setdefault(dn, []).extend(self._of_queue[queue])
            self._of_agent = {dn: tuple(dict.fromkeys(names)) for dn, names in of_agent.items()}
        return changed


class _Named:
    """The departments or queues that groups name; says once of each that the PBX has none of this name."""

    def __init__(self, kind: str, groups: Mapping[str, Iterable[str]]) -> None:
        self._kind = kind
        self._groups = groups
        """The groups that name each."""
        self._said: set[str | None] = set()
        """Names that a warning was logged of; None: of the refusal."""

    def check(self, known: Collection[str] | None) -> None:
        """The PBX has these, or refuses to list them (None)."""
        if not self._groups:
            return
        if known is None:
            if None not in self._said:
                self._said.add(None)
                _logger.warning(
                    "groups: the PBX does not let this API client read its %ss, so members by %s are not known: give "
                    "the client's role the right to read them",
                    self._kind,
                    self._kind,
                )
            return
        self._said.discard(None)
        for name, groups in self._groups.items():
            if name in known:
                self._said.discard(name)
            elif name not in self._said:
                self._said.add(name)
                _logger.warning(
                    "groups.%s.%ss: 3CX has no %s %r; it has %s",
                    next(iter(groups)),
                    self._kind,
                    self._kind,
                    name,
                    _listed(known),
                )


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(map(repr, sorted(names)[:_MOST_NAMED])) or "none"
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"


def _inverted(names: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """From the departments or queues of each group to the groups of each."""
    found: dict[str, list[str]] = {}
    for group, members in names.items():
        for member in dict.fromkeys(members):
            found.setdefault(member, []).append(group)
    return {member: tuple(groups) for member, groups in found.items()}
