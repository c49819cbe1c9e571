"""The bridge itself: from a configuration text, inside the test's own loop or as a process of its own."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.config import Config, load
from bridge.runtime.bridge import Bridge
from bridge.runtime.timing import USUAL, Timing
from bridge.simulator import SimulatedPbx
from bridge.sources.table import TABLE
from bridge.sources.threecx.client.login_backoff import LoginBackoff
from tests.support.beside import beside
from tests.support.limits import limit

CONFIG = """\
pbx: {{name: hq, url: "{url}", client_id: {client_id}, client_secret: {client_secret}, timeout: 2s}}
sources:
{sources}
users: {{{users}}}
{more}
mqtt: {{host: 127.0.0.1, port: {port}, {mqtt}}}
homeassistant: {{{homeassistant}}}
log: {{level: debug}}
"""


class Hasty(random.Random):
    """No jitter, and every random wait at a hundredth of its shortest."""

    def random(self) -> float:
        return 0.0

    def uniform(self, a: float, b: float) -> float:
        return min(a, b) / 100


def write_config(
    folder: Path,
    pbx: SimulatedPbx,
    url: str,
    port: int,
    *,
    source: str = "interval: 500ms",
    users_source: str = "enabled: false",
    active_calls: str = "enabled: false",
    call_control: str = "enabled: false",
    users: str = "",
    more: str = "",
    mqtt: str = "",
    homeassistant: str = "",
    client_secret: str | None = None,
) -> Path:
    """A configuration file; by default monitor status is the only source."""
    named = {
        "monitor_status": source,
        "users": users_source,
        "active_calls": active_calls,
        "call_control": call_control,
    }
    path = folder / "config.yaml"
    path.write_text(
        CONFIG.format(
            url=url,
            client_id=pbx.client_id,
            client_secret=client_secret or pbx.client_secret,
            port=port,
            sources="\n".join(f"  {name}: {{{named.get(name, 'enabled: false')}}}" for name in TABLE),
            users=users,
            more=more,
            mqtt=mqtt,
            homeassistant=homeassistant,
        )
    )
    path.chmod(0o600)
    return path


def read_config(path: Path) -> Config:
    return load(path, {})


@asynccontextmanager
async def running(path: Path, state_directory: Path | None = None, timing: Timing = USUAL) -> AsyncIterator[None]:
    """The bridge in this loop, for the length of the block; stopped as SIGTERM stops it."""
    config = read_config(path)
    refusals = LoginBackoff(config.pbx, state_directory)
    async with beside(Bridge(config, rng=Hasty(), refusals=refusals, timing=timing).run()):
        yield


@asynccontextmanager
async def started(*arguments: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`3cx2mqtt` with these arguments as a process, which does not outlive the block whatever happens there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class BridgeProcess:
    """`3cx2mqtt run` as a process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        path: Path,
        environ: Mapping[str, str] | None = None,
        prelude: str = "",
        arguments: Sequence[str] = (),
    ) -> AsyncIterator["BridgeProcess"]:
        """`environ` is added to the environment; `prelude` is Python, to be run before the program.

        A prelude is for faults that only the process itself can have, such as a blocked event loop.
        """
        log = path.with_name("bridge.log")
        program = ["-m", "bridge"]
        if prelude:
            program = ["-c", f"{prelude}\nimport sys\nfrom bridge.cli import main\nsys.exit(main())"]
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *program, "run", "-c", str(path), *arguments),
                stderr=file,
                stdout=file,
                env=os.environ | (environ or {}),
            )
        try:
            yield cls(process, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        return self._log.read_text()

    async def signal(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; gives the exit code."""
        self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), limit(20))

    def freeze(self) -> None:
        """Stop the process as the sleep of a machine does: its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """After `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def hang_up(self) -> None:
        self._process.send_signal(signal.SIGHUP)

    async def says(self, text: str, timeout: float = 10.0) -> None:
        """Wait until the log holds `text`; `timeout` is scaled by TIMEOUT_FACTOR."""
        await self.until(lambda log: text in log, timeout, wanted=repr(text))

    async def until(self, holds: Callable[[str], bool], timeout: float = 10.0, wanted: str = "it") -> None:
        """Wait until the log is as `wanted`."""
        try:
            async with asyncio.timeout(limit(timeout)):
                while not holds(self.log()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{wanted} is not in the log:\n{self.log()}") from None
