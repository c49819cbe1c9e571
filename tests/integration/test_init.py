"""`3cx2mqtt init`: at a terminal and without one, with right and wrong answers."""

import asyncio
import os
import ssl
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from bridge.commands.init.addresses import candidates, find
from bridge.commands.init.answers import Answers, LightAnswer, draft
from bridge.config import load
from bridge.simulator import SimulatedPbx
from tests.support.bridges import running, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port, with_passwords
from tests.support.subscriber import Subscriber
from tests.support.terminal import Terminal

KEY = "THREECX2MQTT_PBX__CLIENT_SECRET"


async def init(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Without a terminal: exit code and all output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "init", *arguments),
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state"), **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(limit(30)):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def given(url: str, broker: Mosquitto, *more: str) -> tuple[str, ...]:
    return (
        *("--yes", "--pbx-url", url, "--client-id", "busylights"),
        *("--mqtt-host", "127.0.0.1", "--mqtt-port", str(broker.port), *more),
    )


async def test_it_writes_what_works(tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto) -> None:
    more = ("--groups", "--board", "--light", "zigbee2mqtt", "zigbee2mqtt/desk", "101")
    code, output = await init(tmp_path, *given(url, broker, *more), environ={KEY: pbx.client_secret})
    assert code == 0, output
    assert "ok    users: 3 rows" in output
    assert "Ada Example" in output
    assert output.endswith("Next: 3cx2mqtt run -c config.yaml\n")
    assert pbx.client_secret not in output
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("config.yaml", "secrets.yaml")}
    assert modes == {"config.yaml": 0o644, "secrets.yaml": 0o600}
    assert pbx.client_secret not in (tmp_path / "config.yaml").read_text()
    config = load(tmp_path / "config.yaml", {})
    assert (config.pbx.url, config.pbx.client_secret) == (url, pbx.client_secret)
    assert (config.mqtt.port, config.web.enabled, config.warnings) == (broker.port, True, ())
    assert {name: group.departments for name, group in config.groups.items()} == {
        "sales": ("Sales",),
        "support": ("Support",),
    }
    assert [light.users for light in config.lights] == [("101",)]


