"""One PBX of a fleet: started when there is room, started again when it fails, and seen from outside."""

import asyncio
import logging
import random
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path

from bridge.aio import Backoff
from bridge.config import Config
from bridge.log_bounds import of_pbx
from bridge.mqtt.session_state import SessionState
from bridge.runtime.process import Process
from bridge.runtime.tenant import Tenant
from bridge.sources.threecx.client.login_backoff import LoginBackoff

_RESTARTS = 1.0, 300.0
"""Seconds until a bridge that has failed is started again, at first and at most."""
_LASTED = 600.0
"""Seconds after which a bridge that fails is started again as soon as at first."""
_FIRST_STEPS = 2.0
"""Seconds for which a bridge that starts may keep others waiting: until it is in sync, or this long."""
_LOOK = 0.05

_logger = logging.getLogger(__name__)


class Condition(StrEnum):
    """How a member is doing."""

    WAITING = "waiting"
    """For its turn to start."""
    RUNNING = "running"
    FAILED = "failed"
    """Ended by an internal error; started again after a pause."""


class Member:
    """A bridge under supervision. What goes wrong in it stays in it."""

    def __init__(
        self, config: Config, process: Process, directory: Path | None, turn: asyncio.Semaphore, rng: random.Random
    ) -> None:
        """`directory` keeps refused logins; `turn` lets some bridges start at a time."""
        self.config = config
        self._process = process
        self._refusals = LoginBackoff(config.pbx, directory)
        self._turn = turn
        self._backoff = Backoff(*_RESTARTS, rng)
        self._tenant: Tenant | None = None
        self._stopped = False
        self._late: set[str] = set()
        self.condition = Condition.WAITING
        self.problem: str | None = None
        """What it has failed with, for people."""
        self.bridges = 0
        """How many bridges were started, and ended by a failure."""
        self.started = False
        """Whether it has been at work."""
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Its `pbx.name`."""
        return self.config.pbx.name

    def begin(self, after: Collection[asyncio.Task[None]] = ()) -> None:
        """Start it once those tasks have ended; its lines in the log name the PBX."""
        before = of_pbx.set(self.name)
        try:
            self._task = asyncio.create_task(self._run(after), name=f"pbx {self.name}")  # which copies the context
        finally:
            of_pbx.reset(before)

    def change(self, config: Config) -> None:
        """Go on with this configuration, of the same `pbx.name`."""
        self.config = config
        self.bridges += 1
        if self._tenant is not None:
            self._tenant.change(config)

    async def end(self) -> None:
        """Stop it, and wait for its farewell."""
        self._stopped = True
        if self._task is None:
            return
        if self.condition is Condition.RUNNING and self._tenant is not None:
            self._tenant.change(None)
        else:
            self._task.cancel()
        await asyncio.wait({self._task})

    def look(self) -> None:
        """End a bridge one of whose loops is stuck, so that it is started again. To be called now and then."""
        bridge = None if self._tenant is None else self._tenant.bridge
        if bridge is None or self.condition is not Condition.RUNNING:
            return
        before, self._late = self._late, set(bridge.pulse.late())
        stuck = sorted(before & self._late)  # twice: after a sleep of the whole machine every loop is late once
        if stuck and self._tenant is not None:
            self._late = set()
            self._tenant.fail(RuntimeError(f"stuck: {', '.join(stuck)}"))

    async def _run(self, after: Collection[asyncio.Task[None]]) -> None:
        if after:
            await asyncio.wait(after)
        loop = asyncio.get_running_loop()
        while not self._stopped:
            began = loop.time()
            try:
                await self._once()
            except Exception as error:  # a fault in one bridge harms no other
                self.condition, self.problem = Condition.FAILED, f"internal error ({_named(error)})"
                if loop.time() - began >= _LASTED:
                    self._backoff.reset()
                pause = self._backoff.next()
                _logger.exception("internal error, please report it; started again in %.0f s", pause)
                await asyncio.sleep(pause)

    async def _once(self) -> None:
        """Until it is stopped; raises what it fails with."""
        try:
            async with asyncio.TaskGroup() as tasks, self._turn:
                self._tenant = tenant = Tenant(self._refusals, self._process)
                running = tasks.create_task(tenant.run(self.config), name="tenant")
                self.condition, self.problem, self.started = Condition.RUNNING, None, True
                self.bridges += 1
                await _first_steps(tenant, running)
        finally:
            self._tenant = None


async def _first_steps(tenant: Tenant, running: asyncio.Task[None]) -> None:
    """Until it is in sync, has ended, or has had its time."""
    end = asyncio.get_running_loop().time() + _FIRST_STEPS
    while not running.done() and asyncio.get_running_loop().time() < end:
        if tenant.bridge is not None and tenant.bridge.session.state is SessionState.IN_SYNC:
            return
        await asyncio.sleep(_LOOK)


def _named(error: BaseException) -> str:
    """The kind of the first error in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
