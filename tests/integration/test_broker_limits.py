"""A Mosquitto that takes less than a roomy one, and what `run` and `check` make of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from bridge.commands.check import check
from bridge.commands.light_test import light_test
from bridge.errors import BrokerAuthError
from bridge.mqtt.timing import MqttTiming
from bridge.simulator import SimulatedPbx
from tests.integration.test_oneshot import command
from tests.support.bridges import BridgeProcess, read_config, running, write_config
from tests.support.faults import impatient
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

LIGHT = "lights: [{name: desk, driver: wled, topic: wled/x, users: ['101']}]"

Start = Callable[..., AbstractAsyncContextManager[Mosquitto]]


@pytest.fixture
def limited(tmp_path: Path) -> Start:
    @asynccontextmanager
    async def start(*options: str) -> AsyncIterator[Mosquitto]:
        folder = tmp_path / "limited"
        folder.mkdir()
        usual = ("allow_anonymous true", "max_queued_messages 1000")
        async with Mosquitto(folder, options=(*usual, *options)) as broker:
            yield broker

    return start


async def follow_a_call(pbx: SimulatedPbx, subscriber: Subscriber) -> None:
    await subscriber.until_latest("3cx/users/101/state", "available", timeout=60)
    pbx.set_state("101", "Talking")
    await subscriber.until_latest("3cx/users/101/state", "on_call")


@pytest.fixture
def pbx() -> SimulatedPbx:
    return SimulatedPbx(users=3, rows="extended")


async def test_without_retained_messages_and_qos_it_publishes_what_it_can(
    tmp_path: Path, pbx: SimulatedPbx, url: str, limited: Start
) -> None:
    async with limited("max_qos 0", "retain_available false") as broker, Subscriber(broker.port) as subscriber:
        config = write_config(tmp_path, pbx, url, broker.port)
        async with BridgeProcess.start(config) as bridge:
            await follow_a_call(pbx, subscriber)
            log = bridge.log()
    assert log.count("the broker keeps no retained messages") == 1
    assert "takes QoS 0 at most, so mqtt.qos 1 is not used" in log
    assert log.count(" WARNING ") == 1


async def test_check_fails_without_retained_messages(
    tmp_path: Path, pbx: SimulatedPbx, url: str, limited: Start
) -> None:
    async with limited("max_qos 0", "retain_available false") as broker:
        code, output, _ = await command("check", "-c", write_config(tmp_path, pbx, url, broker.port))
    assert "FAIL  retained: the broker keeps no retained messages: whoever connects later" in output
    assert "warn  qos: the broker takes QoS 0 at most" in output
    assert "ok    will: " in output
    assert code == 1


@pytest.mark.parametrize(
    ("options", "mqtt"),
    [
        ("max_packet_size 1500", ""),  # announced
        ("max_packet_size 1500", 'protocol: "3.1.1"'),  # the broker closes the connection
        ("message_size_limit 1500", ""),  # the broker says so
        ("message_size_limit 1500\nmax_queued_messages 0", ""),  # the broker says so and closes the connection
        ("message_size_limit 1500", 'protocol: "3.1.1"'),  # the broker acknowledges, and drops
    ],
)
async def test_what_is_too_large_for_the_broker_is_left_out_and_told(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    limited: Start,
    options: str,
    mqtt: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with limited(options) as broker, Subscriber(broker.port) as subscriber:
        config = write_config(tmp_path, pbx, url, broker.port, mqtt=mqtt)
        async with running(config, timing=impatient(retry=(0.05, 0.1))):
            await follow_a_call(pbx, subscriber)
            await subscriber.until_latest("3cx/bridge/state", "online")
            findings = [str(each) async for each in check(read_config(config), timing=MqttTiming(echo=0.5))]
    assert not any("another process using the client id" in line for line in caplog.messages)
    assert any(line.startswith("FAIL  size: a message of 4096 bytes") for line in findings)


async def test_what_the_broker_denies_is_said_where_people_look(
    tmp_path: Path, pbx: SimulatedPbx, url: str, limited: Start
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite 3cx/#\ntopic readwrite homeassistant/#\n")
    async with limited(f"acl_file {rules}") as broker, Subscriber(broker.port) as subscriber:
        config = write_config(tmp_path, pbx, url, broker.port, more=LIGHT)
        alone = await command("check", "-c", config)
        async with BridgeProcess.start(config):
            await subscriber.until_latest("3cx/bridge/state", "online")
            await subscriber.until(lambda: "3cx/lights/desk/state" in subscriber.latest)
            beside = await command("check", "-c", config)
            with pytest.raises(BrokerAuthError, match="does not let the running bridge publish to wled/x/api"):
                await light_test(read_config(config), "desk", lambda _: None, seconds=0.01)
    assert "FAIL  lights: the broker does not let this login publish to wled/x/api" in alone[1]
    assert alone[0] == 77
    assert "FAIL  broker: " in beside[1]
    assert "publish to 'wled/x/api'" in beside[1]
    assert beside[0] == 77


async def test_check_tries_the_topics_of_lights_without_switching_them(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    hall = "{name: hall, driver: template, topic: hall, users: ['101'], payloads: {off: a, default: b}}"
    more = f"{LIGHT.removesuffix(']')}, {hall}]"
    async with Subscriber(broker.port) as subscriber:
        code, output, _ = await command("check", "-c", write_config(tmp_path, pbx, url, broker.port, more=more))
        assert subscriber.payloads("wled/x/api") == ["{}"]
        assert subscriber.payloads("hall") == []
    assert "ok    lights: 1 of 2 can be published to; not tried, as it would switch them: hall" in output
    assert code == 0
