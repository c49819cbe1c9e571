"""A PBX without monitor status, a link in front of it that can be disturbed, and what the bridge logs."""

import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from bridge.simulator import SimulatedPbx
from tests.support.bridges import write_config
from tests.support.faults import Link, Log, listening
from tests.support.mosquitto import Mosquitto

Configure = Callable[..., Path]
Note = Callable[[str, object], None]


@pytest.fixture
def pbx() -> SimulatedPbx:
    return SimulatedPbx(users=4, version="20.0.10.51")


@pytest_asyncio.fixture
async def link(url: str) -> AsyncIterator[Link]:
    """In front of the PBX."""
    async with Link(urlsplit(url).port or 0) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def log() -> AsyncIterator[Log]:
    async with listening() as lines:
        yield lines


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Keeps what was measured with the test's report."""
    return lambda name, value: request.node.user_properties.append((name, value))


class NameServer:
    """Knows `HOST` as this machine, unless it fails."""

    HOST = "remote.localhost"

    def __init__(self) -> None:
        self.fails = False
        self._really = socket.getaddrinfo

    def getaddrinfo(self, host: str, *arguments: object, **options: object) -> object:
        if host == self.HOST:
            if self.fails:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            host = "127.0.0.1"
        return self._really(host, *arguments, **options)  # type: ignore[arg-type]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> NameServer:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    return server


@pytest.fixture
def configure(tmp_path: Path, pbx: SimulatedPbx, link: Link, broker: Mosquitto) -> Configure:
    """Writes a configuration: users and active calls are polled through the link, with 1 s for a request."""

    def configured(port: int | None = None, *, url: str | None = None, **sections: str) -> Path:
        sources = {
            "source": "enabled: false",
            "users_source": "interval: 500ms",
            "active_calls": "interval: 500ms",
            "call_control": "enabled: false",
        }
        path = write_config(tmp_path, pbx, url or link.url, port or broker.port, **(sources | sections))
        path.write_text(path.read_text().replace("timeout: 2s", "timeout: 1s"))
        return path

    return configured
