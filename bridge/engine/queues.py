"""The queues: who waits in them, from the calls, and who answers them, from the users."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from bridge.domain.model import CallStatus, Leg, State, User
from bridge.domain.model import Queue as QueueLogin
from bridge.domain.queues import Agents, Queue, QueueState
from bridge.engine.source_state import CallSourceState, SourceStates

_CONNECTED = {CallStatus.ON_CALL, CallStatus.ON_HOLD}
_ON_CALL = {State.ON_CALL, State.ON_HOLD}


class Queues:
    """Keeps what is published about each queue.

    Notes only mark the queues that they concern; `changes` builds those once, however many notes there were.
    """

    def __init__(self, states: SourceStates, user: Callable[[str], User | None], wall: Callable[[], int]) -> None:
        """`user` gives a published user by DN; `wall` is the time of the PBX in Unix seconds."""
        self._states = states
        self._user = user
        self._wall = wall
        self._known: dict[str, Queue] = {}
        self.numbers: tuple[str, ...] = ()
        """The DNs of all queues, sorted."""
        self._shown: dict[str, QueueState] = {}
        self._of_agent: dict[str, tuple[str, ...]] = {}
        self._first_seen: dict[str, dict[str, int]] = {}
        """By queue: when each waiting call was seen first, for sources that do not say it."""
        self._changed: set[str] = set()

    def __iter__(self) -> Iterator[QueueState]:
        return iter(self._shown.values())

    def know(self, queues: Mapping[str, Queue]) -> None:
        """The PBX has these queues."""
        self._changed |= self._known.keys() | queues.keys()
        self._known, self.numbers = dict(queues), tuple(sorted(queues))
        self._first_seen = {dn: seen for dn, seen in self._first_seen.items() if dn in queues}
        of_agent: defaultdict[str, list[str]] = defaultdict(list)
        for queue in queues.values():
            for dn in queue.agents or ():
                of_agent[dn].append(queue.number)
        self._of_agent = {dn: tuple(numbers) for dn, numbers in of_agent.items()}

    def note(self, dns: Iterable[str] | None) -> None:
        """The calls of these DNs have changed, or the users themselves; None: of all."""
        if dns is None:
            self._changed |= self._known.keys()
        elif self._known:
            for dn in dns:
                if dn in self._known:
                    self._changed.add(dn)
                self._changed.update(self._of_agent.get(dn, ()))

    def changes(self) -> list[tuple[QueueState | None, QueueState | None]]:
        """(before, after) of each queue that is another than at the last call; None: new, or gone."""
        changes = []
        for dn in sorted(self._changed):
            before = self._shown.get(dn)
            after = self._build(self._known[dn]) if dn in self._known else None
            if before == after:
                continue
            if after is None:
                del self._shown[dn]
            else:
                self._shown[dn] = after
            changes.append((before, after))
        self._changed.clear()
        return changes

    def _build(self, queue: Queue) -> QueueState:
        source = next((each for each in self._states.preferred if each.covers_queue(queue.number)), None)
        waiting = None if source is None else self._waiting(queue, source)
        since = min(waiting.values()) if waiting else None
        return QueueState(
            queue.number, queue.name, None if waiting is None else len(waiting), since, self._agents(queue)
        )

    def _waiting(self, queue: Queue, source: CallSourceState) -> dict[str, int]:
        """By call, since when; without the calls that an agent has been connected to and the queue still holds."""
        legs = source.legs.get(queue.number, ())
        if not legs:
            self._first_seen.pop(queue.number, None)
            return {}
        served = {leg.id for leg in self._answered(queue, source, {leg.id: leg for leg in legs})}
        before, now = self._first_seen.get(queue.number, {}), self._wall()
        waiting = {leg.id: before.get(leg.id, leg.since or now) for leg in legs if leg.id not in served}
        self._first_seen[queue.number] = waiting
        return waiting

    def _answered(self, queue: Queue, source: CallSourceState, waiting: Mapping[str, Leg]) -> Iterator[Leg]:
        for agent in queue.agents or ():
            for leg in source.legs.get(agent, ()):
                # Who calls a queue has a connected leg in the same call, though he may be an agent of it.
                if leg.id in waiting and leg.status in _CONNECTED and waiting[leg.id].party != agent:
                    yield leg

    def _agents(self, queue: Queue) -> Agents | None:
        if queue.agents is None:
            return None
        users = [user for dn in sorted(queue.agents) if (user := self._user(dn)) is not None]
        logged_in = [user for user in users if user.queue is QueueLogin.LOGGED_IN]
        return Agents(
            logged_in=tuple(user.number for user in logged_in),
            available=tuple(user.number for user in logged_in if user.state is State.AVAILABLE),
            on_call=tuple(user.number for user in logged_in if user.state in _ON_CALL),
            logged_out=tuple(user.number for user in users if user.queue is QueueLogin.LOGGED_OUT),
        )