async def test_it_overwrites_nothing_unless_told_to(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("mine: 1\n")
    code, output = await init(tmp_path, "--yes")
    assert (code, "secrets.yaml would be overwritten" in output) == (1, True)
    assert (tmp_path / "secrets.yaml").read_text() == "mine: 1\n"


async def test_without_a_terminal_a_missing_answer_is_named(tmp_path: Path, broker: Mosquitto) -> None:
    code, output = await init(tmp_path, "--mqtt-host", "127.0.0.1", "--mqtt-port", str(broker.port))
    assert (code, "give --pbx-url or the variable THREECX2MQTT_PBX__URL" in output) == (1, True)


async def test_a_refused_key_is_sent_once(tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto) -> None:
    for _ in range(2):
        code, output = await init(tmp_path, *given(url, broker), environ={KEY: "wrong"})
        assert code == 77
        assert output.endswith("That did not work yet; nothing was written\n")
        assert not (tmp_path / "config.yaml").exists()
    assert len([request for request in pbx.requests if request.path == "/connect/token"]) == 1


async def test_what_cannot_be_reached_is_said_to_be(tmp_path: Path, url: str, broker: Mosquitto) -> None:
    elsewhere = ("--mqtt-port", str(free_port()))
    code, output = await init(tmp_path, *given(url, broker), *elsewhere, environ={KEY: "x"})
    assert (code, "does the broker run" in output) == (69, True)
    code, output = await init(tmp_path, *given(f"127.0.0.1:{broker.port}", broker), environ={KEY: "x"})
    assert (code, "No 3CX was found at https://127.0.0.1:" in output) == (69, True)
    code, output = await init(tmp_path, *given("https://", broker), environ={KEY: "x"})
    assert (code, "holds no name or address of a machine" in output) == (78, True)


async def test_a_running_bridge_keeps_its_login(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    (tmp_path / "other").mkdir()
    async with running(write_config(tmp_path / "other", pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/pbx", "online")
        before = len([request for request in pbx.requests if request.path == "/connect/token"])
        code, output = await init(tmp_path, *given(url, broker, "--pbx-name", "hq"), environ={KEY: pbx.client_secret})
        assert (code, "not tried, as a running bridge uses this API client" in output) == (0, True)
        after = len([request for request in pbx.requests if request.path == "/connect/token"])
        assert after == before


async def test_at_a_terminal_wrong_answers_are_asked_for_again(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    async with Terminal.running("init", cwd=tmp_path, environ=environ) as terminal:
        for port, then in ((free_port(), "That did not work yet"), (broker.port, "can be published to")):
            await terminal.answer("MQTT broker's name or address", "\x15127.0.0.1")  # Ctrl-U: instead of the default
            await terminal.answer("Its port", str(port))
            await terminal.press("use TLS", "n")
            await terminal.answer("User name", "")
            await terminal.reads(then)
        await terminal.answer("The PBX's address", f"{url}/#/office/login")
        await terminal.reads(f"a 3CX answers at {url}")
        for key, then in (
            ("wrong-key", "That did not work yet"),
            ("wrong-key", "The PBX has just refused this one"),
            (pbx.client_secret, "3 users, such as"),
        ):
            await terminal.answer("API client's id", "busylights")
            await terminal.answer("Its API key", key)
            await terminal.reads(then)
        await terminal.press("A group for each department", "y")
        await terminal.press("The board in the browser", "n")
        await terminal.press("A busy light now", "n")
        await terminal.reads("Next: 3cx2mqtt run")
        assert await terminal.ends() == 0
        assert "wrong-key" not in terminal.text
        assert pbx.client_secret not in terminal.text
    assert set(load(tmp_path / "config.yaml", {}).groups) == {"sales", "support"}
    assert len([request for request in pbx.requests if request.path == "/connect/token"]) == 2


async def test_a_broker_with_a_password(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    options = with_passwords(tmp_path / "b", bridge="p: #1 '\"")
    async with Mosquitto(tmp_path / "b", options=options) as broker:
        file = tmp_path / "password"
        file.write_text("p: #1 '\"\n")
        login = ("--mqtt-username", "bridge", "--mqtt-password-file", str(file))
        code, output = await init(tmp_path, *given(url, broker, *login), environ={KEY: pbx.client_secret})
        assert code == 0, output
        assert load(tmp_path / "config.yaml", {}).mqtt.password == "p: #1 '\""
        code, output = await init(tmp_path, "-c", "x.yaml", "--force", *given(url, broker), environ={KEY: "x"})
        assert code == 77, output


async def test_a_certificate_of_its_own_needs_a_yes(tmp_path: Path, pbx: SimulatedPbx, broker: Mosquitto) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with pbx.serve(ssl_context=context) as url:
        address = url.replace("http://", "https://").removeprefix("https://")
        code, output = await init(tmp_path, *given(address, broker), environ={KEY: pbx.client_secret})
        assert (code, "give --verify-tls the path of its CA file, or false" in output) == (1, True)
        for verify in (str(tmp_path / "ca.pem"), "ca.pem", "false"):
            more = ("--force", "--verify-tls", verify)
            code, output = await init(tmp_path, *given(address, broker, *more), environ={KEY: pbx.client_secret})
            assert code == 0, output


@pytest.mark.parametrize(
    ("written", "urls"),
    [
        ("pbx.example.com", ["https://pbx.example.com", "https://pbx.example.com:5001", "http://pbx.example.com:5000"]),
        ("pbx.example.com:5001", ["https://pbx.example.com:5001", "http://pbx.example.com:5001"]),
        ("https://PBX.example.com:5001/#/login", ["https://pbx.example.com:5001"]),
        ("https://pbx.example.com/webclient?x=1", ["https://pbx.example.com", "https://pbx.example.com:5001"]),
        (" <https://pbx.example.com> ", ["https://pbx.example.com"]),
        ("192.0.2.4:443", ["https://192.0.2.4:443"]),
        ("[2001:db8::1]:5001", ["https://[2001:db8::1]:5001"]),
    ],
)
def test_any_form_of_an_address_is_understood(written: str, urls: list[str]) -> None:
    assert candidates(written)[: len(urls)] == urls


@pytest.mark.parametrize("written", ["", "https://", "a b", "http://:80", "x:99999", "pbx,example"])
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="holds no name or address of a machine"):
        candidates(written)


async def test_another_server_is_not_taken_for_a_pbx(broker: Mosquitto) -> None:
    attempt = await find([f"http://127.0.0.1:{broker.port}", f"http://127.0.0.1:{free_port()}"])
    assert (attempt.found, attempt.problem != "") == (False, True)


def test_no_answer_can_be_taken_for_yaml() -> None:
    odd = 'x: "{}[] #&*!|>%@`\\ \n- ü'
    answers = Answers(
        username=odd,
        password=odd,
        client_id=odd,
        client_secret=odd,
        groups={"sales": odd},
        light=LightAnswer("light-1", "tasmota", "desk", odd),
    )
    config = draft(answers)
    assert (config.mqtt.username, config.mqtt.password, config.pbx.client_id) == (odd, odd, odd)
    assert config.groups["sales"].departments == (odd,)
    assert config.lights[0].users == (odd,)
