"""The HTTP server by itself: what it answers, what it refuses, and that no client can block it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from bridge.domain.model import State
from bridge.statistics import Statistics
from bridge.web.connections import MOST_CONNECTIONS
from bridge.web.metrics import Metrics
from bridge.web.probes import Probes
from bridge.web.server import Web
from bridge.web.settings import WebSettings
from bridge.web.timing import USUAL, WebTiming
from tests.support.beside import beside
from tests.support.bridges import Hasty
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.mosquitto import free_port
from tests.support.world import World


class Site:
    """A server for an engine of its own, and requests to it in bytes."""

    def __init__(self, clock: FakeClock, host: str = "127.0.0.1", timing: WebTiming = USUAL) -> None:
        self.port = free_port()
        self.world = World(clock)
        self.metrics = Metrics(self.world.engine, self.world.wire, Statistics(clock.clock), list)
        settings = WebSettings(enabled=True, host=host, port=self.port)
        probes = Probes(self.world.engine, self.world.wire, lambda: None, self.metrics)
        self.web = Web(settings, probes, None, Hasty(), timing)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with beside(self.web.run()):
            yield

    async def listens(self) -> None:
        async with asyncio.timeout(limit(5)):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)

    async def send(self, request: bytes) -> bytes:
        """Everything that comes back until the other side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), limit(5))
        finally:
            writer.close()

    async def ask(self, path: str, method: str = "GET", more: str = "") -> tuple[int, dict[str, str], str]:
        """Status, headers and body."""
        answer = await self.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        head, _, body = answer.decode().partition("\r\n\r\n")
        status, *headers = head.split("\r\n")
        return int(status.split()[1]), dict(line.split(": ", 1) for line in headers), body


@pytest_asyncio.fixture
async def site(clock: FakeClock) -> AsyncIterator[Site]:
    site = Site(clock)
    async with site.serving():
        await site.listens()
        yield site


async def test_healthz_is_ok(site: Site) -> None:
    status, headers, body = await site.ask("/healthz")
    assert (status, body, headers["Cache-Control"], headers["Connection"]) == (200, "ok\n", "no-store", "close")


async def test_what_is_missing_is_named(site: Site) -> None:
    site.world.wire.in_sync = False
    status, headers, body = await site.ask("/readyz")
    assert (status, headers["Content-Type"]) == (503, "application/json; charset=utf-8")
    assert (json.loads(body)["ready"], set(json.loads(body)["missing"])) == (False, {"broker", "pbx"})
    site.world.round({"100": State.AVAILABLE})
    status, _, body = await site.ask("/readyz")
    assert (status, set(json.loads(body)["missing"])) == (503, {"broker"})
    site.world.wire.in_sync = True
    status, _, body = await site.ask("/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "missing": {}})


async def test_metrics_are_in_the_format_of_prometheus(site: Site) -> None:
    status, headers, body = await site.ask("/metrics?name[]=x")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert body.endswith("\n")
    assert "\nthreecx2mqtt_pbx_online 0.0\n" in body


async def test_head_gives_headers_alone(site: Site) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/elsewhere"):
        _, headers, body = await site.ask(path, "HEAD")
        assert int(headers["Content-Length"]) > 0
        assert body == ""


@pytest.mark.parametrize(
    "path", ["/", "/metrics/", "/metrics/..", "//metrics", "/favicon.ico", "/healthz%00", "/%C3%A9"]
)
async def test_any_other_path_is_not_found(site: Site, path: str) -> None:
    status, _, _ = await site.ask(path)
    assert status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_it_can_only_be_read(site: Site, method: str) -> None:
    status, headers, _ = await site.ask("/metrics", method, "Content-Length: 3\r\n")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        b"hello\r\n\r\n",
        b"BREW /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /metrics HTTP/9\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 5000 + b"\r\n\r\n",
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: a\r\n" % number for number in range(100)) + b"\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_no_answer_names_the_program_and_no_request_fills_the_log(
    site: Site, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await site.send(request_)
    assert answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))
    assert b"\r\nServer: 3cx2mqtt\r\n" in answer
    assert b"aiohttp" not in answer.lower()
    assert b"python" not in answer.lower()
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert (await site.ask("/healthz"))[0] == 200


