"""The app for Home Assistant: its start with the Supervisor's files and API imitated, and its configuration."""

import asyncio
import json
import os
import re
import struct
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge import __version__
from bridge.config import load
from bridge.errors import ConfigError
from bridge.simulator import SimulatedPbx
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port, with_passwords
from tests.support.subscriber import Subscriber

ROOT = Path(__file__).parents[1]
APP = ROOT / "addon"
CONFIG = yaml.safe_load((APP / "config.yaml").read_text())
TOKEN = "the-supervisor's-token"

BROKER = {"host": "core-mosquitto", "port": 1883, "username": "addons", "password": "secret", "ssl": False}


@pytest.fixture
def run() -> ModuleType:
    spec = spec_from_file_location("app_run", APP / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def supervisor(broker: Mapping[str, object] | None) -> AsyncIterator[str]:
    """The Supervisor's API, as its documentation and source have it: 400 where no app offers the service."""

    async def services(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"result": "error", "message": "unauthorized"}, status=401)
        if broker is None:
            return web.json_response({"result": "error", "message": "Service mqtt not enabled"}, status=400)
        return web.json_response({"result": "ok", "data": broker})

    application = web.Application()
    application.router.add_get("/services/mqtt", services)
    server = TestServer(application, host="127.0.0.1")
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


