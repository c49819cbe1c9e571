"""Who may look at the board and who may change something: logins, tokens, names, other sites, Home Assistant."""

import asyncio
import base64
import ipaddress
import json
import logging
from typing import Any

import pytest

from bridge.domain.model import State
from bridge.domain.updates import Departments, Round
from bridge.web.attempts import Attempts
from bridge.web.sessions import ADMIN, LASTS, Sessions
from tests.support.board import Answer, BoardSite, screen
from tests.support.clock import FakeClock
from tests.support.world import MONITOR_STATUS, USERS, user

PAGES = ("/", "/api/snapshot", "/api/events")
FORM = "application/x-www-form-urlencoded"
LIGHT = "/api/pbxs/hq/lights/desk"
PASSWORD = "correct-horse"
POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self' "
    "https://ha.example.com:8123"
)


EVERYWHERE = "0.0.0.0"  # noqa: S104  # what is tested


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def protected(clock: FakeClock, **options: Any) -> BoardSite:
    return BoardSite(clock, password=PASSWORD, **options)


async def test_on_this_machine_alone_it_needs_no_login_and_changes_nothing(clock: FakeClock) -> None:
    async with BoardSite(clock).serving() as site:
        assert (await site.ask("/")).status == 200
        assert (await site.ask("/api/snapshot")).json["viewer"]["admin"] is False
        refused = await site.post(LIGHT, {"pause": True})
        assert (refused.status, "web.password" in refused.text) == (403, True)
        assert site.requests == []


async def test_with_a_password_nothing_is_shown_without_it(clock: FakeClock) -> None:
    async with protected(clock).serving() as site:
        site.users(d100=State.ON_CALL)
        for path in PAGES:
            answer = await site.ask(path)
            assert answer.status == 401, path
            assert "on_call" not in answer.text
        assert (await site.post(LIGHT, {"pause": True})).status == 401
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await site.ask(path)).status in {200, 503}
        assert 'type="password"' in (await site.ask("/")).text


async def test_the_password_opens_everything_and_logging_out_closes_it(clock: FakeClock) -> None:
    async with protected(clock).serving() as site:
        wrong = await site.ask("/login", "POST", "password=guess", Content_Type=FORM)
        assert (wrong.status, wrong.cookies) == (403, {})
        assert "Wrong password." in wrong.text
        answer = await site.ask("/login?lang=de", "POST", f"password={PASSWORD}", Content_Type=FORM)
        assert (answer.status, answer.headers["Location"]) == (303, "./?lang=de")
        ((name, cookie),) = answer.cookies.items()
        assert name.startswith("3cx2mqtt-")
        assert name.endswith(f"-{site.port}")
        assert {"HttpOnly", "SameSite=Strict", f"Max-Age={LASTS}"} <= {each.strip() for each in cookie.split(";")}
        assert "Secure" not in cookie
        assert "Path" not in cookie
        sent = cookie.split(";")[0]
        assert (await site.ask("/api/snapshot", cookies=sent)).json["viewer"]["admin"] is True
        assert (await site.post(LIGHT, {"pause": True}, sent)).json == {"status": "ok"}
        gone = await site.ask("/logout", "POST", cookies=sent)
        assert (gone.status, gone.headers["Location"]) == (303, "./")
        assert "Max-Age=0" in gone.cookies[name]
        assert (await site.ask("/logout", cookies=sent)).status == 405


async def test_a_cookie_outlives_a_restart_but_not_another_password(clock: FakeClock) -> None:
    site = protected(clock)
    async with site.serving():
        cookie = await site.log_in(PASSWORD)
    async with site.serving():
        assert (await site.ask("/api/snapshot", cookies=cookie)).status == 200
    other = BoardSite(clock, password="another")
    other.port = site.port
    other.settings = type(other.settings)(enabled=True, host="127.0.0.1", port=site.port, password="another")
    async with other.serving():
        assert (await other.ask("/api/snapshot", cookies=cookie)).status == 401


