"""Pairs of machines whose lives hypothesis makes up: never do two of them believe that they may ask the PBX.

Vacancy and Lease are the real ones. Broker, network and machines are models with a common time in steps of a quarter of
a second: a machine may sleep, be cut off from the broker while the PBX stays reachable, be killed and started, and each
message and each loss of a connection may be late.
"""

import json
from collections import deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bridge.mqtt.lease import Lease
from bridge.mqtt.standby.pair import USUAL
from bridge.mqtt.standby.vacancy import Standing, Vacancy

STEP = 0.25
KEEPALIVE = 5.0
AFTER = 2.0
WORK = 4.0
"""Seconds from the claim until `online`."""
MACHINES = st.sampled_from([0, 1, 0, 1, 2])


@dataclass(eq=False)
class Connection:
    """One machine's; the broker's view and the machine's differ while the network fails."""

    lease: Lease
    holds_id: bool
    heard: float
    """When the broker heard of it last."""
    inbox: deque[tuple[str, bytes, bool]] = field(default_factory=deque)
    closed: bool = False
    """By the broker; the machine learns of it where it can."""
    last_bytes: bool = True
    """Something was on its way before the end: it is read first, also after a long sleep."""


@dataclass(eq=False)
class Machine:
    """A process."""

    name: int
    starts: int = 0
    runs: bool = False
    asleep: bool = False
    cut_off: bool = False
    watcher: Connection | None = None
    vacancy: Vacancy | None = None
    holder: Connection | None = None
    claimed: float = 0.0
    jitter: float = 0.0
    alone: bool = True
    """No other was seen active since this one was."""
    connects_at: float | None = None
    """When its CONNECT with the client id arrives."""

    @property
    def instance(self) -> str:
        return f"{self.name}-{self.starts}"


