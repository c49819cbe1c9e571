"""What other clients write over or delete is published right again, whoever they are, without a fight."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.mqtt.timing import USUAL, MqttTiming
from bridge.runtime.timing import Timing
from bridge.simulator import SimulatedPbx
from tests.support.bridges import running, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

V311 = "protocol: 3.1.1, repair_interval: 200ms"
VOLATILE = ("3cx/bridge/health", "3cx/bridge/log", "3cx/bridge/response/refresh")
WARNING = "a topic of this bridge"


@asynccontextmanager
async def bridge(
    folder: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, mqtt: str = "", times: MqttTiming = USUAL
) -> AsyncIterator[None]:
    config = write_config(folder, pbx, url, broker.port, users_source="interval: 500ms", mqtt=mqtt)
    async with running(config, timing=replace(Timing(), mqtt=times)):
        yield


def stable(topics: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {topic: payload for topic, payload in topics if topic not in VOLATILE}


async def truth(subscriber: Subscriber) -> dict[str, str]:
    """Everything retained, once the bridge is in sync."""
    await subscriber.until_latest("3cx/bridge/state", "online")
    return stable(subscriber.latest.items())


async def until_true(subscriber: Subscriber, wanted: dict[str, str]) -> None:
    def wrong() -> dict[str, str]:
        return {topic: payload for topic, payload in wanted.items() if subscriber.latest.get(topic) != payload}

    try:
        await subscriber.until(lambda: not wrong())
    except TimeoutError:
        raise AssertionError(wrong()) from None


@pytest.mark.parametrize("mqtt", ["", V311])
async def test_deleted_topics_come_back(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, mqtt: str
) -> None:
    async with bridge(tmp_path, pbx, url, broker, mqtt):
        everything = await truth(subscriber)
        own = {topic: payload for topic, payload in everything.items() if topic.startswith("3cx/")}
        assert len(own) > 15
        for topic in own:
            await subscriber.publish(topic, "", retain=True)
        await until_true(subscriber, own)


@pytest.mark.parametrize("mqtt", ["", V311])
async def test_what_is_written_over_is_right_again(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
    mqtt: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bridge(tmp_path, pbx, url, broker, mqtt):
        everything = await truth(subscriber)
        for topic in everything:
            await subscriber.publish(topic, "nonsense", retain=True)
        await until_true(subscriber, everything)
        warnings = [each for each in caplog.records if WARNING in each.getMessage() and each.levelname == "WARNING"]
        assert len(warnings) == 1
        assert "may not write to 3cx/#" in warnings[0].getMessage()


async def test_what_others_add_under_the_own_topics_is_cleared(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with bridge(tmp_path, pbx, url, broker):
        await truth(subscriber)
        for topic in ("3cx/users/999", "3cx/users/999/state", "3cx/groups/ghost/busy", "3cx/lights/ghost/state"):
            await subscriber.publish(topic, "available", retain=True)
        await subscriber.until(lambda: not [topic for topic in subscriber.latest if "999" in topic or "ghost" in topic])
        await subscriber.publish("3cx/notes/mine", "stays", retain=True)
        await subscriber.publish("3cx/bridge/pbx", "nonsense", retain=True)
        await subscriber.until_latest("3cx/bridge/pbx", "online")
        assert subscriber.latest["3cx/notes/mine"] == "stays"


async def test_own_changes_are_nobody_s_writes(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bridge(tmp_path, pbx, url, broker, V311):
        await truth(subscriber)
        for state in ("Ringing", "Connected", "Away", "Available") * 3:
            pbx.set_state("101", state)
            await asyncio.sleep(0.2)  # several read-backs go on meanwhile
        await subscriber.until_latest("3cx/users/101/state", "available")
    assert WARNING not in caplog.text


async def test_two_programs_do_not_fight_and_the_last_word_is_ours(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with bridge(tmp_path, pbx, url, broker, times=MqttTiming(repair_pause=1.0)):
        await truth(subscriber)
        before = len(subscriber.payloads("3cx/users/101/busy"))
        for number in range(30):
            await subscriber.publish("3cx/users/101/busy", f"no {number}", retain=True)
            await asyncio.sleep(0.02)
        await subscriber.until_latest("3cx/users/101/busy", "OFF")
        written = subscriber.payloads("3cx/users/101/busy")[before:]
        assert written.count("OFF") <= 7
        assert written[-1] == "OFF"


async def test_a_refresh_repairs_what_a_3_1_1_broker_lost(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with bridge(tmp_path, pbx, url, broker, "protocol: 3.1.1, repair_interval: 0"):
        everything = await truth(subscriber)
        for topic in ("3cx/bridge/pbx", "3cx/users/100", "3cx/users/100/state"):
            await subscriber.publish(topic, "", retain=True)
        await subscriber.publish("3cx/bridge/request/refresh", "")
        await until_true(subscriber, everything)


async def test_a_device_deleted_in_home_assistant_is_not_repaired(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    device = "homeassistant/device/3cx2mqtt_hq/user_101/config"
    async with bridge(tmp_path, pbx, url, broker):
        everything = await truth(subscriber)
        await subscriber.publish(device, "", retain=True)
        await subscriber.publish("3cx/bridge/pbx", "nonsense", retain=True)
        await until_true(subscriber, {"3cx/bridge/pbx": "online"})
        assert device not in subscriber.latest
        await subscriber.publish("3cx/bridge/request/refresh", "")
        await subscriber.until_latest(device, everything[device])