def test_cookies_end_and_cannot_be_made() -> None:
    now = 1000.0
    sessions = Sessions({ADMIN: "secret", "lobby": "token"}, lambda: now)
    good = sessions.issue(ADMIN)
    assert (sessions.check(good), sessions.check(sessions.issue("lobby"))) == (ADMIN, "lobby")
    payload, signature = good.split(".")
    forged = encoded({"name": "", "until": 2**60})
    swapped = sessions.issue("lobby").split(".")[1]
    for wrong in (
        "",
        ".",
        good[:-2],
        f"{forged}.{signature}",
        f"{payload}.{swapped}",
        f"{payload}.",
        payload,
        f"{good}.x",
        "é.é",
        "x" * 9999,
        f"{encoded([])}.{signature}",
        f"{encoded({'name': ['x'], 'until': 1})}.{signature}",
    ):
        assert sessions.check(wrong) is None, wrong
    now += LASTS + 1
    assert sessions.check(good) is None


async def test_guessing_is_slowed_down_by_address(clock: FakeClock) -> None:
    async with protected(clock).serving() as site:
        for _ in range(5):
            assert (await site.ask("/login", "POST", "password=guess", Content_Type=FORM)).status == 403
        for password in ("guess", PASSWORD):
            answer = await site.ask("/login", "POST", f"password={password}", Content_Type=FORM)
            assert (answer.status, answer.headers["Retry-After"]) == (429, "20")
        clock.turn(20)
        assert await site.log_in(PASSWORD)


async def test_guessing_tokens_is_slowed_down_too(clock: FakeClock) -> None:
    async with protected(clock, tokens=(screen(),)).serving() as site:
        for _ in range(5):
            assert (await site.ask("/api/snapshot?token=guess")).status == 401
        assert (await site.ask("/api/snapshot?token=a-long-enough-token")).status == 429


def test_many_addresses_together_are_slowed_down_and_take_little_room() -> None:
    now = 0.0
    attempts = Attempts(lambda: now)
    for number in range(5000):
        attempts.failed(f"2001:db8::{number:x}")
    assert attempts.wait("192.0.2.1") > 1000
    assert len(attempts._of) == 1000
    now = 6000.0
    assert attempts.wait("192.0.2.1") == 0


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:1234", True),
        ("localhost", True),
        ("LOCALHOST:9321", True),
        ("[::1]:9321", True),
        ("192.0.2.7", True),
        ("board.example.com", True),
        ("Board.Example.com:8443", True),
        ("evil.example.com", False),
        ("board.example.com.evil.example.com", False),
        ("localhost.evil.example.com", False),
        ("127.0.0.1.evil.example.com", False),
        ("", False),
    ],
)
async def test_a_name_that_is_not_its_own_is_refused(clock: FakeClock, host: str, known: bool) -> None:
    async with BoardSite(clock, allowed_hosts=("board.example.com",)).serving() as site:
        for path in (*PAGES[:2], "/static/app.js"):
            assert (await site.ask(path, Host=host)).status == (200 if known else 421), path
        assert (await site.ask("/metrics", Host=host)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
async def test_another_site_changes_nothing_and_logs_nobody_in(clock: FakeClock, headers: dict[str, str]) -> None:
    async with protected(clock).serving() as site:
        cookie = await site.log_in(PASSWORD)
        assert (await site.post(LIGHT, {"pause": True}, cookie, **headers)).status == 403
        answer = await site.ask("/login", "POST", f"password={PASSWORD}", Content_Type=FORM, **headers)
        assert (answer.status, answer.cookies) == (403, {})
        for own in (
            {"Origin": f"http://127.0.0.1:{site.port}", "Sec_Fetch_Site": "same-origin"},
            {"Origin": f"http://127.0.0.1:{site.port}"},
            {"Origin": "null", "Sec_Fetch_Site": "same-origin"},
        ):
            assert (await site.post(LIGHT, {"pause": True}, cookie, **own)).status == 200
        assert len(site.requests) == 3


async def test_a_form_of_another_site_cannot_send_what_is_taken(clock: FakeClock) -> None:
    async with protected(clock).serving() as site:
        cookie = await site.log_in(PASSWORD)
        for kind in (FORM, "text/plain", "multipart/form-data; boundary=x"):
            answer = await site.ask(LIGHT, "POST", '{"pause":true}', cookie, Content_Type=kind)
            assert answer.status == 415
        for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain"):
            assert (await site.ask("/login", "POST", b"password=x", Content_Type=kind)).status == 415
        assert site.requests == []


async def test_no_other_origin_may_read(clock: FakeClock) -> None:
    async with BoardSite(clock).serving() as site:
        for method in ("GET", "OPTIONS"):
            answer = await site.ask("/api/snapshot", method, Origin="https://evil.example.com")
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_every_answer_has_the_headers_that_keep_a_page_safe(clock: FakeClock) -> None:
    async with protected(clock, frame_ancestors=("https://ha.example.com:8123",)).serving() as site:
        for path in ("/", "/login", "/api/snapshot", "/static/app.js", "/nowhere", "/static/../server.py"):
            headers = (await site.ask(path)).headers
            assert headers["Content-Security-Policy"] == POLICY, path
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "same-origin"
            assert headers["Server"] == "3cx2mqtt"
            assert headers["Cache-Control"] in {"no-store", "no-cache"}


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2fsettings.py",
        "/static//etc/passwd",
        "/static/index.html",
        "/static/",
        "/static/app.js/",
        "/static/app.js%00",
        "/.git/config",
    ],
)
async def test_no_address_leads_out_of_the_files_of_the_board(clock: FakeClock, path: str) -> None:
    async with BoardSite(clock).serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert b" 404 " in (await reader.read()).partition(b"\r\n")[0]
        writer.close()


