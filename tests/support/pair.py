"""Two machines with one configuration: a process each, and a cable each to the broker and to the PBX."""

import itertools
import json
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, write_config
from tests.support.faults import Link
from tests.support.limits import limit
from tests.support.subscriber import Subscriber

KEEPALIVE = 5
_STANDS_BY = re.compile(r"standby: instance [0-9a-f]{8} is active")
LIGHTS = """\
lights:
  - {name: desk, driver: wled, topic: wled/desk, users: ["101"]}
  - {name: door, driver: wled, topic: wled/door, users: ["102"]}
standby: {after: 2s}
"""


@dataclass
class Asked:
    """A request to the PBX."""

    at: float
    by: int
    """Port of the machine's cable, from the Host header."""
    path: str


@dataclass(eq=False)
class Machine:
    """One of the two."""

    folder: Path
    broker: Link
    pbx: Link
    config: Path
    bridge: BridgeProcess | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        self.bridge = await self.stack.enter_async_context(BridgeProcess.start(self.config, arguments=["--standby"]))

    async def stands_by(self, times: int = 1) -> None:
        """Until it has seen so many times that another one is active."""
        assert self.bridge is not None
        await self.bridge.until(lambda log: len(_STANDS_BY.findall(log)) >= times, 20, "another one is active")

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.bridge is not None
        await self.bridge.signal(number)

    def freeze(self) -> None:
        assert self.bridge is not None
        self.bridge.freeze()

    def thaw(self) -> None:
        assert self.bridge is not None
        self.bridge.thaw()

    def log(self) -> str:
        assert self.bridge is not None
        return self.bridge.log()

    @property
    def instance(self) -> str:
        """As the log names it; empty while it has never been active."""
        assert self.bridge is not None
        _, found, rest = self.bridge.log().rpartition("active: this bridge (instance ")
        return rest[:8] if found else ""


class Pair:
    """Both, and what the PBX was asked by whom."""

    def __init__(self, pbx: SimulatedPbx, subscriber: Subscriber) -> None:
        self.pbx = pbx
        self.subscriber = subscriber
        self.asked: list[Asked] = []
        self.machines: list[Machine] = []
        pbx.intercept = self._note

    async def _note(self, request: web.Request) -> None:
        self.asked.append(Asked(time.monotonic(), int(request.host.partition(":")[2]), request.path))

    def active(self) -> Machine:
        """The one that `bridge/info` names."""
        instance = self.subscriber.json("3cx/bridge/info")["instance"]
        (found,) = (each for each in self.machines if each.bridge is not None and each.instance == instance)
        return found

    def standby(self) -> Machine:
        (found,) = (each for each in self.machines if each is not self.active())
        return found

    async def online(self, after: int = 0) -> None:
        """Until `online` is published once more than `after` times."""
        await self.subscriber.until(lambda: self.onlines() > after, limit(30))

    def onlines(self) -> int:
        return sum(topic == "3cx/bridge/state" and payload == "online" for topic, payload, _ in self.subscriber.log)

    def logins(self, machine: Machine | None = None) -> int:
        return sum(
            each.path == "/connect/token" and (machine is None or each.by == machine.pbx.port) for each in self.asked
        )

    def never_asked_at_once(self) -> bool:
        """Whether the PBX was asked by one machine at a time: once another one has asked, the first is silent."""
        turns = [each.by for each in self.asked]
        changes = sum(one != other for one, other in itertools.pairwise(turns))
        logins = [each.by for each in self.asked if each.path == "/connect/token"]
        return changes == sum(one != other for one, other in itertools.pairwise(logins))


@asynccontextmanager
async def pair(
    folder: Path, pbx: SimulatedPbx, url: str, port: int, subscriber: Subscriber, mqtt: str = "", more: str = LIGHTS
) -> AsyncIterator[Pair]:
    """Two machines that are not started yet."""
    both = Pair(pbx, subscriber)
    async with AsyncExitStack() as stack:
        for name in ("one", "two"):
            (place := folder / name).mkdir()
            broker = await stack.enter_async_context(Link(port))
            cable = await stack.enter_async_context(Link(urlsplit(url).port or 0))
            config = write_config(
                place,
                pbx,
                cable.url,
                broker.port,
                source="enabled: false",
                users_source="interval: 500ms",
                active_calls="interval: 500ms",
                call_control="enabled: true",
                mqtt=f"keepalive: {KEEPALIVE}s, {mqtt}",
                more=more,
            )
            machine = Machine(place, broker, cable, config)
            stack.push_async_exit(machine.stack)
            both.machines.append(machine)
        yield both


@dataclass
class Before:
    """What must be the same after a takeover."""

    since: dict[str, str]
    today: dict[str, str]
    lights: dict[str, str]
    states: dict[str, str]
    events: int


def kept(subscriber: Subscriber, dns: tuple[str, ...] = ("100", "101", "102")) -> Before:
    """As it is retained now."""
    latest = subscriber.latest
    return Before(
        {dn: json.loads(latest[f"3cx/users/{dn}"])["since"] for dn in dns},
        {dn: latest[f"3cx/users/{dn}/today"] for dn in dns},
        {name: latest[f"3cx/lights/{name}/state"] for name in ("desk", "door")},
        {dn: latest[f"3cx/users/{dn}/state"] for dn in dns},
        sum(topic.endswith("/call") for topic, _, _ in subscriber.log),
    )
