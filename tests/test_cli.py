import asyncio
import os
import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import aiohttp
import pytest

import bridge
from bridge import commands
from bridge.cli import COMMANDS, main
from bridge.errors import BridgeError
from tests.support.bridges import started
from tests.support.limits import limit


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["run", "--fast"],
        ["simulate", "--port", "70000"],
        ["simulate", "--users", "0"],
        ["simulate", "x"],
        ["simulate", "--speed", "0"],
        ["record", "--for", "11m", "out.jsonl.gz"],
        ["record"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: 3cx2mqtt" in capsys.readouterr().err


def test_help_explains_every_exit_code_that_an_error_has(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    codes = {int(code) for code in re.findall(r"^  (\d+) +\w", capsys.readouterr().out, re.MULTILINE)}
    errors = [BridgeError]
    for error in errors:
        errors += error.__subclasses__()
    assert {error.exit_code for error in errors} == {1, 69, 77, 78}
    assert codes == {0, 1, 2, 69, 77, 78, 130}


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"3cx2mqtt {bridge.__version__}\n"


def test_the_example_of_this_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(bridge.__file__).parents[1]
    for option, name in (([], "config.example.yaml"), (["--schema"], "config.schema.json")):
        assert main(["example", *option]) == 0
        assert capsys.readouterr().out == (root / name).read_text()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_can_complete_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", shell])
    assert caught.value.code == 0
    script = capsys.readouterr().out
    assert all(command in script for command in COMMANDS)
    assert "--verify-tls" in script


def test_every_module_with_a_command_has_its_row_in_the_table() -> None:
    names = {module.name for module in iter_modules(commands.__path__)}
    with_main = {name for name in names if hasattr(import_module(f"bridge.commands.{name}"), "main")}
    assert {row.module for row in COMMANDS.values()} == with_main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: 3cx2mqtt {command} ")


def test_the_overview_imports_no_command() -> None:
    program = (
        "import sys\nfrom bridge.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name.startswith(('bridge.commands', 'aiohttp', 'paho'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *overview, imported = done.stdout.splitlines()
    assert imported == "[]"
    assert [line.split()[0] for line in overview if re.match(r" {4}\S", line)][: len(COMMANDS)] == list(COMMANDS)


def test_a_missing_configuration_ends_with_78(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run"]) == 78
    assert "no configuration: none at config.yaml, /etc/3cx2mqtt/config.yaml" in capsys.readouterr().err
    monkeypatch.setenv("THREECX2MQTT_CONFIG", "named.yaml")
    assert main(["run"]) == 78
    assert "named.yaml: cannot be read" in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text("pbx: {}\n")
    monkeypatch.delenv("THREECX2MQTT_CONFIG")
    assert main(["run"]) == 78
    assert "config.yaml:1 pbx.url: is required" in capsys.readouterr().err


CONFIG = """\
pbx: {url: "http://127.0.0.1:9", client_id: busylights, client_secret: abc}
mqtt: {host: 127.0.0.1, port: 9}
"""


def with_streams(tmp_path: Path, command: str, redirection: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that a shell runs with this redirection."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    line = f"exec {sys.executable} -m bridge {command} -c {tmp_path / 'config.yaml'} {redirection}"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False, timeout=limit(30))
    return done.returncode, done.stdout, done.stderr


def test_output_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    code, _, complaint = with_streams(tmp_path, "check --offline", ">/dev/full")
    assert (code, complaint) == (1, "3cx2mqtt: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_changes_no_exit_code(tmp_path: Path, redirection: str) -> None:
    code, _, complaint = with_streams(tmp_path, "check --offline", redirection)
    assert (code, complaint) == (0, "")


async def test_the_daemon_runs_with_stderr_closed_and_nothing_else_gets_its_descriptor(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    line = f"exec {sys.executable} -m bridge run -c {tmp_path / 'config.yaml'} 2>&-"
    process = await asyncio.create_subprocess_exec("/bin/sh", "-c", line)
    try:
        await until_handled(process)
        assert _leads_to(process.pid, 2) == os.devnull
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), limit(10)) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_reload_that_is_asked_for_while_the_daemon_starts_is_done(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "run", "-c", str(tmp_path / "config.yaml")), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(limit(20)):
            # All signals are blocked for a moment whenever the system starts a process or a thread.
            while _signals(process.pid, "SigBlk") != {signal.SIGHUP}:
                await asyncio.sleep(0)
            process.send_signal(signal.SIGHUP)
            while b"configuration read again" not in await process.stderr.readline():
                assert process.returncode is None
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until_handled(process: asyncio.subprocess.Process) -> None:
    """Wait until the process has a handler for SIGTERM, which would kill it before."""
    async with asyncio.timeout(limit(20)):
        while signal.SIGTERM not in _signals(process.pid, "SigCgt"):
            await asyncio.sleep(0.02)


def _leads_to(pid: int, descriptor: int) -> str:
    return str(Path(f"/proc/{pid}/fd/{descriptor}").readlink())


def _signals(pid: int, kind: str) -> set[int]:
    """Signals of the process: SigCgt those that it handles, SigBlk the blocked ones."""
    status = Path(f"/proc/{pid}/status").read_text()
    (found,) = re.findall(rf"^{kind}:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return {number for number in range(1, 65) if int(found, 16) >> (number - 1) & 1}


async def line_of(process: asyncio.subprocess.Process) -> str:
    """The next line that it prints; fails where it has ended instead."""
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line, "the program has ended"
    return line


async def ends_well(process: asyncio.subprocess.Process) -> None:
    """As Ctrl-C ends it: soon, with 0, and without an error message."""
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(limit(10)):
        _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")


async def test_the_simulator_says_how_to_use_it() -> None:
    async with started("simulate", "--users", "3", "--rows", "official") as process:
        async with asyncio.timeout(limit(20)):
            lines = [await line_of(process) for _ in range(8)]
        assert re.match(r"A simulated 3CX 20.0.8 with 3 people is at http://127.0.0.1:\d+", lines[0])
        assert "  client_secret: simulated-key\n" in lines
        await ends_well(process)


async def test_the_demo_ends_quietly_when_nobody_reads_on() -> None:
    command = f"{sys.executable} -m bridge demo | head -1; exit ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(limit(40)):
        output, errors = await process.communicate()
    assert output.startswith(b"3cx2mqtt demo: ")
    assert (process.returncode, errors) == (0, b"")


async def test_the_demo_shows_users_changing_and_ends_though_a_client_is_connected() -> None:
    seen: dict[str, list[str]] = {}
    text = ""
    async with started("demo") as process:
        async with asyncio.timeout(limit(40)):
            while not any(len(states) > 1 for states in seen.values()):
                line = await line_of(process)
                text += line
                if match := re.match(r"  \d\d:\d\d:\d\d  (3cx/users/\d+/state) +(\w+)", line):
                    seen.setdefault(match[1], []).append(match[2])
        assert len(seen) == 8
        board = re.search(r"the board +(http://127.0.0.1:\d+/) ", text.partition("mosquitto_sub")[0])
        assert board
        async with aiohttp.ClientSession() as session, session.get(f"{board[1]}api/snapshot") as response:
            assert len((await response.json())["pbxs"][0]["users"]) == 8
        hint = re.search(r"mosquitto_sub -h 127.0.0.1 -p (\d+) -v -t '3cx/#'", text)
        assert hint
        _, client = await asyncio.open_connection("127.0.0.1", int(hint[1]))
        try:
            await ends_well(process)
        finally:
            client.close()
