"""A real Mosquitto on a free loopback port, started and stopped by the tests."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.support.limits import limit

_PORTS = range(15000, 32000)
"""Below those that outgoing connections are given: none of them takes the port of a server that is away for a while."""

_SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def free_port() -> int:
    """A port that no process listens on; another one each time, also where several processes run tests."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def program(name: str) -> str:
    found = shutil.which(name, path=_SEARCH)
    assert found is not None, f"{name} is missing; scripts/test installs it"
    return found


def with_passwords(folder: Path, **passwords: str) -> tuple[str, ...]:
    """Options of a broker that accepts these logins and no others."""
    folder.mkdir(exist_ok=True)
    path = folder / "passwords"
    for name, password in passwords.items():
        create = [] if path.exists() else ["-c"]
        subprocess.run([program("mosquitto_passwd"), "-b", *create, path, name, password], check=True)
    path.chmod(0o644)
    return "allow_anonymous false", f"password_file {path}"


def with_rules(folder: Path, rules: str) -> tuple[str, ...]:
    """Options of a broker that accepts every login and allows what these rules (`acl_file`) say.

    Mosquitto 2.0.11 ends connections that it denies something when its queues have no limit, so they have one here.
    """
    folder.mkdir(exist_ok=True)
    path = folder / "acl"
    path.write_text(rules)
    path.chmod(0o644)
    return "allow_anonymous true", f"acl_file {path}", "max_queued_messages 100000"


class Mosquitto:
    """A broker with its own folder; keeps its port over restarts."""

    def __init__(
        self, folder: Path, *, options: Sequence[str] = ("allow_anonymous true",), persistent: bool = False
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._options = options
        self._persistent = persistent
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        lines = [f"listener {self.port} 127.0.0.1", "max_queued_messages 0", *self._options]
        if self._persistent:
            lines += ["persistence true", f"persistence_location {self._folder}/"]
        if os.geteuid() == 0:
            lines.append("user root")
        path = self._folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                program("mosquitto"), "-c", str(path), stdout=log, stderr=log
            )
        async with asyncio.timeout(limit(10)):
            while not await self._listens():
                assert self._process.returncode is None, (self._folder / "mosquitto.log").read_text()
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """A clean stop: what is retained is saved, where this broker saves at all."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), limit(10))

    def pause(self) -> None:
        """Stop the process: it neither reads nor writes, and all its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After a pause."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """Read the rules and passwords again; connections stand."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await asyncio.wait_for(self._process.wait(), limit(10))

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True
