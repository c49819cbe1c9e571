"""What is published about many users at once: groups, queues, and the PBX as a whole."""

from collections.abc import Callable, Iterable, Iterator

from bridge.domain.message import Message
from bridge.domain.model import FactKind, User
from bridge.domain.system import System
from bridge.domain.updates import Departments, Queues, SystemSeen
from bridge.engine.groups import Groups
from bridge.engine.policy import Policy
from bridge.engine.queues import Queues as QueueStates
from bridge.engine.rendering import Rendering
from bridge.engine.source_state import SourceStates
from bridge.ports import Output


class Aggregates:
    """Notes what changes, and publishes once at the end of an update what came of it.

    A group may have 8,000 members that one update changes.
    """

    def __init__(
        self,
        policy: Policy,
        states: SourceStates,
        rendering: Rendering,
        user: Callable[[str], User | None],
        wall: Callable[[], int],
    ) -> None:
        """`user` gives a published user by DN; `wall` is the time of the PBX in Unix seconds."""
        self._states = states
        self._rendering = rendering
        self._user = user
        self._groups = Groups(policy.groups)
        self._queues = QueueStates(states, user, wall)
        self.system: System | None = None
        """As the PBX says; None: not known, or it says nothing."""

    @property
    def queues(self) -> tuple[str, ...]:
        """The DNs of all queues, sorted."""
        return self._queues.numbers

    def of_queues(self, outputs: Iterable[Output]) -> Iterator[Message]:
        """The same about the queues."""
        for queue in tuple(self._queues):
            for output in outputs:
                yield from output.queue(None, queue)

    def of_groups(self, outputs: Iterable[Output]) -> Iterator[Message]:
        """The same about the groups."""
        for group in self._groups:
            for output in outputs:
                yield from output.group(None, group)

    def note_user(self, dn: str, user: User | None) -> None:
        """A user has changed, or was removed (None)."""
        self._groups.note(dn, user)
        self._queues.note((dn,))

    def note_calls(self, numbers: Iterable[str] | None) -> None:
        """The calls of these numbers have changed, or what is known about them; None: of all."""
        self._queues.note(numbers)

    def know_departments(self, update: Departments) -> None:
        """The PBX has these departments."""
        self._groups.know_departments(None if update.names is None else set(update.names.values()))

    def know(self, update: Queues | SystemSeen, now: float) -> None:
        """The PBX has these queues, or is like this as a whole; `now` is in monotonic seconds."""
        self._states.others[update.source].received(now, update.good_for)
        if isinstance(update, SystemSeen):
            self.system = update.system
            return
        self._queues.know(update.queues)
        self._groups.know_agents({dn: queue.agents for dn, queue in update.queues.items()}, self._user)

    def withdraw(self, source: str) -> None:
        """The PBX has no such function, or denies access to it: its topics go."""
        state = self._states.others.get(source)
        if state is None:
            return
        if state.description.kind is FactKind.QUEUES:
            self._queues.know({})
        else:
            self.system = None

    def expire(self) -> None:
        """Facts of some source have become too old."""
        self._queues.note(None)
        fresh = any(each.fresh for each in self._states.others.values() if each.description.kind is FactKind.SYSTEM)
        if self.system is not None and not fresh:
            self.system = System(version=self.system.version)

    def publish(self) -> None:
        """Publish the groups and queues that have changed."""
        for group_before, group_after in self._groups.changes():
            self._rendering.group(group_before, group_after)
        for before, after in self._queues.changes():
            self._rendering.queue(before, after)
