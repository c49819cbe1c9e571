"""The daemon as a process: signals, exit codes, what it leaves behind."""

import asyncio
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.runtime.heartbeat import Heartbeat
from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, write_config
from tests.support.limits import limit
from tests.support.listener import Listener
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
        config.unlink()
        os.mkfifo(config)
        bridge.hang_up()
        await bridge.says("cannot be read: not a regular file")
        config.unlink()
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


def health(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and output of the command, in this process: it needs no event loop."""
    code = main(["health", "-c", str(config)])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


async def until_healthy(config: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Wait until the command ends with 0; returns its output."""
    async with asyncio.timeout(limit(10)):
        while (found := health(config, capsys))[0]:
            await asyncio.sleep(0.02)
    return found[1]


REFUSED = "; the last reload was refused, see the log"


async def test_systemd_is_notified_of_the_start_of_reloads_and_of_the_end(tmp_path: Path, pbx: SimulatedPbx) -> None:
    """There is neither a PBX nor a broker: it is ready all the same."""
    dead = f"http://127.0.0.1:{free_port()}"
    config = write_config(tmp_path, pbx, dead, free_port())
    with Listener(tmp_path / "notify") as systemd:
        environ = systemd.environ | {"WATCHDOG_USEC": "1000000"}
        async with BridgeProcess.start(config, environ) as bridge:
            lines = await systemd.until(lambda new: any("no broker: cannot connect" in line for line in new))
            assert lines[0] == "READY=1"
            await systemd.until_line("WATCHDOG=1")

            config.write_text(config.read_text() + "\nnonsense: 1\n")
            bridge.hang_up()
            lines = await systemd.until_line("READY=1")
            assert lines.index("RELOADING=1") < lines.index("READY=1")
            await bridge.says("not reloaded, the running configuration stays")
            await systemd.until(lambda new: any(line.endswith(REFUSED) for line in new))

            write_config(tmp_path, pbx, dead, free_port())
            bridge.hang_up()
            lines = await systemd.until_line("READY=1")
            assert lines.index("RELOADING=1") < lines.index("READY=1")
            lines = await systemd.until(lambda new: any(line.startswith("STATUS=") for line in new))
            assert not any(REFUSED in line for line in lines)
            await systemd.until_line("WATCHDOG=1")

            assert await bridge.signal(signal.SIGTERM) == 0
        assert systemd.listen()[-1] == "STOPPING=1"


async def test_a_name_server_that_hangs_does_not_delay_the_end(tmp_path: Path, pbx: SimulatedPbx) -> None:
    hanging = (
        "import socket, time\nreally = socket.getaddrinfo\n"
        "def getaddrinfo(host, *rest, **more):\n"
        "    if host == 'pbx.example':\n        print('asked', flush=True)\n        time.sleep(600)\n"
        "    return really(host, *rest, **more)\n"
        "socket.getaddrinfo = getaddrinfo"
    )
    config = write_config(tmp_path, pbx, "http://pbx.example:5000", free_port())
    async with BridgeProcess.start(config, prelude=hanging) as bridge:
        await bridge.says("asked")
        assert await bridge.signal(signal.SIGTERM) == 0


async def test_a_bad_configuration_is_never_ready(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("pbx: {}\n")
    with Listener(tmp_path / "notify") as systemd:
        async with BridgeProcess.start(config, systemd.environ) as bridge:
            assert await bridge.signal(signal.SIGCONT) == 78
        assert systemd.listen() == []


async def test_a_watchdog_shows_where_the_bridge_hung(tmp_path: Path, pbx: SimulatedPbx) -> None:
    """systemd sends SIGABRT to a process whose WATCHDOG=1 has not come in time."""
    blocked = (
        "import time\nfrom bridge.engine.engine import Engine\n"
        "def blocked_for_the_test(self):\n    print('blocked', flush=True)\n    time.sleep(600)\n"
        "Engine.tick = blocked_for_the_test"
    )
    config = write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port())
    with Listener(tmp_path / "notify") as systemd:
        environ = systemd.environ | {"WATCHDOG_USEC": "400000"}
        async with BridgeProcess.start(config, environ, blocked) as bridge:
            await systemd.until_line("WATCHDOG=1")
            await bridge.says("blocked")
            systemd.listen()
            await asyncio.sleep(0.5)  # the interval of the watchdog: a bridge that runs would send within it
            assert systemd.listen() == []
            assert await bridge.signal(signal.SIGABRT) == -signal.SIGABRT
            assert "blocked_for_the_test" in bridge.log()


async def test_health_follows_the_life_of_the_daemon(
    tmp_path: Path, pbx: SimulatedPbx, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port())
    code, said = health(config, capsys)
    assert (code, said.startswith("3cx2mqtt: not running: there is no ")) == (1, True)

    async with BridgeProcess.start(config) as bridge:
        said = await until_healthy(config, capsys)
        assert re.fullmatch(r"running: last heartbeat \d+ s ago\n", said)
        await bridge.signal(signal.SIGKILL)
        code, said = health(config, capsys)
        assert (code, said.startswith(f"3cx2mqtt: not running: the process {bridge.pid} named in ")) == (1, True)

    async with BridgeProcess.start(config) as bridge:
        await until_healthy(config, capsys)
        await bridge.says("cannot connect to the MQTT broker")
        assert await bridge.signal(signal.SIGTERM) == 0
        assert "there is no" in health(config, capsys)[1]


async def test_health_reports_a_daemon_whose_heartbeat_is_old(
    tmp_path: Path, pbx: SimulatedPbx, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port())
    async with BridgeProcess.start(config) as bridge:
        await until_healthy(config, capsys)
        os.kill(bridge.pid, signal.SIGSTOP)
        beat = Heartbeat("hq", os.environ).path
        beat.write_text(json.dumps({"pid": bridge.pid, "monotonic": time.monotonic() - 1000}))
        code, said = health(config, capsys)
        assert code == 1
        assert f"not responding: last heartbeat of process {bridge.pid}" in said
