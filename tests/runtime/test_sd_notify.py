"""Notifications to systemd, and when the watchdog gets none. A real socket stands in for systemd's."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bridge.domain.clock import Clock
from bridge.mqtt.timing import MqttTiming
from bridge.runtime.bridge import Bridge
from bridge.runtime.process import Process
from bridge.runtime.sd_notify import Notify
from bridge.runtime.supervision import Pulse, Supervision, Watched
from bridge.runtime.timing import USUAL, Timing
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.timing import ThreecxTiming
from tests.support.beside import beside
from tests.support.bridges import Hasty, read_config, write_config
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto, free_port, with_rules
from tests.support.supervised import Passes, attended

QUICK = {"WATCHDOG_USEC": "200000"}


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listener]:
    with Listener(tmp_path / "notify") as listener:
        yield listener


def test_every_notification_is_one_of_sd_notify(systemd: Listener) -> None:
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


def test_an_abstract_socket_is_supported() -> None:
    with Listener(f"@3cx2mqtt-test-{os.getpid()}") as listener:
        Notify(listener.environ).ready()
        assert listener.listen() == ["READY=1"]


@pytest.mark.parametrize("name", ["", "@", "vsock:2:1", "relative", "/nowhere/at/all", "/" + "x" * 300])
def test_without_a_listener_nothing_happens(name: str) -> None:
    Notify({"NOTIFY_SOCKET": name}).ready()
    Notify({}).ready()


def test_a_full_queue_of_the_listener_does_not_block_for_long(systemd: Listener) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(BlockingIOError):
        sender.setblocking(False)
        while True:
            sender.sendto(b"x", systemd.environ["NOTIFY_SOCKET"])
    before = time.monotonic()
    Notify(systemd.environ).ready()
    assert time.monotonic() - before < limit(2)


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
def test_the_watchdog_is_used_if_it_is_meant_for_this_process(environ: dict[str, str], seconds: float | None) -> None:
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


async def test_the_status_is_sent_when_it_changes(systemd: Listener) -> None:
    async with attended(Supervision(systemd.environ | QUICK), Pulse(Clock())) as passes:
        received = await systemd.until(lambda new: new.count("WATCHDOG=1") >= 4)
        assert received[:2] == ["READY=1", "STATUS=fine"]
        assert set(received[2:]) == {"WATCHDOG=1"}
        passes.status = lambda: "no broker"
        assert set(await systemd.until_line("STATUS=no broker")) <= {"WATCHDOG=1", "STATUS=no broker"}


async def test_a_loop_that_is_late_stops_the_watchdog_notifications_until_it_goes_on(
    systemd: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    pulse = Pulse(Clock())
    async with attended(Supervision(systemd.environ | QUICK), pulse) as passes:
        await systemd.until_line("WATCHDOG=1")
        pulse.expect("users", -1)
        await systemd.until_line("STATUS=stuck: users; fine")
        await passes.more(10)
        assert systemd.listen() == []
        pulse.expect("users", 3600)
        received = await systemd.until_line("WATCHDOG=1")
        assert received[:2] == ["STATUS=fine", "WATCHDOG=1"]
    assert [record.getMessage() for record in caplog.records] == ["stuck: users; the watchdog is no longer notified"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_blocked_event_loop_stops_the_watchdog_notifications(systemd: Listener) -> None:
    async with attended(Supervision(systemd.environ | QUICK), Pulse(Clock())):
        await systemd.until(lambda new: new.count("WATCHDOG=1") >= 2)
        systemd.listen()
        time.sleep(0.5)  # noqa: ASYNC251  # on purpose
        assert systemd.listen() == []
        await systemd.until_line("WATCHDOG=1")


async def test_after_a_sleep_of_the_machine_no_loop_counts_as_stuck(systemd: Listener, clock: FakeClock) -> None:
    pulse = Pulse(clock.clock)

    async def work() -> None:
        while True:
            pulse.expect("users", 60)
            await asyncio.sleep(0.01)

    async with beside(work()), attended(Supervision(systemd.environ | QUICK, clock.clock), pulse):
        await systemd.until_line("WATCHDOG=1")
        for _ in range(5):
            clock.turn(3600)
            await systemd.until_line("WATCHDOG=1")
    assert not [line for line in systemd.received if "stuck" in line]


class Counted(Supervision):
    """Counts its passes."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.passes = Passes()

    async def attend(
        self,
        name: str,
        pulse: Watched,
        status: Callable[[], str],
        broken: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self.passes.status = status
        await super().attend(name, pulse, self.passes, broken)


@asynccontextmanager
async def supervised(config: Path, supervision: Supervision, timing: Timing = USUAL) -> AsyncIterator[None]:
    process = Process(supervision=supervision)
    async with beside(Bridge(read_config(config), rng=Hasty(), process=process, timing=timing).run()):
        yield


async def test_a_bridge_reports_its_status_and_that_it_works(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, systemd: Listener
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port, users_source="enabled: true", call_control="enabled: true")
    async with supervised(config, Supervision(systemd.environ | QUICK)):
        await systemd.until_line("STATUS=3 users; PBX online; broker online")
        assert set(await systemd.until(lambda new: new.count("WATCHDOG=1") >= 5)) == {"WATCHDOG=1"}


async def test_without_pbx_and_broker_it_is_ready_and_works_and_says_what_is_missing(
    tmp_path: Path, pbx: SimulatedPbx, systemd: Listener
) -> None:
    def names_both(line: str) -> bool:
        return (
            line.startswith("STATUS=0 users; no PBX: cannot reach")
            and "; no broker: cannot connect" in line
            and line.endswith("are mqtt.host and mqtt.port right?")
        )

    config = write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port())
    async with supervised(config, Supervision(systemd.environ | QUICK)):
        received = await systemd.until(lambda new: any(map(names_both, new)))
        assert received[:2] == ["READY=1", "STATUS=0 users; no PBX: no answer yet; no broker: not connected yet"]
        await systemd.until(lambda new: new.count("WATCHDOG=1") >= 5)


