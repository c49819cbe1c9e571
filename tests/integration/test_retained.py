"""Whatever happens to users, options, PBX and broker: the broker retains what is true now, and nothing more."""

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bridge.runtime.timing import Timing
from bridge.simulator import SimulatedPbx
from bridge.topics import object_id
from tests.support.bridges import running, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

PEOPLE = ("100", "1 01", "é+", "103", "HD9")
"""Among them a DN that cannot be a topic, and a non-person extension."""
PUBLISHABLE = {"100", "1 01", "103"}
NAMES = ("Ada", "Bruno", 'Chloé "C" </b>')

PASSING = re.compile("/bridge/(check|log|request/.*|response/.*)$|^wled/desk/api$")
"""Topics that nothing is retained under."""

NOT_OURS = '{"origin":{"name":"somebody"},"device":{"identifiers":["3cx2mqtt_hq_mine"]}}'

Step = tuple[str, Any]


@dataclass(frozen=True)
class Options:
    """What decides which topics there are."""

    base: str = "3cx"
    prefix: str = "homeassistant"
    discovery: bool = True
    writing: bool = False
    monitor: bool = True
    group: bool = False
    light: bool = False
    excluded: str = ""

    def text(self) -> dict[str, str]:
        """As `write_config` takes it."""
        more = [f"commands: {{profile: {_yes(self.writing)}, queue: {_yes(self.writing)}}}"]
        more += ["groups: {sales: {users: ['100'], departments: [Sales]}}"] if self.group else []
        more += ["lights: [{name: desk, driver: wled, topic: wled/desk, users: ['1*']}]"] if self.light else []
        return {
            "mqtt": f"base_topic: {self.base}, max_rate: 0",
            "homeassistant": f"enabled: {_yes(self.discovery)}, discovery_prefix: {self.prefix}",
            "source": "interval: 500ms" if self.monitor else "enabled: false",
            "users_source": "interval: 500ms",
            "users": f"forget_after: 0s, exclude: [{self.excluded!r}]" if self.excluded else "forget_after: 0s",
            "more": "\n".join(more),
        }


def _yes(value: object) -> str:
    return "true" if value else "false"


OPTIONS = st.builds(
    Options,
    base=st.sampled_from(["3cx", "phones", "phones/hq"]),
    prefix=st.sampled_from(["homeassistant", "ha"]),
    discovery=st.booleans(),
    writing=st.booleans(),
    monitor=st.booleans(),
    group=st.booleans(),
    light=st.booleans(),
    excluded=st.sampled_from(["", "", "1 01"]),
)
CHANGE = st.one_of(
    st.tuples(st.just("come"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("go"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("rename"), st.tuples(st.sampled_from(PEOPLE), st.sampled_from(NAMES))),
    st.tuples(st.just("move"), st.tuples(st.sampled_from(PEOPLE), st.sampled_from([0, 1, 2]))),
    st.tuples(st.just("profile"), st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["Available", "Away"]))),
)
CHANGES = st.lists(CHANGE, max_size=3)
STEP = st.one_of(
    st.tuples(st.just("changes"), CHANGES),
    st.tuples(st.just("outage"), st.tuples(st.sampled_from(["", "/Users"]), CHANGES)),
    st.tuples(st.just("broker"), CHANGES),
    st.tuples(st.just("restart"), st.tuples(CHANGES, OPTIONS)),
)