async def test_a_request_that_never_ends_is_cut_off(clock: FakeClock) -> None:
    site = Site(clock, timing=WebTiming(longest_connection=0.2))
    async with site.serving():
        await site.listens()
        for beginning in (
            b"",
            b"GET /metr",
            b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc",
        ):
            with suppress(ConnectionError):
                await site.send(beginning)


async def test_idle_connections_keep_no_probe_out(site: Site) -> None:
    crowd = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(MOST_CONNECTIONS)]
    for _ in range(3):
        assert (await site.ask("/healthz"))[0] == 200
    oldest, *_, youngest = crowd
    with suppress(ConnectionError):
        assert await asyncio.wait_for(oldest[0].read(), limit(1)) == b""
    youngest[1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in await asyncio.wait_for(youngest[0].read(), limit(1))
    for _, writer in crowd:
        writer.close()


async def test_the_limit_holds_for_connections_that_come_at_once(site: Site) -> None:
    count = MOST_CONNECTIONS + 10
    crowd = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", site.port) for _ in range(count)))
    ends = [asyncio.ensure_future(reader.read()) for reader, _ in crowd]
    async with asyncio.timeout(limit(5)):
        while sum(end.done() for end in ends) < 10:
            await asyncio.sleep(0.01)
    assert sum(end.done() for end in ends) == 10
    for _, writer in crowd:
        writer.close()
    await asyncio.gather(*ends, return_exceptions=True)


async def test_an_error_in_a_page_shows_in_the_log_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> bytes:
        raise KeyError("secret")

    monkeypatch.setattr(site.metrics, "text", broken)
    status, headers, body = await site.ask("/metrics")
    assert (status, headers["Server"]) == (500, "3cx2mqtt")
    assert "secret" not in body
    assert "please report it" in caplog.text
    assert "KeyError" in caplog.text
    assert (await site.ask("/healthz"))[0] == 200


async def test_a_taken_port_is_reported_once_and_used_once_it_is_free(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bridge")
    site = Site(clock, timing=WebTiming(first_retry=0.01, longest_retry=0.01))
    other = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", site.port)
    async with site.serving():
        async with asyncio.timeout(limit(5)):
            while caplog.text.count("cannot listen") < 5:
                await asyncio.sleep(0.01)
        failures = [record for record in caplog.records if "cannot listen" in record.message]
        (loud,) = [record for record in failures if record.levelno == logging.ERROR]
        assert f"web: cannot listen on 127.0.0.1:{site.port} (address already in use)" in loud.message
        other.close()
        await other.wait_closed()
        async with asyncio.timeout(limit(5)):
            while "web: listening again" not in caplog.text:
                await asyncio.sleep(0.01)
        assert (await site.ask("/healthz"))[0] == 200


@pytest.mark.parametrize("host", ["203.0.113.1", "x" * 70, "a..b"])
async def test_an_impossible_address_is_reported_and_ends_nothing(
    clock: FakeClock, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    site = Site(clock, host)
    async with site.serving():
        async with asyncio.timeout(limit(5)):
            while f"web: cannot listen on {host}:{site.port} (" not in caplog.text:
                await asyncio.sleep(0.01)


async def test_it_ends_at_once_and_can_be_started_again(clock: FakeClock) -> None:
    site = Site(clock)
    for _ in range(3):
        async with site.serving():
            await site.listens()
            idle = await asyncio.open_connection("127.0.0.1", site.port)
            assert (await site.ask("/healthz"))[0] == 200
        assert await asyncio.wait_for(idle[0].read(), limit(1)) == b""
        idle[1].close()


async def test_clients_that_connect_while_it_closes_are_closed_too(clock: FakeClock) -> None:
    """In every round the server closes a few steps of the event loop later after the clients have begun to connect."""
    for steps in [*range(8)] * 4:
        site = Site(clock)
        async with site.serving():
            await site.listens()
            connecting = [asyncio.ensure_future(asyncio.open_connection("127.0.0.1", site.port)) for _ in range(5)]
            for _ in range(steps):
                await asyncio.sleep(0)
        for attempt in connecting:
            with suppress(ConnectionError):
                reader, writer = await attempt
                assert await asyncio.wait_for(reader.read(), limit(5)) == b""
                writer.close()
