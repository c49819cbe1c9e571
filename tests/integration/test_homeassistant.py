"""Home Assistant starts: its birth message brings discovery again, and nothing else."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.domain.message import Message
from bridge.domain.model import User
from bridge.outputs.state import StateOutput
from bridge.runtime.bridge import Bridge
from bridge.simulator import SimulatedPbx
from tests.support.beside import beside
from tests.support.bridges import Hasty, read_config, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

BIRTH = "homeassistant/status"
DEVICE = "homeassistant/device/3cx2mqtt_hq/user_{}/config"
BEFORE_DISCOVERY = (1, 10)
"""The limits of the random wait after a birth message, in seconds."""


class Waits(Hasty):
    """Remembers between which limits it was asked for random waits."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.asked.append((a, b))
        return super().uniform(a, b)


@asynccontextmanager
async def bridge(path: Path, subscriber: Subscriber) -> AsyncIterator[Waits]:
    waits = Waits()
    async with beside(Bridge(read_config(path), rng=waits).run()):
        await subscriber.until_latest("3cx/bridge/state", "online")
        yield waits


async def test_a_birth_message_publishes_discovery_again_and_renders_no_states(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rendered: list[str] = []
    original = StateOutput.user

    def user(self: StateOutput, before: User | None, after: User | None) -> Iterator[Message]:
        if before is None and after is not None:
            rendered.append(after.number)
        return original(self, before, after)

    monkeypatch.setattr(StateOutput, "user", user)
    async with bridge(write_config(tmp_path, pbx, url, broker.port), subscriber) as waits:
        assert set(rendered) == set(pbx.users)
        rendered.clear()
        await subscriber.publish(BIRTH, "online")
        for dn in pbx.users:
            await subscriber.until(lambda dn=dn: len(subscriber.payloads(DEVICE.format(dn))) == 2)  # type: ignore[misc]
            first, second = subscriber.payloads(DEVICE.format(dn))
            assert first == second
        assert waits.asked.count(BEFORE_DISCOVERY) == 1
    assert rendered == []


async def test_a_retained_birth_message_is_no_start_but_a_live_one_is(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    await subscriber.publish(BIRTH, "online", retain=True)
    async with bridge(write_config(tmp_path, pbx, url, broker.port), subscriber) as waits:
        assert BEFORE_DISCOVERY not in waits.asked
        await subscriber.publish(BIRTH, "online", retain=True)
        await subscriber.until(lambda: len(subscriber.payloads(DEVICE.format("100"))) == 2)
        assert waits.asked.count(BEFORE_DISCOVERY) == 1


async def test_other_words_on_the_birth_topic_are_no_start(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with bridge(write_config(tmp_path, pbx, url, broker.port), subscriber) as waits:
        await subscriber.publish(BIRTH, "offline")
        await subscriber.publish("3cx/bridge/request/users", "")
        await subscriber.until(lambda: "3cx/bridge/response/users" in subscriber.latest)
        assert BEFORE_DISCOVERY not in waits.asked