async def test_what_is_named_by_strangers_is_no_markup(clock: FakeClock) -> None:
    async with protected(clock).serving() as site:
        page = await site.ask('/?x="><script>alert(1)</script>&q=<b>')
        assert "<script>alert" not in page.text
        assert "<b>" not in page.text


async def test_too_much_is_refused(clock: FakeClock) -> None:
    async with protected(clock).serving() as site:
        cookie = await site.log_in(PASSWORD)
        assert (await site.post(LIGHT, {"pause": "x" * 5000}, cookie)).status == 413
        assert (await site.ask("/login", "POST", "password=" + "x" * 5000, Content_Type=FORM)).status == 413
        assert (await site.ask("/", Cookie="x" * 3000)).status == 400


async def test_open_lets_everybody_look_and_nobody_change(clock: FakeClock) -> None:
    async with BoardSite(clock, open=True, password=PASSWORD).serving() as site:
        assert (await site.ask("/api/snapshot")).json["viewer"] == {
            "admin": False,
            "limited": False,
            "can_log_in": True,
        }
        assert (await site.post(LIGHT, {"pause": True})).status == 401
        assert (await site.post(LIGHT, {"pause": True}, await site.log_in(PASSWORD))).status == 200


async def test_a_board_that_must_stay_off_is_not_there_but_probes_are(clock: FakeClock) -> None:
    async with BoardSite(clock, host=EVERYWHERE).serving() as site:
        for path in (*PAGES, "/login", "/static/app.js"):
            assert (await site.ask(path)).status == 404
        assert (await site.ask("/healthz")).status == 200


# Screens


async def test_a_link_of_a_screen_becomes_a_cookie_and_leaves_the_address(clock: FakeClock) -> None:
    async with protected(clock, tokens=(screen(),)).serving() as site:
        answer = await site.ask("/?state=on_call&token=a-long-enough-token&lang=de")
        assert (answer.status, answer.headers["Location"]) == (303, "./?state=on_call&lang=de")
        ((_, cookie),) = answer.cookies.items()
        sent = cookie.strip().split(";")[0]
        assert (await site.ask("/api/snapshot", cookies=sent)).json["viewer"]["admin"] is False
        refused = await site.post(LIGHT, {"pause": True}, sent)
        assert (refused.status, refused.json["error"]) == (403, "a screen's token lets look only")


async def test_where_only_screens_may_look_nobody_is_asked_for_a_password(clock: FakeClock) -> None:
    async with BoardSite(clock, tokens=(screen(),)).serving() as site:
        for path in ("/", "/login"):
            answer = await site.ask(path)
            assert (answer.status, "password" in answer.text) == (401, False)
        assert (await site.ask("/?kiosk=1&token=a-long-enough-token")).status == 200


