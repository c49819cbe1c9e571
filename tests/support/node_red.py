"""A real Node-RED with the shipped flows, as a process on a free loopback port."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.support.limits import limit
from tests.support.mosquitto import free_port

ROOT = Path(__file__).parents[2]
FLOWS = ROOT / "examples" / "node-red" / "flows.json"
_CACHE = ROOT / ".cache"
_FOLDERS = {4: _CACHE / "node-red", 5: _CACHE / "node-red-5"}
"""By version; Node-RED 5 needs a newer Node.js than many machines have, so one is installed beside it."""

# No editor, no connections to the internet, and short waits before reconnecting to the broker.
_SETTINGS = """\
module.exports = {{
    uiHost: "127.0.0.1",
    uiPort: {port},
    httpAdminRoot: false,
    flowFile: "flows.json",
    credentialSecret: false,
    mqttReconnectTime: 200,
    telemetry: {{ enabled: false, updateNotification: false }},
    externalModules: {{ autoInstall: false, palette: {{ allowInstall: false, allowUpdate: false }} }},
    logging: {{ console: {{ level: "info" }} }},
}};
"""


class NodeRed:
    """Keeps its folder and its port across restarts."""

    def __init__(self, folder: Path, broker_port: int, version: int = 4) -> None:
        self._folder = folder
        self._modules = _FOLDERS[version] / "node_modules"
        self._port = free_port()
        self._log = folder / "node-red.log"
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        (folder / "flows.json").write_text(json.dumps(_for_broker(broker_port)))
        (folder / "settings.js").write_text(_SETTINGS.format(port=self._port))

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(f"http://127.0.0.1:{self._port}")
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        if self._session is not None:
            await self._session.close()

    async def start(self) -> None:
        """Start it; returns when the flows run."""
        own = next(self._modules.glob("node-linux-*/bin/node"), None)
        node = str(own) if own is not None else shutil.which("node")
        assert node is not None, "node is missing; scripts/test-e2e installs it"
        red = self._modules / "node-red" / "red.js"
        assert red.exists(), "Node-RED is missing; scripts/test-e2e installs it"
        arguments = ("--settings", str(self._folder / "settings.js"), "--userDir", str(self._folder))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                node, str(red), *arguments, cwd=self._folder, stdout=log, stderr=log
            )
        async with asyncio.timeout(limit(30)):
            while not await self._answers():
                assert self._process.returncode is None, self.log()
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), limit(10))
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def log(self) -> str:
        return self._log.read_text()

    async def get(self, path: str) -> tuple[str, dict[str, str]]:
        """The body and the headers (names in lower case) of the response for `path`."""
        assert self._session is not None
        async with self._session.get(path) as answer:
            assert answer.status == 200, path
            return await answer.text(), {name.lower(): value for name, value in answer.headers.items()}

    async def board(self) -> Any:
        """The data of the presence board."""
        return json.loads((await self.get("/presence.json"))[0])

    async def until_board(self, condition: Callable[[Any], bool], timeout: float = 10.0) -> Any:
        """Wait until the board fulfils `condition`; returns it."""
        board = None
        try:
            async with asyncio.timeout(limit(timeout)):
                while not condition(board := await self.board()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"the board stays {board}; Node-RED says:\n{self.log()}") from None
        return board

    async def _answers(self) -> bool:
        assert self._session is not None
        try:
            async with self._session.get("/presence.json") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


def _for_broker(port: int) -> list[dict[str, Any]]:
    """The shipped flows with the broker's address replaced."""
    flows: list[dict[str, Any]] = json.loads(FLOWS.read_text())
    broker = next(node for node in flows if node["type"] == "mqtt-broker")
    broker.update(broker="127.0.0.1", port=str(port))
    return flows
