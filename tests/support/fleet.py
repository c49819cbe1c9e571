"""A folder with several simulated PBXs, and one process that runs a bridge for each."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess

TENANT = """\
pbx: {{name: {name}, url: "{url}", client_id: busylights, client_secret: {secret}, timeout: 2s}}
sources:
  monitor_status: {{enabled: false}}
  users: {{interval: 500ms}}
  active_calls: {{interval: 500ms}}
mqtt: {{host: 127.0.0.1, port: {port}, base_topic: pbx/{name}}}
"""


class Folder:
    """The configurations. Each PBX is called as its file."""

    def __init__(self, path: Path, port: int) -> None:
        """`port` is the broker's."""
        path.mkdir(exist_ok=True)
        self.path = path
        self.port = port
        self.pbxs: dict[str, SimulatedPbx] = {}
        self._urls: dict[str, str] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def add(self, *names: str, users: int = 3) -> None:
        """PBXs that are simulated, each with its file."""
        for name in names:
            self.pbxs[name] = pbx = SimulatedPbx(users=users, version="20.0.10.51")
            self._urls[name] = await self._stack.enter_async_context(pbx.serve())
            self.write(name)

    def write(self, name: str, more: str = "", *, secret: str = "simulated-key", **changes: str) -> Path:
        """The file of a PBX, in which each of `changes` is replaced by the other, and `more` is added."""
        text = TENANT.format(name=name, url=self._urls[name], secret=secret, port=self.port) + more
        for before, after in changes.items():
            text = text.replace(before, after)
        return self.put(f"{name}.yaml", text)

    def put(self, name: str, text: str) -> Path:
        """Any file."""
        path = self.path / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    @asynccontextmanager
    async def running(self, *arguments: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[BridgeProcess]:
        """One process for all of them."""
        async with BridgeProcess.start(self.path, environ, arguments=arguments) as process:
            yield process


def log_of(process: BridgeProcess, name: str) -> list[str]:
    """The lines that name this PBX."""
    return [line for line in process.log().splitlines() if f"[{name}]" in line]
