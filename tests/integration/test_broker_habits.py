"""Brokers that send retained messages late, only by name, or never: what was not read is not taken for absent."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.simulator import SimulatedPbx
from tests.support.bridges import running, write_config
from tests.support.broker_habits import Habit, habitual
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

GHOST = "3cx/users/101"
GHOSTS = ("3cx/users/101", "3cx/users/101/state", "homeassistant/device/3cx2mqtt_hq/user_101/config")


@pytest.fixture
def path(tmp_path: Path, pbx: SimulatedPbx, url: str) -> Callable[..., Path]:
    def configure(port: int, users: str = "forget_after: 0s") -> Path:
        return write_config(tmp_path, pbx, url, port, users_source="interval: 500ms", users=users)

    return configure


@asynccontextmanager
async def once(path: Path, subscriber: Subscriber) -> AsyncIterator[None]:
    """A bridge that has just come online."""
    await subscriber.until(lambda: subscriber.latest.get("3cx/bridge/state") != "online")
    async with running(path):
        await subscriber.until_latest("3cx/bridge/state", "online")
        yield


@pytest.mark.parametrize("habit", [Habit.WILDCARDS_NEVER, Habit.LATE])
async def test_since_survives_a_restart_and_who_is_gone_is_cleared(
    path: Callable[..., Path], broker: Mosquitto, subscriber: Subscriber, habit: Habit
) -> None:
    async with habitual(habit, broker.port) as port:
        async with once(path(port), subscriber):
            since = subscriber.json("3cx/users/100")["since"]
            assert subscriber.latest[GHOST]
        await asyncio.sleep(max(0.0, 1.1 - time.time() % 1))  # `since` is in whole seconds
        async with once(path(port, "exclude: ['101'], forget_after: 0s"), subscriber):
            assert subscriber.json("3cx/users/100")["since"] == since
            await subscriber.until(lambda: not subscriber.latest.keys() & GHOSTS)


async def test_late_messages_are_nobody_s_writes(
    path: Callable[..., Path], broker: Mosquitto, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    async with habitual(Habit.LATE, broker.port) as port:
        for _ in range(2):
            async with once(path(port), subscriber):
                await asyncio.sleep(1.2)  # more than twice as long as anything is late
    assert "a topic of this bridge" not in caplog.text


@pytest.mark.parametrize(
    ("habit", "text"),
    [
        (Habit.WILDCARDS_NEVER, "the broker sends no retained messages to subscriptions with wildcards"),
        (Habit.NEVER, "the broker sends no retained messages: `since` does not survive a restart"),
    ],
)
async def test_what_cannot_be_done_is_said_once(
    path: Callable[..., Path],
    broker: Mosquitto,
    subscriber: Subscriber,
    caplog: pytest.LogCaptureFixture,
    habit: Habit,
    text: str,
) -> None:
    async with habitual(habit, broker.port) as port, once(path(port), subscriber):
        await broker.stop()
        await broker.start()
        async with Subscriber(broker.port) as after:
            await after.until_latest("3cx/bridge/state", "online")
            assert after.latest["3cx/users/100/state"] == "available"
    assert sum(text in each.getMessage() for each in caplog.records if each.levelname == "WARNING") == 1


async def test_what_others_left_under_the_own_topics_delays_nothing_and_is_cleared(
    path: Callable[..., Path], broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with once(path(broker.port), subscriber):
        since = subscriber.json("3cx/users/100")["since"]
    for number in range(3000):
        await subscriber.publish(f"3cx/users/rubbish{number}/state", "x" * 500, retain=True)
    async with once(path(broker.port), subscriber):
        assert subscriber.json("3cx/users/100")["since"] == since
        await subscriber.until(lambda: not [topic for topic in subscriber.latest if "rubbish" in topic])