@pytest.mark.parametrize(("query", "headers"), [("&kiosk=1", {}), ("", {"Sec_Fetch_Dest": "iframe"})])
async def test_on_a_wall_and_in_a_frame_the_token_stays(
    clock: FakeClock, query: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with protected(clock, tokens=(screen(),)).serving() as site:
        answer = await site.ask(f"/?token=a-long-enough-token{query}", **headers)
        assert (answer.status, answer.cookies) == (200, {})
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert (await site.ask("/api/snapshot?token=a-long-enough-token")).status == 200
        async with site.stream("?token=a-long-enough-token") as stream:
            await stream.next("snapshot")
    assert "a-long-enough-token" not in caplog.text


def department_world(clock: FakeClock, **lists: Any) -> BoardSite:
    """100 and 101 are in Sales, 200 in Support; the group `desk` has 100 and 200."""
    site = BoardSite(
        clock,
        tokens=(screen(**lists),),
        world={"sources": (MONITOR_STATUS, USERS), "groups": {"desk": ["100", "200"], "all": ["*"]}},
    )
    site.world.engine.apply(Departments({1: "Sales", 2: "Support"}))
    site.users(d100=State.AVAILABLE, d101=State.AVAILABLE, d200=State.AVAILABLE)
    move(site, d100=1, d101=1, d200=2)
    site.board.light("desk", {"shows": "available"})
    site.board.warning('{"message":"a secret of the bridge"}')
    return site


def move(site: BoardSite, **departments: int) -> None:
    rows = {name.removeprefix("d"): user(name.removeprefix("d"), department=id_) for name, id_ in departments.items()}
    site.world.engine.apply(Round(USERS, rows, complete=True, total=None, good_for=60.0))


def numbers(answer: Answer) -> list[str]:
    return [each["number"] for each in answer.json["pbxs"][0]["users"]]


TOKEN = "?token=a-long-enough-token"


@pytest.mark.parametrize(
    ("lists", "users", "groups"),
    [
        ({"departments": ("Sales",)}, ["100", "101"], []),
        ({"groups": ("desk",)}, ["100", "200"], ["desk"]),
        ({"groups": ("desk",), "departments": ("Sales",)}, ["100", "101", "200"], ["desk"]),
        ({"pbxs": ("hq",)}, ["100", "101", "200"], ["desk", "all"]),
        ({"departments": ("Nobody",)}, [], []),
    ],
)
async def test_a_limited_screen_sees_its_users_and_groups_and_nothing_else(
    clock: FakeClock, lists: dict[str, tuple[str, ...]], users: list[str], groups: list[str]
) -> None:
    async with department_world(clock, **lists).serving() as site:
        answer = await site.ask(f"/api/snapshot{TOKEN}")
        assert numbers(answer) == users
        (pbx,) = answer.json["pbxs"]
        assert [each["name"] for each in pbx["groups"]] == groups
        assert pbx["bridge"] == {"broker": True, "pbx": True, "last_news": "2026-11-22T10:00:00Z"}
        assert [pbx[part] for part in ("sources", "queues", "lights", "log")] == [[], [], [], []]
        assert answer.json["viewer"]["limited"] is True


async def test_a_screen_of_another_pbx_sees_nothing(clock: FakeClock) -> None:
    async with department_world(clock, pbxs=("other",)).serving() as site:
        assert (await site.ask(f"/api/snapshot{TOKEN}")).json["pbxs"] == []
        async with site.stream(TOKEN) as stream:
            assert (await stream.next("beat")).json["pbxs"] == []


async def test_a_limited_screen_hears_of_nothing_else(clock: FakeClock) -> None:
    async with department_world(clock, departments=("Sales",)).serving() as site, site.stream(TOKEN) as stream:
        await stream.next("snapshot")
        site.board.light("desk", {"shows": "on_call"})
        site.board.warning('{"message":"a secret of the bridge"}')
        site.described = {"version": "2"}
        site.users(d100=State.AVAILABLE, d101=State.AVAILABLE, d200=State.ON_CALL)
        site.users(d100=State.ON_CALL, d101=State.AVAILABLE, d200=State.ON_CALL)
        change = await stream.change()
        assert (change["kind"], change["key"], change["value"]["state"]) == ("user", "100", "on_call")
        assert (await stream.next("beat")).json["pbxs"][0]["name"] == "hq"


async def test_a_limited_screen_follows_people_who_move(clock: FakeClock) -> None:
    async with department_world(clock, departments=("Sales",)).serving() as site, site.stream(TOKEN) as stream:
        await stream.next("snapshot")
        move(site, d100=2, d101=1, d200=1)
        seen = {change["key"]: change["value"] for change in [await stream.change(), await stream.change()]}
        assert seen["100"] is None
        assert seen["200"]["department"] == "Sales"


async def test_a_limited_screen_gets_a_new_snapshot_when_it_comes_back(clock: FakeClock) -> None:
    async with department_world(clock, departments=("Sales",)).serving() as site:
        async with site.stream(TOKEN) as stream:
            last = (await stream.next("snapshot")).identity
        async with site.stream(TOKEN, Last_Event_ID=last) as stream:
            assert len((await stream.next()).json["pbxs"][0]["users"]) == 2


# Home Assistant and other proxies


async def test_home_assistant_lets_its_users_in_where_ingress_is_on(clock: FakeClock) -> None:
    inside = {"X_Ingress_Path": "/api/hassio_ingress/x", "Host": "abc-3cx2mqtt:9321"}
    user_ = {**inside, "X_Remote_User_Id": "0123", "X_Forwarded_Host": "ha.example.com"}
    async with BoardSite(clock, host=EVERYWHERE, ingress=True, ingress_peer="127.0.0.1").serving() as site:
        assert (await site.ask("/api/snapshot", **inside)).json["viewer"]["admin"] is False
        assert (await site.ask("/api/snapshot", **user_)).json["viewer"]["admin"] is True
        own = await site.post(LIGHT, {"pause": True}, Origin="https://ha.example.com", **user_)
        assert own.status == 200
        assert (await site.post(LIGHT, {"pause": True}, Origin="https://evil.example.com", **user_)).status == 403
        assert (await site.ask("/api/snapshot")).status == 401  # the same machine, but not through Home Assistant
    async with BoardSite(clock, host=EVERYWHERE, ingress=True).serving() as site:
        assert (await site.ask("/api/snapshot", **{**user_, "Host": "127.0.0.1"})).status == 401  # another peer
    async with protected(clock, ingress_peer="127.0.0.1").serving() as site:
        assert (await site.ask("/api/snapshot", **{**user_, "Host": "127.0.0.1"})).status == 401  # not switched on


async def test_headers_of_a_proxy_count_only_where_it_is_trusted(clock: FakeClock) -> None:
    forwarded = {"X_Forwarded_Host": "board.example.com", "X_Forwarded_Proto": "https", "Host": "127.0.0.1"}
    trusted = (ipaddress.ip_network("127.0.0.0/8"),)
    for proxies, secure in (((), False), (trusted, True)):
        async with protected(clock, allowed_hosts=("board.example.com",), trusted_proxies=proxies).serving() as site:
            answer = await site.ask("/login", "POST", f"password={PASSWORD}", Content_Type=FORM, **forwarded)
            (cookie,) = answer.cookies.values()
            assert ("Secure" in cookie) is secure
            unknown = await site.ask("/api/snapshot", **{**forwarded, "X_Forwarded_Host": "evil.example.com"})
            assert unknown.status == (421 if secure else 401)


async def test_attempts_are_counted_by_the_address_that_a_trusted_proxy_names(clock: FakeClock) -> None:
    trusted = (ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("10.0.0.0/8"))
    async with protected(clock, trusted_proxies=trusted).serving() as site:

        async def guess(forwarded: str) -> int:
            answer = await site.ask("/login", "POST", "password=guess", Content_Type=FORM, X_Forwarded_For=forwarded)
            return answer.status

        for invented in range(5):
            assert await guess(f"198.51.100.{invented}, 203.0.113.9, 10.1.1.1") == 403
        assert await guess("198.51.100.77, 203.0.113.9, 10.1.1.1") == 429
        assert await guess("203.0.113.10") == 403
