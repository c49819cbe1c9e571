"""A board by itself: an engine with a recorder in place of a broker, served by the real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from bridge.domain.clock import Clock
from bridge.domain.model import State
from bridge.errors import BridgeError
from bridge.statistics import Statistics
from bridge.web.access import Access
from bridge.web.board import Board, Contact
from bridge.web.changes import Changes
from bridge.web.events import Events
from bridge.web.feed import Feed
from bridge.web.metrics import Metrics
from bridge.web.pages import Pages
from bridge.web.probes import Probes
from bridge.web.server import Web
from bridge.web.settings import ScreenToken, WebSettings
from bridge.web.site import Site
from bridge.web.timing import WebTiming
from tests.support.beside import beside
from tests.support.bridges import Hasty
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.mosquitto import free_port
from tests.support.world import World

INSTANCE = "0a1b2c3d"
FAST = WebTiming(beat=0.05, look_again=0.05)


@dataclass(slots=True)
class Event:
    """One server-sent event."""

    name: str = ""
    identity: str = ""
    data: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Stream:
    """An open stream of events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.headers = response.headers

    async def next(self, *names: str) -> Event:
        """The next event with one of these names; any but a beat where none is named."""
        async with asyncio.timeout(limit(5)):
            while True:
                event = await self._event()
                if event.name in names or (not names and event.name != "beat"):
                    return event

    async def change(self) -> Any:
        """What the next change says."""
        return (await self.next("change")).json

    async def _event(self) -> Event:
        event = Event()
        async for raw in self._response.content:
            line = raw.decode().removesuffix("\n")
            if not line and event.name:
                return event
            name, _, value = line.partition(": ")
            match name:
                case "event":
                    event.name = value
                case "id":
                    event.identity = value
                case "data":
                    event.data += value
        raise EOFError("the stream has ended")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class BoardSite:
    """A board of the PBX `hq`, whose engine the test feeds, on a port of its own."""

    def __init__(
        self,
        clock: FakeClock,
        timing: WebTiming = FAST,
        *,
        ingress_peer: str = "172.30.32.2",
        world: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """`world` are arguments of World, `options` those of WebSettings."""
        self.port = free_port()
        self.contact = Contact(broker=True, pbx=True, last_news=clock.clock.wall())
        self.described: dict[str, object] = {"version": "1.2.3"}
        self.feed = Feed(INSTANCE, clock.clock.monotonic)
        self.board = Board("hq", self.feed, lambda: self.contact, lambda: self.described)
        self.world = World(clock, observers=(self.board,), **(world or {}))
        list(self.world.engine.snapshot((self.board,)))
        self.requests: list[tuple[str, str, Mapping[str, object]]] = []
        self.answer: Callable[[], Awaitable[str | None]] | None = None
        """Gives what the PBX makes of a command; None: users cannot be changed."""
        self.settings = replace(WebSettings(enabled=True, host="127.0.0.1", port=self.port), **options)
        self._clock = Clock(clock.clock.monotonic, clock.clock.wall)
        self._timing = timing
        self._ingress_peer = ingress_peer

    def site(self) -> Site:
        access = Access(self.settings, ("hq",), self._clock.monotonic, self._clock.wall, self._ingress_peer)
        events = Events(self.feed, (self.board,), self._clock, self._timing, can_log_in=access.can_log_in)
        changes = Changes(self._change_light, None if self.answer is None else self._change_user)
        pages = Pages(self.settings.language)
        return Site(access, pages, events, {"hq": changes}, self.settings.frame_ancestors, self._timing)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["BoardSite"]:
        metrics = Metrics(self.world.engine, self.world.wire, Statistics(self._clock), list)
        probes = Probes(self.world.engine, self.world.wire, lambda: None, metrics)
        site = self.site() if self.settings.serves_board else None
        async with beside(Web(self.settings, probes, site, Hasty(), self._timing).run()):
            async with asyncio.timeout(limit(5)):
                while True:
                    with suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                        writer.close()
                        break
                    await asyncio.sleep(0.01)
            yield self

    def users(self, **states: State) -> None:
        """The PBX reports these users, `d100=State.AVAILABLE`."""
        self.world.round({name.removeprefix("d"): state for name, state in states.items()})

    async def ask(
        self, path: str, method: str = "GET", body: str | bytes | None = None, cookies: str = "", **headers: str
    ) -> Answer:
        """One request; names of headers are written with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookies:
            named["Cookie"] = cookies
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                method, f"http://127.0.0.1:{self.port}{path}", data=body, headers=named, allow_redirects=False
            ) as response,
        ):
            given = {name: morsel.output(header="") for name, morsel in response.cookies.items()}
            return Answer(response.status, response.headers, await response.text(), given)

    async def post(self, path: str, value: object, cookies: str = "", **headers: str) -> Answer:
        """A change, as the page sends it."""
        named = {"Content_Type": "application/json", **headers}
        return await self.ask(path, "POST", json.dumps(value), cookies, **named)

    async def log_in(self, password: str) -> str:
        """The cookie, as it is sent back."""
        answer = await self.ask(
            "/login", "POST", f"password={password}", Content_Type="application/x-www-form-urlencoded"
        )
        assert answer.status == 303, answer
        return "; ".join(each.strip().partition(";")[0] for each in answer.cookies.values())

    @asynccontextmanager
    async def stream(self, query: str = "", **headers: str) -> AsyncIterator[Stream]:
        """An open stream."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(timeout=timeout, read_bufsize=2**22) as session,
            session.get(f"http://127.0.0.1:{self.port}/api/events{query}", headers=named) as response,
        ):
            assert response.status == 200, await response.text()
            yield Stream(response)

    def _change_light(self, name: str, request: Mapping[str, object]) -> None:
        if name != "desk":
            raise BridgeError(f"there is no light {name!r}")
        self.requests.append(("light", name, request))

    def _change_user(self, dn: str, request: Mapping[str, object]) -> Awaitable[str | None]:
        self.requests.append(("user", dn, request))
        assert self.answer is not None
        return self.answer()


def screen(name: str = "lobby", token: str = "a-long-enough-token", **lists: Any) -> ScreenToken:
    return ScreenToken(name, token, **lists)
