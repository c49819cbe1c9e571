"""What systemd is told, and when the watchdog is left to starve. A real socket listens, as systemd does."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bridge.domain.clock import Clock
from bridge.mqtt.timing import MqttTiming
from bridge.runtime.bridge import Bridge
from bridge.runtime.sd_notify import Notify
from bridge.runtime.supervision import Pulse, Supervision
from bridge.runtime.timing import Timing
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx import poll
from bridge.sources.threecx.client.xapi import Xapi
from tests.support.beside import beside
from tests.support.bridges import Hasty, read_config, write_config
from tests.support.clock import FakeClock
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto, free_port, with_rules

QUICK = {"WATCHDOG_USEC": "200000"}


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listener]:
    with Listener(tmp_path / "notify") as listener:
        yield listener


@asynccontextmanager
async def attended(supervision: Supervision, pulse: Pulse, status: list[str] | None = None) -> AsyncIterator[None]:
    """The supervision of a bridge that has nothing else; the last of `status` is how it stands."""
    told = status or ["fine"]
    async with beside(supervision.attend("hq", pulse, lambda: told[-1])):
        yield


def test_everything_is_said_in_the_words_of_sd_notify(systemd: Listener) -> None:
    notify = Notify(systemd.environ)
    notify.ready()
    notify.status("two\nlines  and " + "x" * 1000)
    notify.reloading()
    notify.stopping()
    notify.alive()
    ready, status, reloading, since, *rest = systemd.listen()
    assert ready == "READY=1"
    assert status == ("STATUS=two lines and " + "x" * 1000)[: len("STATUS=") + 500]
    assert reloading == "RELOADING=1"
    assert time.monotonic() * 1e6 - int(since.removeprefix("MONOTONIC_USEC=")) < 1e6
    assert rest == ["STOPPING=1", "WATCHDOG=1"]


def test_an_abstract_socket_will_do() -> None:
    with Listener(f"@3cx2mqtt-test-{os.getpid()}") as listener:
        Notify(listener.environ).ready()
        assert listener.listen() == ["READY=1"]


@pytest.mark.parametrize("name", ["", "@", "vsock:2:1", "relative", "/nowhere/at/all", "/" + "x" * 300])
def test_where_nobody_listens_nothing_happens(name: str) -> None:
    Notify({"NOTIFY_SOCKET": name}).ready()
    Notify({}).ready()


def test_a_listener_that_is_stuck_holds_up_nobody_for_long(systemd: Listener) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(BlockingIOError):
        sender.setblocking(False)
        while True:
            sender.sendto(b"x", systemd.environ["NOTIFY_SOCKET"])
    before = time.monotonic()
    Notify(systemd.environ).ready()
    assert time.monotonic() - before < 2


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_if_it_is_meant_for_this_process(environ: dict[str, str], seconds: float | None) -> None:
    assert Notify({"NOTIFY_SOCKET": "/run/systemd/notify"} | environ).watchdog == seconds
    assert Notify(environ).watchdog is None


def test_a_loop_is_late_once_its_next_step_is_overdue(clock: FakeClock) -> None:
    pulse = Pulse(clock.clock)
    pulse.expect("users", 60)
    pulse.expect("clock", 10)
    clock.turn(10)
    assert list(pulse.late()) == []
    clock.turn(1)
    assert list(pulse.late()) == ["clock"]
    pulse.expect("clock", 10)
    assert list(pulse.late()) == []


async def test_the_status_is_told_when_it_changes(systemd: Listener) -> None:
    status = ["no broker"]
    async with attended(Supervision(systemd.environ | QUICK), Pulse(Clock()), status):
        heard = await systemd.until(lambda new: new.count("WATCHDOG=1") == 4)
        assert heard[:2] == ["READY=1", "STATUS=no broker"]
        assert set(heard[2:]) == {"WATCHDOG=1"}
        status.append("broker online")
        assert set(await systemd.until_line("STATUS=broker online")) <= {"WATCHDOG=1", "STATUS=broker online"}


async def test_a_loop_that_is_late_starves_the_watchdog_until_it_goes_on(
    systemd: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    pulse = Pulse(Clock())
    async with attended(Supervision(systemd.environ | QUICK), pulse):
        await systemd.until_line("WATCHDOG=1")
        pulse.expect("users", -1)
        await systemd.until_line("STATUS=stuck: users; fine")
        await asyncio.sleep(0.5)
        assert systemd.listen() == []
        pulse.expect("users", 60)
        heard = await systemd.until_line("WATCHDOG=1")
        assert heard == ["STATUS=fine", "WATCHDOG=1"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_blocked_event_loop_starves_the_watchdog(systemd: Listener) -> None:
    async with attended(Supervision(systemd.environ | QUICK), Pulse(Clock())):
        await systemd.until(lambda new: new.count("WATCHDOG=1") == 2)
        systemd.listen()
        time.sleep(0.5)  # noqa: ASYNC251  # on purpose
        assert systemd.listen() == []
        await systemd.until_line("WATCHDOG=1")


async def test_after_a_sleep_of_the_machine_nobody_is_thought_stuck(systemd: Listener, clock: FakeClock) -> None:
    pulse = Pulse(clock.clock)

    async def work() -> None:
        while True:
            pulse.expect("users", 60)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(work())
    async with attended(Supervision(systemd.environ | QUICK, clock.clock), pulse):
        await systemd.until_line("WATCHDOG=1")
        for _ in range(5):
            clock.turn(3600)
            assert "WATCHDOG=1" in await systemd.until(bool)
    task.cancel()


@asynccontextmanager
async def supervised(config: Path, supervision: Supervision) -> AsyncIterator[None]:
    async with beside(Bridge(read_config(config), rng=Hasty(), supervision=supervision).run()):
        yield


async def test_a_bridge_tells_how_it_stands_and_that_it_works(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, systemd: Listener
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port, users_source="enabled: true", call_control="enabled: true")
    async with supervised(config, Supervision(systemd.environ | QUICK)):
        await systemd.until_line("STATUS=3 users; PBX online; broker online")
        assert len(await systemd.until(lambda new: new.count("WATCHDOG=1") == 5)) == 5


async def test_without_pbx_and_broker_it_is_ready_and_works_and_says_what_is_missing(
    tmp_path: Path, pbx: SimulatedPbx, systemd: Listener
) -> None:
    config = write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port())
    async with supervised(config, Supervision(systemd.environ | QUICK)):
        heard = await systemd.until(lambda new: any("no broker: cannot connect" in line for line in new))
        assert heard[:2] == ["READY=1", "STATUS=0 users; no PBX: no answer yet; no broker: not connected yet"]
        assert "0 users; no PBX: cannot reach" in heard[-1]
        assert heard[-1].endswith("Connection refused")
        await systemd.until(lambda new: new.count("WATCHDOG=1") == 5)


async def test_a_pbx_that_refuses_the_login_is_named(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, systemd: Listener
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port, client_secret="wrong-and-long")
    async with supervised(config, Supervision(systemd.environ | QUICK)):
        heard = await systemd.until(lambda new: any("refused client_id" in line for line in new))
        assert "STATUS=0 users; no PBX: the PBX refused client_id" in heard[-1]
        assert "wrong-and-long" not in str(systemd.heard)


async def test_a_broker_that_lets_in_and_lets_nothing_be_published_is_named(
    tmp_path: Path, pbx: SimulatedPbx, url: str, systemd: Listener
) -> None:
    folder = tmp_path / "strict"
    async with Mosquitto(
        folder, options=with_rules(folder, "user bridge\ntopic read #\ntopic write 3cx/bridge/#\n")
    ) as broker:
        config = write_config(tmp_path, pbx, url, broker.port, mqtt="username: bridge")
        async with supervised(config, Supervision(systemd.environ | QUICK)):
            heard = await systemd.until(lambda new: any("does not let 'bridge' publish" in line for line in new))
            assert any("; broker online, but the MQTT broker 127.0.0.1:" in line for line in heard)


async def test_a_source_that_waits_for_what_never_comes_starves_the_watchdog(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    systemd: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def for_ever(*_: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    monkeypatch.setattr(Xapi, "users", for_ever)
    monkeypatch.setattr(poll, "_LONGEST_ROUND", 0.5)
    config = write_config(tmp_path, pbx, url, broker.port, users_source="enabled: true")
    async with supervised(config, Supervision(systemd.environ | QUICK)):
        await systemd.until_line("WATCHDOG=1")
        await systemd.until(lambda new: any(line.startswith("STATUS=stuck: users; ") for line in new))
        await asyncio.sleep(0.5)
        assert "WATCHDOG=1" not in systemd.listen()


async def test_messages_that_wait_although_the_broker_takes_them_starve_the_watchdog(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    systemd: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def for_ever(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("bridge.mqtt.pump.Pump.run", for_ever)
    timing = Timing(mqtt=MqttTiming(step=0.5, progress_check=0.1))
    config = write_config(tmp_path, pbx, url, broker.port)
    supervision = Supervision(systemd.environ | QUICK)
    async with beside(Bridge(read_config(config), rng=Hasty(), supervision=supervision, timing=timing).run()):
        await systemd.until_line("WATCHDOG=1")
        await systemd.until(lambda new: any(line.startswith("STATUS=stuck: mqtt; ") for line in new))