@asynccontextmanager
async def started(
    folder: Path, options: Mapping[str, object], address: str, port: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "config").mkdir(exist_ok=True)
    (folder / "data/options.json").write_text(json.dumps(options))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, APP / "run.py", "--options", folder / "data/options.json"),
        *("--folder", folder / "config", "--state", folder / "data", "--supervisor", address),
        *("--port", str(port or free_port())),
        env={**os.environ, "SUPERVISOR_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def options_for(pbx: SimulatedPbx, url: str, **more: object) -> dict[str, object]:
    options = {**CONFIG["options"], "pbx_url": url, "client_id": pbx.client_id, "client_secret": pbx.client_secret}
    return {**options, **more}


async def test_it_finds_the_broker_and_serves_the_board_to_the_sidebar(
    tmp_path: Path, pbx: SimulatedPbx, url: str
) -> None:
    accounts = with_passwords(tmp_path / "b", addons="secret")
    async with Mosquitto(tmp_path / "b", options=accounts) as broker:
        service = {**BROKER, "host": "127.0.0.1", "port": broker.port}
        (tmp_path / "config").mkdir()
        (tmp_path / "config/config.yaml").write_text("groups: {desk: ['101']}\n")
        async with (
            supervisor(service) as address,
            started(tmp_path, options_for(pbx, url, language="de"), address, port := free_port()) as process,
            Subscriber(broker.port, login=("addons", "secret")) as subscriber,
        ):
            await subscriber.until_latest("3cx/bridge/pbx", "online")
            await subscriber.until_latest("3cx/groups/desk/busy", "OFF")
            info = subscriber.json("3cx/bridge/info")
            assert info["config"]["homeassistant"]["language"] == "de"
            assert info["config"]["web"]["ingress"] is True
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/healthz") as response:
                    assert response.status == 200
                async with session.get(f"http://127.0.0.1:{port}/api/snapshot") as response:
                    assert response.status == 401  # not through Home Assistant
            assert process.returncode is None


async def test_without_a_broker_it_says_so_and_ends(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    async with supervisor(None) as address, started(tmp_path, options_for(pbx, url), address) as process:
        output, _ = await asyncio.wait_for(process.communicate(), limit(20))
        assert process.returncode == 78
        assert 'Install the app "Mosquitto broker"' in output.decode()
        assert "Traceback" not in output.decode()


async def test_without_the_supervisor_it_says_so_and_ends(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    async with started(tmp_path, options_for(pbx, url), "http://127.0.0.1:9") as process:
        output, _ = await asyncio.wait_for(process.communicate(), limit(20))
        assert (process.returncode, "The Supervisor does not answer" in output.decode()) == (78, True)


async def test_before_anything_is_filled_in_it_says_what_to_do(tmp_path: Path) -> None:
    async with supervisor(BROKER) as address, started(tmp_path, CONFIG["options"], address) as process:
        output, _ = await asyncio.wait_for(process.communicate(), limit(20))
        assert (process.returncode, "Fill in the PBX's address" in output.decode()) == (78, True)


async def test_a_broker_of_the_users_own_needs_no_supervisor(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(f"mqtt:\n  host: 127.0.0.1\n  port: {broker.port}\n")
    async with started(tmp_path, options_for(pbx, url), "http://127.0.0.1:9"):
        await subscriber.until_latest("3cx/bridge/pbx", "online")


def test_every_option_becomes_configuration(run: ModuleType, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "pbx_url": " https://pbx.example.com:5001 ",
        "client_id": "busylights",
        "client_secret": "key",
        "verify_tls": False,
        "pbx_name": "hq",
        "caller_id": "none",
        "change_profiles": True,
        "change_queues": True,
        "language": "de",
        "log_level": "debug",
    }
    assert options.keys() == CONFIG["options"].keys() == CONFIG["schema"].keys() == run._VARIABLES.keys()
    empty = tmp_path / "config.yaml"
    empty.write_text("#\n")
    config = load(empty, {**run.of_options(options), **run.of_broker({**BROKER, "ssl": True}), **run.of_board()})
    assert (config.pbx.url, config.pbx.client_id, config.pbx.client_secret) == (
        "https://pbx.example.com:5001",
        "busylights",
        "key",
    )
    assert (config.pbx.name, config.pbx.verify_tls, config.caller_id) == ("hq", False, "none")
    assert (config.commands.profile, config.commands.queue) == (True, True)
    assert (config.homeassistant.language, config.log.level) == ("de", "debug")
    assert (config.mqtt.host, config.mqtt.username, config.mqtt.password) == ("core-mosquitto", "addons", "secret")
    assert config.mqtt.tls is not None
    assert (config.web.port, config.web.ingress, config.web.serves_board) == (CONFIG["ingress_port"], True, True)
    assert not any("is ignored" in warning for warning in config.warnings)


def test_the_options_as_shipped_are_valid_but_for_the_pbx(run: ModuleType, tmp_path: Path) -> None:
    empty = tmp_path / "config.yaml"
    empty.write_text("#\n")
    with pytest.raises(ConfigError) as caught:
        load(empty, {**run.of_options(CONFIG["options"]), **run.of_broker(BROKER), **run.of_board()})
    assert {problem.key for problem in caught.value.problems} == {"pbx.url", "pbx.client_id", "pbx.client_secret"}


def test_the_configuration_of_the_app_is_what_home_assistant_documents() -> None:
    """https://developers.home-assistant.io/docs/apps/configuration"""
    types = {
        "name": str,
        "version": str,
        "slug": str,
        "description": str,
        "url": str,
        "arch": list,
        "init": bool,
        "startup": str,
        "boot": str,
        "services": list,
        "ingress": bool,
        "ingress_port": int,
        "ingress_stream": bool,
        "panel_icon": str,
        "panel_title": str,
        "watchdog": str,
        "map": list,
        "options": dict,
        "schema": dict,
    }
    assert {name: type(value) for name, value in CONFIG.items()} == types
    assert CONFIG["version"] == __version__
    assert set(CONFIG["arch"]) == {"amd64", "aarch64"}
    assert CONFIG["startup"] in {"initialize", "system", "services", "application", "once"}
    assert all(re.fullmatch(r"\w+:(provide|want|need)", each) for each in CONFIG["services"])
    kinds = r"(str|bool|int|float|email|url|password|port|match\(.*\)|list\(.*\))\??"
    assert all(re.fullmatch(kinds, kind) for kind in CONFIG["schema"].values())
    assert re.fullmatch(rf"http://\[HOST\]:\[PORT:{CONFIG['ingress_port']}\]/healthz", CONFIG["watchdog"])


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_option_has_a_name_in_each_language(language: str) -> None:
    words = yaml.safe_load((APP / f"translations/{language}.yaml").read_text())["configuration"]
    assert words.keys() == CONFIG["schema"].keys()
    assert all(each.keys() == {"name", "description"} for each in words.values())


@pytest.mark.parametrize(("name", "size"), [("icon.png", (128, 128)), ("logo.png", (250, 100))])
def test_pictures_have_the_sizes_that_the_store_shows(name: str, size: tuple[int, int]) -> None:
    assert struct.unpack(">II", (APP / name).read_bytes()[16:24]) == size


def test_the_repository_can_be_added_to_home_assistant() -> None:
    assert yaml.safe_load((ROOT / "repository.yaml").read_text()).keys() == {"name", "url", "maintainer"}
    assert {path.name for path in APP.iterdir()} >= {"DOCS.md", "CHANGELOG.md", "README.md", "Dockerfile", "run.py"}
