"""Tokens and refusals, over real HTTP against the simulated PBX, with a clock that the test turns."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from bridge.errors import (
    SourceAuthError,
    SourceMissing,
    SourcePermissionError,
    SourceProtocolError,
    SourceQueryError,
    SourceUnavailable,
)
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.client.auth import lifetime
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.client.http import Answer, NotThePbx
from bridge.sources.threecx.client.login_backoff import FIRST_WAIT
from tests.support.clock import FakeClock
from tests.support.mosquitto import free_port
from tests.support.threecx import connected, settings, tools


async def test_one_token_serves_many_callers_at_once(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with connected(settings(url), clock) as xapi:
        await asyncio.gather(*(xapi.monitor_status("$top=1") for _ in range(20)))
    assert pbx.tokens.granted == 1


async def test_a_void_token_is_renewed_once_for_all_callers(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with connected(settings(url), clock) as xapi:
        await xapi.monitor_status("$top=1")
        pbx.tokens.drop()
        await asyncio.gather(*(xapi.monitor_status("$top=1") for _ in range(20)))
    assert pbx.tokens.granted == 2


@pytest.mark.parametrize("version", ["20.0.8", "20.0.10"])
@pytest.mark.parametrize("jwt", [True, False])
async def test_a_token_is_renewed_before_it_ends_in_either_unit(version: str, jwt: bool, clock: FakeClock) -> None:
    pbx = SimulatedPbx(version=version, jwt=jwt, clock=clock.clock.wall)
    async with pbx.serve() as url, connected(settings(url), clock) as xapi:
        await xapi.version()
        clock.turn(50 * 60)
        await xapi.version()
        assert pbx.tokens.granted == 1
        clock.turn(5 * 60)
        await xapi.version()
        assert pbx.tokens.granted == 2
        assert all(request.path != "/connect/token" for request in list(pbx.requests)[-1:])


async def test_a_path_closed_to_a_fresh_token_does_not_renew_again(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async def closed(request: web.Request) -> web.Response | None:
        return web.Response(status=401) if request.path.endswith("GetMonitorStatus()") else None

    pbx.intercept = closed
    async with connected(settings(url), clock) as xapi:
        for _ in range(5):
            with pytest.raises(SourcePermissionError, match="refuses this API client"):
                await xapi.monitor_status("$top=1")
        assert pbx.tokens.granted == 2
        pbx.intercept = None
        await xapi.monitor_status("$top=1")
        pbx.tokens.drop()
        await xapi.monitor_status("$top=1")
    assert pbx.tokens.granted == 3


async def test_wrong_credentials_are_sent_once_in_15_minutes_then_30(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with connected(settings(url, "wrong"), clock) as xapi:
        with pytest.raises(SourceAuthError, match="The client credentials are invalid") as first:
            await xapi.version()
        assert first.value.retry_in == FIRST_WAIT
        for _ in range(10):
            with pytest.raises(SourceAuthError, match="next one is tried in 15 min"):
                await xapi.version()
        assert pbx.tokens.refused == 1
        clock.turn(FIRST_WAIT)
        with pytest.raises(SourceAuthError) as second:
            await xapi.version()
        assert (pbx.tokens.refused, second.value.retry_in) == (2, 2 * FIRST_WAIT)


async def test_waiting_callers_share_one_failure(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async def down(_request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.Response(status=503)

    pbx.intercept = down
    async with tools(settings(url), clock) as (_, access):
        requests = (access.request("GET", "/xapi/v1/Defs") for _ in range(10))
        results = await asyncio.gather(*requests, return_exceptions=True)
    assert all(isinstance(result, SourceUnavailable) for result in results)
    assert len(pbx.requests_to("/connect/token")) == 1


PLAIN_HTTP = "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"
CHALLENGE = "<html><head><title>Just a moment...</title></head></html>"


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def page(status: int, text: str = CHALLENGE, content_type: str = "text/html", **headers: str) -> web.Response:
    return web.Response(
        status=status,
        text=text,
        content_type=content_type,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


NOT_THE_PBX = [
    pytest.param(
        lambda: page(400, PLAIN_HTTP),
        r"http://127\.0\.0\.1:\d+ expects TLS on this port \(HTTP 400, text/html, '400 The plain HTTP request was sent "
        r"to HTTPS port'\): use https in pbx\.url",
        id="plain HTTP on a port of TLS",
    ),
    pytest.param(
        lambda: page(400, "Client sent an HTTP request to an HTTPS server.\n", "text/plain"),
        "use https in pbx.url",
        id="plain HTTP, as Go's server says it",
    ),
    pytest.param(
        lambda: page(403, cf_mitigated="challenge"),
        r"a proxy answered in place of \S+, with a challenge for browsers \(HTTP 403, text/html, 'Just a moment\.\.\.'"
        ", cf-mitigated: challenge\\): exempt this machine",
        id="a challenge page",
    ),
    pytest.param(
        lambda: page(401, "<html></html>", WWW_Authenticate='Basic realm="intern"'),
        r"a proxy answered in place of \S+, and asks for a login of its own \(HTTP 401, text/html, "
        'WWW-Authenticate: Basic realm="intern"\\)',
        id="a login of the proxy",
    ),
    pytest.param(
        lambda: page(403, "<TITLE>\nNot&nbsp;here\n</TITLE>", "TEXT/HTML"),
        r"a proxy answered in place of \S+, or another web server \(HTTP 403, text/html, 'Not here'\)",
        id="any web page",
    ),
]


@pytest.mark.parametrize(("response", "message"), NOT_THE_PBX)
async def test_an_answer_of_a_proxy_is_no_refused_key(
    tmp_path: Path, pbx: SimulatedPbx, url: str, clock: FakeClock, response: Callable[[], web.Response], message: str
) -> None:
    async def in_front(_request: web.Request) -> web.Response:
        return response()

    pbx.intercept = in_front
    async with connected(settings(url), clock, tmp_path) as xapi:
        with pytest.raises(NotThePbx, match=message) as caught:
            await xapi.version()
        assert (caught.value.retry_in, caught.value.answered) == (5.0, False)
        assert not files_in(tmp_path), "nothing is stored: a restart may log in at once"
        pbx.intercept = None
        clock.turn(5)
        assert await xapi.version() == "20.0.8.1109"
    assert pbx.tokens.refused == 0


@pytest.mark.parametrize("text", ["", "Unauthorized", "[]", '"error"', '{"message": "no"}', "[" * 100_000])
@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_login_is_refused_in_json_with_an_error_or_not_by_the_pbx(
    pbx: SimulatedPbx, url: str, clock: FakeClock, status: int, text: str
) -> None:
    async def in_front(_request: web.Request) -> web.Response:
        return page(status, text, "application/json")

    pbx.intercept = in_front
    async with connected(settings(url), clock) as xapi:
        with pytest.raises(NotThePbx, match=f"another web server .HTTP {status}, "):
            await xapi.version()


async def test_a_refusal_counts_whatever_its_content_type(
    tmp_path: Path, pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async def refusing(_request: web.Request) -> web.Response:
        return page(400, '{"error": "invalid_client"}', "text/plain")

    pbx.intercept = refusing
    async with connected(settings(url), clock, tmp_path) as xapi:
        with pytest.raises(SourceAuthError, match="invalid_client") as caught:
            await xapi.version()
    assert caught.value.retry_in == FIRST_WAIT
    assert len(files_in(tmp_path)) == 1


async def test_a_proxy_that_goes_on_gets_the_key_after_5_10_20_and_every_60_seconds(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async def in_front(_request: web.Request) -> web.Response:
        return page(403)

    pbx.intercept = in_front
    async with connected(settings(url), clock) as xapi:
        for number, wait in enumerate((5.0, 10.0, 20.0, 40.0, 60.0, 60.0), start=1):
            for left in (wait, wait / 4):
                with pytest.raises(NotThePbx) as caught:
                    await xapi.version()
                assert (caught.value.retry_in, len(pbx.requests)) == (left, number)
                clock.turn(wait * 3 / 4 if left == wait else left)


@pytest.mark.parametrize(
    "response", [lambda: page(401, WWW_Authenticate="Basic"), lambda: page(403), lambda: page(400)]
)
@pytest.mark.parametrize("path", ["/xapi/v1/Defs", "/callcontrol/ws"])
async def test_a_proxy_that_refuses_another_request_says_nothing_about_token_rights_or_query(
    pbx: SimulatedPbx, url: str, clock: FakeClock, path: str, response: Callable[[], web.Response]
) -> None:
    async def in_front(request: web.Request) -> web.Response | None:
        return response() if request.path == path else None

    pbx.intercept = in_front
    async with tools(settings(url), clock) as (found, client):
        requested = client.websocket(path, 10).__aenter__() if path.endswith("ws") else found.xapi.version()
        with pytest.raises(NotThePbx, match="a proxy answered in place of"):
            await requested
    assert pbx.tokens.granted == 1
    assert not client._denied


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("application/json", True),
        ("Application/JSON", True),
        ("application/json; odata.metadata=minimal; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/html; note=json", False),
        ("", False),
    ],
)
def test_json_is_recognised_in_any_case_and_with_parameters(content_type: str, is_json: bool) -> None:
    assert Answer(200, CIMultiDictProxy(CIMultiDict({"Content-Type": content_type})), b"").is_json is is_json


def jwt_of(claims: dict[str, object]) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


@pytest.mark.parametrize(
    ("token", "expires_in", "seconds"),
    [
        (jwt_of({"iat": 5000, "exp": 8600}), 60, 3600),
        (jwt_of({"nbf": 5000, "exp": 8600}), 60, 3600),
        (jwt_of({"exp": 4600}), 60, 3600),
        (jwt_of({"exp": 900}), 60, 3600),
        (jwt_of({"exp": "soon"}), 3600, 3600),
        ("opaque", 60, 3600),
        ("opaque", 3600, 3600),
        ("opaque", 299, 299 * 60),
        ("opaque", 300, 300),
        ("opaque", None, 60),
        ("opaque", "60", 60),
        ("opaque", True, 60),
        ("opaque", -5, 60),
        ("a.b.c", 60, 3600),
        ("a.W10.c", 60, 3600),
    ],
)
def test_a_token_s_life_is_found_in_it_or_beside_it(token: str, expires_in: object, seconds: float) -> None:
    assert lifetime(token, expires_in, now=1000.0) == seconds


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (lambda: web.Response(status=502, text="<html>"), SourceUnavailable, "HTTP 502"),
        (lambda: web.Response(status=429, headers={"Retry-After": "7"}), SourceUnavailable, "fewer requests"),
        (lambda: web.Response(status=404), SourceMissing, "does not exist here"),
        (lambda: web.Response(status=403), SourcePermissionError, "HTTP 403"),
        (lambda: web.Response(status=400), SourceQueryError, "HTTP 400 without a reason"),
        (lambda: web.Response(status=418), SourceUnavailable, "unexpected HTTP 418"),
        (lambda: web.Response(status=200, text="<html>", content_type="text/html"), SourceUnavailable, "web page"),
        (
            lambda: web.Response(status=302, headers={"Location": "https://login.example.com/x"}),
            SourceUnavailable,
            "redirects to login.example.com",
        ),
        (
            lambda: web.Response(body=b" " * (8 * 2**20 + 1), content_type="application/json"),
            SourceProtocolError,
            "over 8 MiB",
        ),
    ],
)
async def test_every_answer_has_its_class_of_error(
    pbx: SimulatedPbx, url: str, clock: FakeClock, response: object, error: type[Exception], message: str
) -> None:
    async def injected(request: web.Request) -> web.Response | None:
        assert callable(response)
        return response() if request.path.endswith("GetMonitorStatus()") else None

    pbx.intercept = injected
    async with connected(settings(url), clock) as xapi:
        with pytest.raises(error, match=message) as caught:
            await xapi.monitor_status("$top=1")
        if "fewer" in message:
            assert isinstance(caught.value, SourceUnavailable)
            assert (caught.value.retry_in, caught.value.answered) == (7.0, True)


async def test_a_pbx_that_does_not_answer_is_reported_in_words(pbx: SimulatedPbx, clock: FakeClock) -> None:
    async with connected(settings(f"http://127.0.0.1:{free_port()}"), clock) as xapi:
        with pytest.raises(SourceUnavailable, match=r"cannot reach http://127\.0\.0\.1:"):
            await xapi.version()
    stuck = asyncio.Event()

    async def silent(_request: web.Request) -> web.Response | None:
        await stuck.wait()
        return None

    pbx.intercept = silent
    async with pbx.serve() as url, connected(settings(url, timeout=0.05), clock) as xapi:
        with pytest.raises(SourceUnavailable, match=r"within 0\.05 s"):
            await xapi.version()
        stuck.set()


async def test_a_blocked_address_is_hinted_at(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    for _ in range(4):
        pbx.tokens.login("x", "y", "127.0.0.1")
    async with connected(settings(url), clock) as xapi:
        with pytest.raises(SourceUnavailable, match="blocked in 3CX"):
            await xapi.version()


async def test_a_server_that_is_no_3cx_is_recognised(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async def other(_request: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    pbx.intercept = other
    async with connected(settings(url), clock) as xapi:
        for _ in range(3):
            with pytest.raises(SourceProtocolError, match="address of a 3CX V20"):
                await xapi.version()
        assert len(pbx.requests) == 1, "the API key is not sent again and again to whoever that is"
        pbx.intercept = None
        clock.turn(60.0)
        assert await xapi.version() == "20.0.8.1109"


async def test_a_token_that_was_replaced_while_in_use_says_nothing_about_a_right(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    """Requests to what is closed to the client renew the token for all, several of them crosswise."""
    async with tools(settings(url), clock) as (found, access):
        auth = access._auth
        replaced = 0

        async def crossing(request: web.Request) -> web.StreamResponse | None:
            nonlocal replaced
            if request.path.endswith("/Defs") and replaced < 2:
                replaced += 1
                await auth.renew(request.headers["Authorization"].removeprefix("Bearer "))
            return None

        pbx.intercept = crossing
        assert await found.xapi.version() == "20.0.8.1109"
        assert (replaced, pbx.tokens.granted) == (2, 3)
        assert not access._denied


async def test_after_refusals_while_the_pbx_starts_retries_come_soon_and_then_less_often(
    pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async def starting(request: web.Request) -> web.StreamResponse | None:
        return None if request.path == "/connect/token" else web.Response(status=401)

    async with connected(settings(url), clock) as xapi:
        pbx.intercept = starting
        with pytest.raises(SourcePermissionError):
            await xapi.version()
        pbx.intercept = None
        pbx.tokens.drop()
        with pytest.raises(SourcePermissionError):
            await xapi.version()
        granted = pbx.tokens.granted
        clock.turn(30)
        assert await xapi.version() == "20.0.8.1109"
        assert pbx.tokens.granted == granted + 1
        pbx.intercept = starting
        with pytest.raises(SourcePermissionError):
            await xapi.version()
        for wait in (30, 60, 120):
            clock.turn(wait - 1)
            for turn in (0, 1, 0):
                clock.turn(turn)
                granted = pbx.tokens.granted
                with pytest.raises(SourcePermissionError):
                    await xapi.version()
                assert pbx.tokens.granted == granted + turn


async def test_a_client_that_does_not_renew_logs_in_once(pbx: SimulatedPbx, url: str, clock: FakeClock) -> None:
    async with tools(settings(url), clock) as (_, renewing):
        once = AuthorisedClient(renewing._http, renewing._auth, clock.clock, renews=False)
        assert (await once.request("GET", "/xapi/v1/Defs")).status == 200
        pbx.tokens.drop()
        assert (await once.request("GET", "/xapi/v1/Defs")).status == 401
        assert pbx.tokens.granted == 1


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä", ""])
async def test_a_token_that_fits_in_no_header_is_refused(
    pbx: SimulatedPbx, url: str, clock: FakeClock, token: str
) -> None:
    async def odd(request: web.Request) -> web.StreamResponse | None:
        return web.json_response({"access_token": token}) if request.path == "/connect/token" else None

    pbx.intercept = odd
    async with connected(settings(url), clock) as xapi:
        with pytest.raises(SourceProtocolError):
            await xapi.version()


def test_times_out_of_range_are_none() -> None:
    assert lifetime("x", 10**400, 0) == 60
    claims = base64.urlsafe_b64encode(json.dumps({"iat": 0, "exp": 10**400}).encode()).decode().rstrip("=")
    assert lifetime(f"h.{claims}.s", 3600, 0) == 3600
