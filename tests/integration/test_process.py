"""The daemon as a process: signals, exit codes, what it leaves behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, write_config
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


async def health(config: Path, stale: float = 30.0) -> tuple[int, str]:
    """What the command says, as a process of its own; with the bound of `stale` seconds."""
    program = (
        f"import sys\nfrom bridge.runtime import heartbeat\nheartbeat.STALE = {stale}\n"
        "from bridge.cli import main\nsys.exit(main())"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "health", "-c", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 20)
    return await process.wait(), said.decode()


REFUSED = "; the last reload was refused, the log says why"


async def test_systemd_hears_of_the_start_of_reloads_and_of_the_end(tmp_path: Path, pbx: SimulatedPbx) -> None:
    """There is neither a PBX nor a broker: it is ready all the same."""
    dead = f"http://127.0.0.1:{free_port()}"
    config = write_config(tmp_path, pbx, dead, free_port())
    with Listener(tmp_path / "notify") as systemd:
        environ = systemd.environ | {"WATCHDOG_USEC": "1000000"}
        async with BridgeProcess.start(config, environ) as bridge:
            heard = await systemd.until(lambda new: any("no broker: cannot connect" in line for line in new))
            assert heard[0] == "READY=1"
            await systemd.until_line("WATCHDOG=1")

            config.write_text(config.read_text() + "\nnonsense: 1\n")
            bridge.hang_up()
            heard = await systemd.until_line("READY=1")
            assert heard.index("RELOADING=1") < heard.index("READY=1")
            await bridge.says("not reloaded, the running configuration stays")
            await systemd.until(lambda new: any(line.endswith(REFUSED) for line in new))

            write_config(tmp_path, pbx, dead, free_port())
            bridge.hang_up()
            heard = await systemd.until_line("READY=1")
            assert heard.index("RELOADING=1") < heard.index("READY=1")
            heard = await systemd.until(lambda new: any(line.startswith("STATUS=") for line in new))
            assert not any(REFUSED in line for line in heard)
            await systemd.until_line("WATCHDOG=1")

            assert await bridge.signal(signal.SIGTERM) == 0
        assert systemd.listen()[-1] == "STOPPING=1"


async def test_a_name_server_that_hangs_does_not_hold_up_the_end(tmp_path: Path, pbx: SimulatedPbx) -> None:
    hanging = (
        "import socket, time\nreally = socket.getaddrinfo\n"
        "def getaddrinfo(host, *rest, **more):\n"
        "    if host == 'pbx.example':\n        print('asked', flush=True)\n        time.sleep(60)\n"
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


async def test_a_watchdog_learns_where_the_bridge_hung(tmp_path: Path, pbx: SimulatedPbx) -> None:
    """systemd sends SIGABRT to what it has not heard of in time."""
    blocked = (
        "import time\nfrom bridge.engine.engine import Engine\n"
        "def blocked_for_the_test(self): time.sleep(60)\nEngine.tick = blocked_for_the_test"
    )
    config = write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port())
    with Listener(tmp_path / "notify") as systemd:
        environ = systemd.environ | {"WATCHDOG_USEC": "400000"}
        async with BridgeProcess.start(config, environ, blocked) as bridge:
            await systemd.until_line("WATCHDOG=1")
            await asyncio.sleep(1.5)  # its first tick comes after a second
            systemd.listen()
            await asyncio.sleep(0.5)
            assert systemd.listen() == []
            assert await bridge.signal(signal.SIGABRT) == -signal.SIGABRT
            assert "blocked_for_the_test" in bridge.log()


async def test_health_says_whether_the_daemon_runs(tmp_path: Path, pbx: SimulatedPbx) -> None:
    config = write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port())
    code, said = await health(config)
    assert (code, said.startswith("3cx2mqtt: not running: there is no ")) == (1, True)

    async with BridgeProcess.start(
        config, prelude="from bridge.runtime import heartbeat; heartbeat.INTERVAL = 0.1"
    ) as bridge:
        await bridge.says("cannot connect to the MQTT broker")
        assert await health(config) == (0, "running: last heartbeat 0 s ago\n")
        os.kill(bridge.pid, signal.SIGSTOP)
        await asyncio.sleep(0.5)
        code, said = await health(config, stale=0.5)
        assert (code, said.startswith(f"3cx2mqtt: hangs: the process {bridge.pid} beat ")) == (1, True)
        os.kill(bridge.pid, signal.SIGCONT)
        async with asyncio.timeout(10):
            while (await health(config, stale=5))[0]:
                pass
        await bridge.signal(signal.SIGKILL)
        code, said = await health(config)
        assert (code, said.startswith(f"3cx2mqtt: not running: the process {bridge.pid} of ")) == (1, True)

    async with BridgeProcess.start(config) as bridge:
        await bridge.says("cannot connect to the MQTT broker")
        async with asyncio.timeout(10):
            while (await health(config))[0]:
                pass
        assert await bridge.signal(signal.SIGTERM) == 0
        assert "there is no" in (await health(config))[1]