@dataclass
class Office:
    """A PBX whose users are changed, and what the broker should retain because of them."""

    pbx: SimulatedPbx
    down: str | None = None
    """The end of the paths that answer HTTP 503 now."""
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when such a path was requested."""
    options: Options = field(default_factory=Options)

    def change(self, change: Step) -> None:
        """Apply one change, where it is possible."""
        kind, detail = change
        dn = detail if isinstance(detail, str) else detail[0]
        if kind == "come":
            if dn not in self.pbx.users:
                self.pbx.add_user(dn, NAMES[0])
        elif dn not in self.pbx.users:
            return
        elif kind == "go":
            if len(self.pbx.users) > 1:  # an empty list of users is ignored as a fault of the PBX
                self.pbx.remove_user(dn)
        else:
            self.pbx.change(dn, **{{"rename": "name", "move": "department"}.get(kind, kind): detail[1]})

    def published(self) -> list[str]:
        """The DNs that there should be topics for."""
        return sorted(self.pbx.users.keys() & PUBLISHABLE - {self.options.excluded})

    def topics(self) -> set[str]:
        """Everything that should be retained."""
        return {*self._own(), *self._discovery()}

    def _own(self) -> Iterator[str]:
        base = self.options.base
        for name in ("state", "pbx", "info", "users", "users_busy", "count", "health", "log_level"):
            yield f"{base}/bridge/{name}"
        for dn in self.published():
            yield f"{base}/users/{dn}"
            for name in ("state", "busy", "today", *(["monitor"] if self.options.monitor else [])):
                yield f"{base}/users/{dn}/{name}"
        if self.options.group:
            yield f"{base}/groups/sales"
            yield f"{base}/groups/sales/busy"
        if self.options.light:
            yield f"{base}/lights/desk/state"

    def _discovery(self) -> Iterator[str]:
        if self.options.discovery:
            ids = ["bridge", *(object_id("user", dn) for dn in self.published())]
            ids += ["group_sales"] if self.options.group else []
            ids += ["light_desk"] if self.options.light else []
            yield from map(self.device, ids)

    def device(self, name: str) -> str:
        """The discovery topic of a device."""
        return f"{self.options.prefix}/device/3cx2mqtt_hq/{name}/config"

    def is_true(self, retained: dict[str, str]) -> bool:
        """Whether the retained topics and their payloads match the PBX."""
        if retained.keys() != self.topics():
            return False
        roster = json.loads(retained[f"{self.options.base}/bridge/users"])
        if self.options.group and self._members(retained) != {
            dn for dn in self.published() if dn == "100" or self.pbx.users[dn].department == 1
        }:
            return False
        entries = [(dn, self.pbx.departments[self.pbx.users[dn].department]) for dn in self.published()]
        return [(entry["number"], entry["department"]) for entry in roster] == entries and all(
            self._user_is_true(dn, retained) for dn in self.published()
        )

    def _members(self, retained: dict[str, str]) -> set[str]:
        document = json.loads(retained[f"{self.options.base}/groups/sales"])
        return {dn for members in document.values() for dn in members}

    def _user_is_true(self, dn: str, retained: dict[str, str]) -> bool:
        user = self.pbx.users[dn]
        state = "away" if user.profile == "Away" else "available"
        document = json.loads(retained[f"{self.options.base}/users/{dn}"])
        department = self.pbx.departments[user.department]
        if (document["state"], document["name"], document["department"]) != (state, user.name, department):
            return False
        if not self.options.discovery:
            return True
        device = json.loads(retained[self.device(object_id("user", dn))])
        area = {1: "Sales", 2: "Support"}.get(user.department)
        components = device["components"]
        return (device["device"]["name"], device["device"].get("suggested_area")) == (user.name, area) and (
            "command_topic" in components["queue_switch"],
            "state_topic" in components["monitored"],
        ) == (self.options.writing, self.options.monitor)


@pytest.mark.timeout(limit(300))
@settings(
    max_examples=15,
    phases=[Phase.reuse, Phase.generate],  # shrinking takes minutes, and the sequences are short
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(STEP, min_size=3, max_size=8), OPTIONS)
def test_what_is_retained_is_what_is_true_and_nothing_of_others_is_touched(
    steps: Sequence[Step], options: Options
) -> None:
    asyncio.run(live(steps, options))


async def live(steps: Sequence[Step], options: Options) -> None:
    """One sequence of events, with a broker of its own."""
    pbx = SimulatedPbx(users=1, version="20.0.8.1109")
    office = Office(pbx, options=options)

    async def unless_down(request: web.Request) -> web.StreamResponse | None:
        if office.down is None or not request.path.endswith(office.down):
            return None
        office.refused.set()
        return web.Response(status=503)

    pbx.intercept = unless_down
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(Mosquitto(Path(folder)))
            url = await stack.enter_async_context(pbx.serve())
            foreign = await leave_foreign_topics(Path(folder), broker.port)
            life = Life(office, broker, Path(folder), url, foreign)
            await life.begin()
            try:
                for kind, detail in steps:
                    await life.steps[kind](detail)
                    await life.until_true()
                await life.stays_true()
            finally:
                await life.end()
            await life.foreign_is_untouched()


class Life:
    """The bridge through all steps."""

    def __init__(self, office: Office, broker: Mosquitto, folder: Path, url: str, foreign: dict[str, str]) -> None:
        self._office = office
        self._broker = broker
        self._folder = folder
        self._url = url
        self._foreign = foreign
        self._bridge = AsyncExitStack()
        self.steps: dict[str, Callable[[Any], Awaitable[None]]] = {
            "changes": self._change,
            "outage": self._outage,
            "broker": self._restart_broker,
            "restart": self._restart,
        }

    async def begin(self) -> None:
        path = write_config(self._folder, self._office.pbx, self._url, self._broker.port, **self._office.options.text())
        await self._bridge.enter_async_context(running(path, timing=Timing(tick=0.05, discovery_interval=0.05)))
        await self.until_true()

    async def end(self) -> None:
        await self._bridge.aclose()

    async def until_true(self) -> None:
        """A subscriber that connects now soon finds exactly what is true."""
        async with Subscriber(self._broker.port) as subscriber:
            await subscriber.publish(f"{self._office.options.base}/bridge/request/refresh", "{}")
            try:
                await subscriber.until(lambda: self._office.is_true(self._ours(subscriber.latest)), timeout=limit(20))
            except AssertionError:
                there, wanted = self._ours(subscriber.latest), self._office.topics()
                raise AssertionError(
                    f"{self._office.options}: missing {sorted(wanted - there.keys())}, "
                    f"left over {sorted(there.keys() - wanted)}, there {there}"
                ) from None

    async def stays_true(self) -> None:
        """After two more rounds of Users nothing has changed."""
        rounds = len(self._office.pbx.requests_to("/Users"))
        async with Subscriber(self._broker.port) as subscriber:
            while len(self._office.pbx.requests_to("/Users")) < rounds + 2:
                await subscriber.publish("test/wait", "")
        assert self._office.is_true(self._ours(await retained(self._broker.port)))

    async def foreign_is_untouched(self) -> None:
        now = await retained(self._broker.port)
        assert {topic: payload for topic, payload in now.items() if topic in self._foreign} == self._foreign

    def _ours(self, latest: dict[str, str]) -> dict[str, str]:
        return {
            topic: payload
            for topic, payload in latest.items()
            if topic not in self._foreign and not PASSING.search(topic)
        }

    async def _change(self, changes: Sequence[Step]) -> None:
        for change in changes:
            self._office.change(change)

    async def _outage(self, detail: tuple[str, Sequence[Step]]) -> None:
        """The PBX is down, or a part of it, changes, and comes back."""
        self._office.down, changes = detail
        self._office.refused.clear()
        await asyncio.wait_for(self._office.refused.wait(), limit(5))
        await self._change(changes)
        self._office.down = None

    async def _restart_broker(self, changes: Sequence[Step]) -> None:
        """The broker restarts without persistence, so the topics of others are gone too."""
        await self.foreign_is_untouched()
        await self._broker.stop()
        await self._change(changes)
        await self._broker.start()
        async with Subscriber(self._broker.port) as subscriber:
            for topic, payload in self._foreign.items():
                await subscriber.publish(topic, payload, retain=True)

    async def _restart(self, detail: tuple[Sequence[Step], Options]) -> None:
        """The bridge is stopped, things change, and it starts with other options."""
        changes, options = detail
        await self._bridge.aclose()
        await self._change(changes)
        self._office.options = options
        await self.begin()


async def leave_foreign_topics(folder: Path, port: int) -> dict[str, str]:
    """Topics of another PBX's bridge, and of other programs with similar names; gives them."""
    other = SimulatedPbx(users=2)
    path = folder / "branch"
    path.mkdir()
    async with other.serve() as url:
        config = write_config(path, other, url, port, mqtt="base_topic: branch, client_id: branch")
        config.write_text(config.read_text().replace("name: hq", "name: hq2"))
        async with running(config), Subscriber(port) as subscriber:
            await subscriber.until_latest("branch/bridge/state", "online")
            await subscriber.publish("zigbee2mqtt/bridge/info", '{"version":"2"}', retain=True)
            await subscriber.publish("homeassistant/device/3cx2mqtt_hq/mine/config", NOT_OURS, retain=True)
            await subscriber.publish("3cx/other", "stays", retain=True)
            await subscriber.publish("3cx/branch/bridge/info", '{"pbx":{"name":"branch"}}', retain=True)
            await subscriber.publish("3cx/branch/users/7/state", "away", retain=True)
            await subscriber.publish("phones/desk", "stays", retain=True)
    return await retained(port)


async def retained(port: int) -> dict[str, str]:
    """Everything that the broker retains now."""
    async with Subscriber(port) as fresh:
        await fresh.publish("test/end", "")
        await fresh.until(lambda: bool(fresh.payloads("test/end")))
        return dict(fresh.latest)
