"""Groups: who is in them, and that each is rendered once per update however many members changed."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.message import Message
from bridge.domain.model import Bridge, CallEvent, Group, MonitorRow, State, User
from bridge.domain.presence import DEFAULT_BUSY, is_busy
from bridge.domain.privacy import CallerId
from bridge.domain.queues import QueueState
from bridge.domain.remembered import Remembered
from bridge.domain.today import Today
from bridge.domain.updates import Round
from bridge.engine.engine import Engine
from bridge.engine.groups import Groups
from bridge.engine.policy import Policy
from bridge.engine.settings import UsersSettings, group_settings
from tests.support.clock import FakeClock
from tests.support.world import MONITOR_STATUS, RULES, Wire, described


def a_user(dn: str, state: State) -> User:
    return User(
        number=dn,
        name=None,
        state=state,
        busy=is_busy(state, frozenset(DEFAULT_BUSY)),
        since=0,
        reason="",
        profile=None,
        registered=None,
        queue=None,
        call=None,
        calls=None,
        department=None,
        monitor=None,
    )


def named(groups: Groups, name: str) -> Group:
    return next(group for group in groups if group.name == name)


def test_members_are_listed_by_number_whatever_order_they_come_in() -> None:
    groups = Groups(group_settings({"all": ["*"], "sales": ["10*"]}))
    for dn in ("201", "103", "101"):
        groups.note(dn, a_user(dn, State.AVAILABLE))
    list(groups.changes())
    assert [dn for dn, _, _ in named(groups, "all").members] == ["101", "103", "201"]
    assert [dn for dn, _, _ in named(groups, "sales").members] == ["101", "103"]


def test_a_change_gives_the_groups_before_and_after_once() -> None:
    groups = Groups(group_settings({"all": ["*"], "sales": ["10*"], "night": ["999"], "nobody": []}))
    groups.note("101", a_user("101", State.ON_CALL))
    groups.note("201", a_user("201", State.AVAILABLE))
    changes = {after.name: (before, after) for before, after in groups.changes()}
    assert set(changes) == {"all", "sales"}
    before, after = changes["all"]
    assert (before.busy, before.members) == (None, ())
    assert (after.busy, after.members) == (
        True,
        (("101", State.ON_CALL, True), ("201", State.AVAILABLE, False)),
    )
    assert list(groups.changes()) == []


def test_what_a_group_does_not_show_changes_no_group() -> None:
    groups = Groups(group_settings({"all": ["*"]}))
    groups.note("101", a_user("101", State.AVAILABLE))
    list(groups.changes())
    groups.note("101", a_user("101", State.AVAILABLE))
    groups.note("102", None)
    assert list(groups.changes()) == []
    groups.note("101", a_user("101", State.AWAY))
    groups.note("101", a_user("101", State.AVAILABLE))
    assert list(groups.changes()) == []


DNS = st.sampled_from(["100", "101", "102", "200", "201", "9"])


@given(st.lists(st.tuples(DNS, st.none() | st.sampled_from(State), st.booleans()), max_size=60))
def test_a_group_is_always_what_its_members_are(steps: list[tuple[str, State | None, bool]]) -> None:
    groups = Groups(group_settings({"all": ["*"], "ones": ["1*"]}))
    states: dict[str, State] = {}
    for dn, state, look in steps:
        groups.note(dn, None if state is None else a_user(dn, state))
        if state is None:
            states.pop(dn, None)
        else:
            states[dn] = state
        if look:
            list(groups.changes())
    list(groups.changes())
    for name, start in (("all", ""), ("ones", "1")):
        members = tuple(
            (dn, state, is_busy(state, frozenset(DEFAULT_BUSY)))
            for dn, state in sorted(states.items())
            if dn.startswith(start)
        )
        known = [busy for _, _, busy in members if busy is not None]
        assert named(groups, name) == Group(name, any(known) if known else None, members)


class Rendered:
    """Notes the groups that an engine has it render."""

    def __init__(self) -> None:
        self.groups: list[str] = []

    def user(self, _before: User | None, _after: User | None) -> Iterator[Message]:
        yield from ()

    def call(self, _user: User, _event: CallEvent) -> Iterator[Message]:
        yield from ()

    def bridge(self, _before: Bridge | None, _after: Bridge) -> Iterator[Message]:
        yield from ()

    def today(self, _dn: str, _before: Today | None, _after: Today) -> Iterator[Message]:
        yield from ()

    def group(self, _before: Group | None, after: Group) -> Iterator[Message]:
        self.groups.append(after.name)
        yield from ()

    def queue(self, _before: QueueState | None, _after: QueueState | None) -> Iterator[Message]:
        yield from ()

    def taken(self) -> list[str]:
        taken, self.groups = self.groups, []
        return taken


def engine(clock: FakeClock, rendered: Rendered) -> Engine:
    policy = Policy(
        users=UsersSettings(include=(), exclude=(), special=False, forget_after=0),
        rules=RULES,
        caller_id=CallerId.FULL,
        groups=group_settings({"all": ["*"], "sales": ["10*"]}),
        sources=described([MONITOR_STATUS]),
        bound=20.0,
    )
    return Engine(policy, [rendered], Wire(), clock.clock)


def states(of: dict[str, State]) -> Round:
    rows = {dn: MonitorRow(dn, None, state, "{}") for dn, state in of.items()}
    return Round(MONITOR_STATUS, rows, complete=True, total=None, good_for=20.0)


def test_each_update_renders_a_group_once(clock: FakeClock) -> None:
    rendered = Rendered()
    running = engine(clock, rendered)
    running.apply(states(dict.fromkeys(("101", "102", "201", "202"), State.AVAILABLE)))
    assert rendered.taken() == ["all", "sales"]
    running.apply(states(dict.fromkeys(("101", "201", "202"), State.AWAY)))  # and 102 is gone
    assert rendered.taken() == ["all", "sales"]
    running.apply(states({"101": State.AWAY, "201": State.AVAILABLE, "202": State.AVAILABLE}))
    assert rendered.taken() == ["all"]
    running.apply(states({"101": State.AWAY, "201": State.AVAILABLE, "202": State.AVAILABLE}))
    assert rendered.taken() == []
    clock.turn(60)
    running.tick()
    assert rendered.taken() == ["all", "sales"]


def test_users_of_an_earlier_run_are_members_at_once(clock: FakeClock) -> None:
    rendered = Rendered()
    running = engine(clock, rendered)
    running.adopt({dn: Remembered(None, State.AVAILABLE, 0) for dn in ("101", "102")}, same_options=True)
    assert rendered.taken() == ["all", "sales"]
