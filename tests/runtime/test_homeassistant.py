"""Discovery is published again in parts, from what is true when the turn of each device comes."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from bridge.domain.message import Message
from bridge.domain.model import User, UserRow
from bridge.domain.privacy import CallerId
from bridge.domain.updates import Round
from bridge.engine.engine import Engine
from bridge.engine.policy import Policy
from bridge.engine.settings import UsersSettings, group_settings
from bridge.outputs.hass.discovery import DiscoveryOutput, Features
from bridge.outputs.hass.names import Language
from bridge.outputs.hass.settings import HassSettings
from bridge.outputs.hass.throttle import DiscoveryThrottle
from bridge.outputs.state import StateOutput
from bridge.runtime.homeassistant import DiscoveryRepublisher
from tests.support.beside import beside
from tests.support.bridges import Hasty
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.world import RULES, TOPICS, USERS, Wire, described, user

SETTINGS = HassSettings(True, "homeassistant", "homeassistant/status", "online", Language.EN)
COUNT = 500


class CountingWire(Wire):
    """Remembers how many messages came in each turn of the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.per_turn: list[int] = []
        self._turn_is_over = True

    def publish(self, message: Message) -> None:
        super().publish(message)
        if self._turn_is_over:
            self._turn_is_over = False
            self.per_turn.append(0)
            asyncio.get_running_loop().call_soon(self._end_turn)
        self.per_turn[-1] += 1

    def _end_turn(self) -> None:
        self._turn_is_over = True


class Setup:
    """An engine with `COUNT` users and both outputs, and a republisher that runs."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.wire = CountingWire()
        self.throttle = DiscoveryThrottle(self.wire, TOPICS, clock.clock.monotonic, 5.0, 10.0)
        self.discovery = DiscoveryOutput(TOPICS, "https://pbx.example.com:5001", Features())
        policy = Policy(
            users=UsersSettings((), (), False, 600.0),
            rules=RULES,
            caller_id=CallerId.FULL,
            groups=group_settings({"all": ["*"]}),
            sources=described([USERS]),
            bound=20.0,
        )
        outputs = (StateOutput(TOPICS, {}), self.discovery)
        self.engine = Engine(policy, outputs, self.throttle, clock.clock)
        self.wire.in_sync = False  # the users are there before the first connect
        self.report(*(user(str(1000 + number), name=f"User {number}") for number in range(COUNT)))
        self.wire.in_sync = True
        self.republisher = DiscoveryRepublisher(
            SETTINGS, lambda: self.engine.snapshot([self.discovery]), self.throttle, Hasty(), lambda: None
        )

    def report(self, *rows: UserRow) -> None:
        self.engine.apply(Round(USERS, {row.dn: row for row in rows}, False, None, 20.0))

    def device(self, dn: int) -> str:
        return TOPICS.discovery(f"user_{dn}")

    async def until_published(self, count: int) -> None:
        async with asyncio.timeout(limit(10)):
            while len(self.wire.order) < count:
                await asyncio.sleep(0)


@pytest_asyncio.fixture
async def setup(clock: FakeClock) -> AsyncIterator[Setup]:
    made = Setup(clock)
    async with beside(made.republisher.run()):
        yield made


async def test_a_start_publishes_all_of_discovery_and_nothing_else(setup: Setup) -> None:
    setup.republisher.receive(b"online", False)
    await setup.until_published(COUNT + 2)
    devices = {setup.device(1000 + number) for number in range(COUNT)}
    assert set(setup.wire.order) == devices | {TOPICS.discovery("bridge"), TOPICS.discovery("group_all")}
    assert len(setup.wire.order) == COUNT + 2


async def test_other_tasks_run_in_between(setup: Setup) -> None:
    setup.republisher.receive(b"online", False)
    await setup.until_published(COUNT + 2)
    assert len(setup.wire.per_turn) >= COUNT // 100
    assert max(setup.wire.per_turn) <= 100


async def test_a_change_meanwhile_is_not_overwritten_by_what_was_true_before(setup: Setup) -> None:
    last = 1000 + COUNT - 1
    setup.republisher.receive(b"online", False)
    await setup.until_published(1)
    setup.report(user(str(last), name="Renamed"), user("2000", name="New"))
    await setup.until_published(COUNT + 2)
    setup.clock.turn(60)
    setup.throttle.tick()
    assert '"name":"Renamed"' in setup.wire.retained[setup.device(last)]
    assert '"name":"New"' in setup.wire.retained[setup.device(2000)]


async def test_two_starts_within_the_delay_are_answered_once(setup: Setup) -> None:
    setup.republisher.receive(b"online", False)
    setup.republisher.receive(b"online", False)
    await setup.until_published(COUNT + 2)
    setup.republisher.restore()
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(setup.wire.order) == COUNT + 2


async def test_a_retained_birth_message_publishes_nothing(setup: Setup) -> None:
    setup.republisher.receive(b"online", True)
    setup.throttle.received(setup.device(1000), b"")
    setup.republisher.restore()
    await setup.until_published(1)
    assert setup.wire.order == [setup.device(1000)]


async def test_a_restore_publishes_the_deleted_devices_alone(setup: Setup) -> None:
    for dn in (1000, 1499):
        setup.throttle.received(setup.device(dn), b"")
    setup.republisher.restore()
    await setup.until_published(2)
    assert setup.wire.order == [setup.device(1000), setup.device(1499)]


async def test_nothing_is_rendered_while_disconnected(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[User | None] = []

    def render(_before: User | None, after: User | None) -> Iterator[Message]:
        rendered.append(after)
        yield from ()

    monkeypatch.setattr(setup.discovery, "user", render)
    setup.wire.in_sync = False
    setup.throttle.received(setup.device(1000), b"")
    setup.republisher.restore()
    for _ in range(100):
        await asyncio.sleep(0)
    assert (rendered, setup.wire.order) == ([], [])