async def test_a_pbx_that_refuses_the_login_is_named(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, systemd: Listener
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port, client_secret="wrong-and-long")
    async with supervised(config, Supervision(systemd.environ | QUICK)):
        named = "STATUS=0 users; no PBX: the PBX refused client_id"
        await systemd.until(lambda new: any(line.startswith(named) for line in new))
        assert "wrong-and-long" not in str(systemd.received)


async def test_a_broker_that_accepts_the_login_and_denies_publishing_is_named(
    tmp_path: Path, pbx: SimulatedPbx, url: str, systemd: Listener
) -> None:
    folder = tmp_path / "strict"
    async with Mosquitto(
        folder, options=with_rules(folder, "user bridge\ntopic read #\ntopic write 3cx/bridge/#\n")
    ) as broker:
        config = write_config(tmp_path, pbx, url, broker.port, mqtt="username: bridge")
        async with supervised(config, Supervision(systemd.environ | QUICK)):
            named = "; broker online, but the MQTT broker 127.0.0.1:"
            await systemd.until(
                lambda new: any(named in line and "does not let 'bridge' publish" in line for line in new)
            )


@pytest.mark.parametrize(
    ("waits", "stuck"),
    [
        pytest.param("bridge.sources.threecx.client.xapi.Xapi.users", "users", id="a request to the PBX"),
        pytest.param("bridge.mqtt.pump.Pump.run", "mqtt", id="messages although the broker has room"),
    ],
)
async def test_what_waits_for_ever_stops_the_watchdog_notifications(
    waits: str,
    stuck: str,
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    systemd: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def for_ever(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(waits, for_ever)
    timing = Timing(threecx=ThreecxTiming(longest_round=0.5), mqtt=MqttTiming(step=0.5, progress_check=0.1))
    config = write_config(tmp_path, pbx, url, broker.port, users_source="enabled: true")
    supervision = Counted(systemd.environ | QUICK)
    async with supervised(config, supervision, timing):
        await systemd.until_line("WATCHDOG=1")
        await systemd.until(lambda new: any(line.startswith(f"STATUS=stuck: {stuck}; ") for line in new))
        await supervision.passes.more(10)
        assert "WATCHDOG=1" not in systemd.listen()
