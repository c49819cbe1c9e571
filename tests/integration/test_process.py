"""The daemon as a process: signals, exit codes, what it leaves behind."""

import signal
from pathlib import Path

import pytest

from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, write_config
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.subscriber import Subscriber


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_publishes_offline_and_ends_well(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, number: signal.Signals
) -> None:
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port)) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert await bridge.signal(number) == 0
        await subscriber.until_latest("3cx/bridge/state", "offline")
        assert subscriber.latest["3cx/users/100/state"] == "available"
        assert "corrected" not in bridge.log()


async def test_it_ends_as_well_without_a_broker(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, free_port())) as bridge:
        await bridge.says("cannot connect to the MQTT broker")
        assert await bridge.signal(signal.SIGTERM) == 0


async def test_a_killed_bridge_leaves_its_will(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port)) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        await bridge.signal(signal.SIGKILL)
        await subscriber.until_latest("3cx/bridge/state", "offline")
    async with Subscriber(broker.port) as late:
        await late.until_latest("3cx/bridge/state", "offline")


async def test_a_hang_up_reads_the_configuration_again(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port)
    async with BridgeProcess.start(config) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        config.write_text(config.read_text() + "\nnonsense: 1\n")
        bridge.hang_up()
        await bridge.says("not reloaded, the running configuration stays")
        write_config(tmp_path, pbx, url, broker.port, users='exclude: ["100"]')
        bridge.hang_up()
        await subscriber.until(lambda: "3cx/users/100/state" not in subscriber.latest)
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert await bridge.signal(signal.SIGTERM) == 0


async def test_a_bad_configuration_ends_with_78_and_all_its_mistakes(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("pbx:\n  url: ftp://x\nmqtt:\n  port: 70000\n")
    async with BridgeProcess.start(config) as bridge:
        assert await bridge.signal(signal.SIGCONT) == 78
        assert bridge.log().splitlines() == [
            f"{config}:1 pbx.client_id: is required: add client_id",
            f"{config}:1 pbx.client_secret: is required: add client_secret or client_secret_file",
            f"{config}:2 pbx.url: 'ftp://x' is not like https://pbx.example.com:5001",
            f"{config}:4 mqtt.port: 70000 is over 65535",
        ]