class Lives(RuleBasedStateMachine):
    """Three machines and a broker."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.state, self.info = b"", b""
        self.machines = [Machine(name) for name in range(3)]
        self.id_holder: Connection | None = None
        self.watchers: list[Connection] = []
        self.forgot_at = 0.0

    @initialize(first=st.booleans(), second=st.booleans())
    def begin(self, first: bool, second: bool) -> None:
        """Mostly with a pair that works: most of what can happen begins there."""
        if first:
            self.start(0, 0.0)
            self.wait(8.0, slow=False)
        if second:
            self.start(1, 0.5)
            self.wait(1.0, slow=False)

    @rule(name=MACHINES, jitter=st.sampled_from([0.0, 0.25, 0.5, 0.75]))
    def start(self, name: int, jitter: float) -> None:
        machine = self.machines[name]
        # One that starts while a broker loses everything, and another one is cut off from it, cannot know of that one:
        # docs/standby.md says so.
        if not machine.runs and self.now - self.forgot_at > KEEPALIVE:
            machine.runs, machine.asleep, machine.starts, machine.jitter = True, False, machine.starts + 1, jitter
            machine.alone, machine.vacancy = True, None

    @rule(name=MACHINES)
    def kill(self, name: int) -> None:
        machine = self.machines[name]
        if machine.runs:
            machine.runs = False
            for connection in (machine.watcher, machine.holder):
                if connection is not None and not machine.cut_off:
                    self._close(connection)  # the system of a machine that goes on sends a FIN
            machine.watcher = machine.holder = machine.connects_at = None

    @rule(name=MACHINES, asleep=st.booleans())
    def sleep(self, name: int, asleep: bool) -> None:
        self.machines[name].asleep = asleep

    @rule(name=MACHINES, cut_off=st.booleans())
    def cut(self, name: int, cut_off: bool) -> None:
        self.machines[name].cut_off = cut_off

    @rule(persistent=st.sampled_from([True, True, False]))
    def restart_broker(self, persistent: bool) -> None:
        if not persistent and any(each.runs and each.vacancy is None for each in self.machines):
            return  # see `start`
        for connection in [*self.watchers, *([self.id_holder] if self.id_holder else [])]:
            connection.closed = True
        self.watchers, self.id_holder = [], None
        if not persistent:
            self.state = self.info = b""
            self.forgot_at = self.now

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 3.0]), slow=st.booleans())
    def wait_a_little(self, seconds: float, slow: bool) -> None:
        self.wait(seconds, slow)

    @rule(seconds=st.sampled_from([8.0, 15.0, 20.0, 70.0, 200.0]), slow=st.booleans())
    def wait(self, seconds: float, slow: bool) -> None:
        for _ in range(int(seconds / STEP)):
            self.now += STEP
            self._broker_step()
            for machine in self.machines:
                if machine.runs and not machine.asleep:
                    self._machine_step(machine, slow=slow)
            self.one_at_most()

    @invariant()
    def one_at_most(self) -> None:
        allowed = [each.instance for each in self.machines if self._may_ask(each)]
        assert len(allowed) <= 1, allowed

    def _may_ask(self, machine: Machine) -> bool:
        holder = machine.holder
        return (
            machine.runs
            and not machine.asleep
            and holder is not None
            and holder.lease.holds
            and self.now >= machine.claimed + USUAL.settle
        )

    def _broker_step(self) -> None:
        for connection in [*self.watchers, *([self.id_holder] if self.id_holder else [])]:
            if self.now - connection.heard > 1.5 * KEEPALIVE:
                self._close(connection)

    def _close(self, connection: Connection) -> None:
        connection.closed = True
        if connection is self.id_holder:
            self.id_holder = None
            self._publish("state", b"offline")
        elif connection in self.watchers:
            self.watchers.remove(connection)

    def _publish(self, topic: str, payload: bytes) -> None:
        if topic == "state":
            self.state = payload
        elif topic == "info":
            self.info = payload
        for watcher in self.watchers:
            watcher.inbox.append((topic, payload, False))

    def _machine_step(self, machine: Machine, *, slow: bool) -> None:
        """What a process does in a quarter of a second; `slow`: messages and CONNECTs take longer than that."""
        for connection in (machine.watcher, machine.holder):
            if connection is not None:
                self._tend(machine, connection, slow=slow)
        if machine.holder is not None and (not machine.holder.lease.holds or self._sees_close(machine, machine.holder)):
            machine.holder = machine.watcher = None
        elif machine.holder is not None:
            self._work(machine)
        elif machine.connects_at is not None:
            if self.now >= machine.connects_at and not machine.cut_off:
                self._connect(machine)
        else:
            self._watch(machine, slow=slow)

    def _sees_close(self, machine: Machine, connection: Connection) -> bool:
        return connection.closed and not machine.cut_off

    def _tend(self, machine: Machine, connection: Connection, *, slow: bool) -> None:
        if not connection.lease.holds:
            return
        if not machine.cut_off and not connection.closed:
            connection.lease.received()
            connection.heard = self.now
        elif connection.closed and connection.last_bytes:
            connection.lease.received()
            connection.last_bytes = False
        connection.lease.look()
        while connection.inbox and connection is machine.watcher and machine.vacancy is not None:
            topic, payload, retained = connection.inbox.popleft()
            if topic == "state":
                machine.vacancy.note_state(payload, self.now)
            elif topic == "info":
                machine.vacancy.note_info(payload, self.now, retained=retained)
            else:
                machine.vacancy.note_health(self.now)
            if slow:
                break

    def _watch(self, machine: Machine, *, slow: bool) -> None:
        watcher = machine.watcher
        if watcher is None or not watcher.lease.holds or self._sees_close(machine, watcher):
            machine.watcher = None
            if machine.cut_off:
                return
            watcher = machine.watcher = Connection(Lease(KEEPALIVE, lambda: self.now), False, self.now)
            machine.vacancy = Vacancy(
                machine.instance, AFTER + machine.jitter, self.now, yields=0.0 if machine.alone else KEEPALIVE
            )
            self.watchers.append(watcher)
            if self.info:
                watcher.inbox.append(("info", self.info, True))
            if self.state:
                watcher.inbox.append(("state", self.state, True))
        assert machine.vacancy is not None
        standing = machine.vacancy.standing(self.now)
        if standing in {Standing.OCCUPIED, Standing.CLAIMED}:
            machine.alone = False
        if standing is Standing.FREE:
            machine.connects_at = self.now + (4.0 if slow else 0.0)

    def _connect(self, machine: Machine) -> None:
        machine.connects_at = None
        if self.id_holder is not None:
            self._close(self.id_holder)
        claim = json.dumps({"instance": machine.instance, "claiming": True}).encode()
        self.id_holder = machine.holder = Connection(Lease(KEEPALIVE, lambda: self.now), True, self.now)
        machine.claimed, machine.alone = self.now, True
        self._publish("info", claim)

    def _work(self, machine: Machine) -> None:
        if machine.cut_off or machine.holder is not self.id_holder:
            return
        since = self.now - machine.claimed
        if WORK <= since < WORK + STEP:
            self._publish("info", json.dumps({"instance": machine.instance}).encode())
            self._publish("state", b"online")
            self._publish("health", b"")
        elif since > WORK and since % 60.0 < STEP:
            self._publish("health", b"")


def test_never_may_two_machines_ask_the_pbx() -> None:
    run_state_machine_as_test(Lives, settings=settings(max_examples=500, stateful_step_count=40, deadline=None))


def test_a_machine_that_is_left_alone_becomes_active() -> None:
    """From any state of the broker that the other machines can leave, within the longest wait of all."""

    class Ends(Lives):
        def teardown(self) -> None:
            for name in range(3):
                self.cut(name, cut_off=False)
                self.sleep(name, asleep=False)
                if name:
                    self.kill(name)
            self.wait(8.0, slow=False)
            self.start(0, 0.5)
            self.wait(300.0, slow=False)
            assert self._may_ask(self.machines[0])
            assert self.state == b"online"

    run_state_machine_as_test(Ends, settings=settings(max_examples=60, stateful_step_count=20, deadline=None))
