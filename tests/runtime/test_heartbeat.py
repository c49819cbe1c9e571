"""The heartbeat file, and the command that looks at it."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.domain.clock import Clock
from bridge.errors import BridgeError
from bridge.runtime.heartbeat import Heartbeat
from bridge.runtime.supervision import Pulse, Supervision
from bridge.runtime.timing import Timing
from tests.support.limits import limit
from tests.support.supervised import attended

ROOT = Path(__file__).parents[2]
NO_PROCESS = 2**22 + 1
"""A process id that Linux never gives."""
QUICK = Timing(tick=0.01, heartbeat_interval=0.01)


def config_of(tmp_path: Path, text: str = "pbx: {name: hq}\n") -> str:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return str(path)


def test_the_file_is_in_the_runtime_directory_of_systemd_or_the_session_else_in_the_temporary_folder() -> None:
    def place(**environ: str) -> str:
        return str(Heartbeat("hq", environ).path)

    assert place(RUNTIME_DIRECTORY="/run/a:/run/b", XDG_RUNTIME_DIR="/run/user/1") == "/run/a/hq.heartbeat"
    assert place(XDG_RUNTIME_DIR="/run/user/1") == "/run/user/1/3cx2mqtt/hq.heartbeat"
    assert place(RUNTIME_DIRECTORY="", TMPDIR="/scratch") == f"/scratch/3cx2mqtt-{os.getuid()}/hq.heartbeat"
    assert place() == f"/tmp/3cx2mqtt-{os.getuid()}/hq.heartbeat"  # noqa: S108  # that is the question


def test_a_folder_of_its_own_is_closed_to_others(tmp_path: Path) -> None:
    file = Heartbeat("hq", {"XDG_RUNTIME_DIR": str(tmp_path)})
    file.write()
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in file.path.parent.iterdir()] == ["hq.heartbeat"]
    assert 0 <= file.age() < limit(1)


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_a_folder_that_another_user_may_have_created_is_not_used(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "3cx2mqtt"
    if kind == "open to others":
        folder.mkdir()
        folder.chmod(0o755)
    elif kind == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.write_text("")
    file = Heartbeat("hq", {"XDG_RUNTIME_DIR": str(tmp_path)})
    with pytest.raises(OSError):  # noqa: PT011  # of several kinds
        file.write()
    with pytest.raises(BridgeError):
        file.age()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder of another user")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "3cx2mqtt"
    folder.mkdir(mode=0o700)
    os.chown(folder, 1, 1)
    with pytest.raises(PermissionError):
        Heartbeat("hq", {"XDG_RUNTIME_DIR": str(tmp_path)}).write()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "not running: there is no "),
        ("", "cannot read the heartbeat file "),
        ("[]", "cannot read the heartbeat file "),
        ('{"pid": 1}', "cannot read the heartbeat file "),
        ({"pid": NO_PROCESS, "monotonic": 0}, f"not running: the process {NO_PROCESS} named in "),
        ({"pid": 2**70, "monotonic": 0}, "not running: the process "),
        ({"pid": os.getpid(), "monotonic": -31}, "not responding: last heartbeat of process {pid} 31 s ago"),
        ({"pid": os.getpid(), "monotonic": 3600}, "not running: the process "),  # of an earlier boot
    ],
)
def test_health_reports_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | dict[str, float] | None, why: str
) -> None:
    file = Heartbeat("hq", os.environ)
    file.write()
    if content is None:
        file.path.unlink()
    elif isinstance(content, str):
        file.path.write_text(content)
    else:
        file.path.write_text(json.dumps(content | {"monotonic": time.monotonic() + content["monotonic"]}))
    assert main(["health", "-c", config_of(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"3cx2mqtt: {why.format(pid=os.getpid())}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "environ", "name"),
    [
        ("pbx: {name: hq}\n", {}, "hq"),
        ("pbx: {name: hq}\nmqtt: {port: nonsense}\nwhatever: 1\n", {}, "hq"),  # a running bridge stays well
        ("pbx: {name: hq, client_secret: !secret gone}\n", {}, "hq"),
        ("pbx: {name: hq}\n", {"THREECX2MQTT_PBX__NAME": "branch"}, "branch"),
        ("pbx: {}\n", {}, "3cx"),
        ("", {}, "3cx"),
        ("pbx: nothing\n", {}, "3cx"),
    ],
)
def test_health_needs_no_more_of_the_configuration_than_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, environ: dict[str, str], name: str
) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    Heartbeat(name, os.environ).write()
    assert main(["health", "-c", config_of(tmp_path, text)]) == 0


@pytest.mark.parametrize("text", ["pbx: {name: ../../etc}\n", "pbx: {name: [\n", "pbx: {name: !env NOT_THERE}\n"])
def test_a_configuration_without_a_usable_name_ends_with_78(tmp_path: Path, text: str) -> None:
    assert main(["health", "-c", config_of(tmp_path, text)]) == 78


def test_health_loads_no_network_library(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom bridge.cli import main\n"
        f"main(['health', '-c', {config_of(tmp_path)!r}])\n"
        "print({'aiohttp', 'paho', 'prometheus_client'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_image_and_compose_example_use_the_command(tmp_path: Path) -> None:
    Heartbeat("hq", os.environ).write()
    image, compose = (
        (ROOT / name).read_text() for name in ("Dockerfile", "examples/docker-compose/docker-compose.yaml")
    )
    for text, pattern in ((image, r"^HEALTHCHECK .* CMD (\[.*\])$"), (compose, r'test: \["CMD", ("3cx2mqtt".*)\]$')):
        (found,) = re.findall(pattern, text, re.MULTILINE)
        program, *arguments = json.loads(found if found.startswith("[") else f"[{found}]")
        assert program == "3cx2mqtt"
        assert main([*arguments, "-c", config_of(tmp_path)]) == 0


async def test_a_supervised_bridge_writes_heartbeats_and_removes_the_file_at_its_end() -> None:
    with Supervision(os.environ, timing=QUICK) as supervision:
        async with attended(supervision, Pulse(Clock()), "hq") as passes:
            await passes.more(1)
            assert Heartbeat("hq", os.environ).age() < limit(1)
        async with attended(supervision, Pulse(Clock()), "branch") as passes:  # a reload with another name
            await passes.more(1)
            assert not Heartbeat("hq", os.environ).path.exists()
            assert Heartbeat("branch", os.environ).age() < limit(1)
    assert list(Heartbeat("branch", os.environ).path.parent.iterdir()) == []


async def test_the_file_of_another_process_is_not_removed() -> None:
    file = Heartbeat("hq", os.environ)
    with Supervision(os.environ) as supervision:
        async with attended(supervision, Pulse(Clock())) as passes:
            await passes.more(1)
        file.path.write_text(json.dumps({"pid": NO_PROCESS, "monotonic": 1}))
    assert file.path.exists()


async def test_while_a_loop_is_stuck_no_heartbeat_is_written() -> None:
    pulse = Pulse(Clock())
    file = Heartbeat("hq", os.environ)
    with Supervision(os.environ, timing=QUICK) as supervision:
        async with attended(supervision, pulse) as passes:
            await passes.more(1)
            first = file.path.read_text()
            await passes.until(lambda: file.path.read_text() != first)
            pulse.expect("users", -1)
            await passes.more(2)  # it counts as stuck when it is late in two passes
            last = file.path.read_text()
            await passes.more(10)
            assert file.path.read_text() == last
            pulse.expect("users", 3600)
            await passes.until(lambda: file.path.read_text() != last)


async def test_a_heartbeat_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bridge")
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "none")}
    with Supervision(environ, timing=QUICK) as supervision:
        async with attended(supervision, Pulse(Clock())) as passes:
            await passes.more(10)
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            assert "'3cx2mqtt health' cannot see this bridge: [Errno 2] No such file" in caplog.text
            (tmp_path / "none").mkdir()
            await passes.until(Heartbeat("hq", environ).path.exists)
            assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
