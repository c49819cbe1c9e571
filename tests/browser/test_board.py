"""The board in a real browser: what people see, by mouse and by keyboard, and when there is no news."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Open
from tests.browser.scene import Scene, scene
from tests.support.beside import beside
from tests.support.limits import limit

ROOT = Path(__file__).parents[2]
WORDS = ROOT / "bridge/web/static/i18n"
AXE = ROOT / ".cache/web-tools/node_modules/axe-core/axe.min.js"

expect.set_options(timeout=limit(10) * 1000)


async def shows(page: Page, number: str, text: str) -> None:
    await expect(page.locator(f'.tile[data-key="hq/{number}"]')).to_contain_text(text)


async def test_a_tile_follows_a_call(office: Scene, opened: Open) -> None:
    async with opened(office) as page:
        await shows(page, "100", "Available")
        call = office.pbx.exchange.ring("0301234567", "100")
        await shows(page, "100", "Ringing")
        await shows(page, "100", "…567")
        office.pbx.exchange.answer(call)
        await shows(page, "100", "On a call")
        await expect(page.locator('.chip[data-state="on_call"]')).to_have_text("1On a call")
        await expect(page.locator('.tile[data-key="hq/100"] .since')).to_have_text(re.compile(r"0:0[1-9]"))
        office.pbx.exchange.end(call)
        await shows(page, "100", "Available")
        await expect(page.locator('.chip[data-state="on_call"]')).to_be_hidden()


async def test_a_view_is_a_link(office: Scene, opened: Open) -> None:
    async with opened(office) as page:
        await expect(page.locator(".tile")).to_have_count(8)
        await page.get_by_label("Department").select_option("Sales")
        await page.get_by_label("Order").select_option("name")
        await page.get_by_role("button", name="List").click()
        names = await page.locator(".tile .name").all_inner_texts()
        assert 0 < len(names) < 8
        async with opened(office, f"?{page.url.partition('?')[2]}") as other:
            await expect(other.locator(".tile")).to_have_count(len(names))
            assert await other.locator(".tile .name").all_inner_texts() == names
            await expect(other.locator(".as-list")).to_be_visible()


async def test_counts_are_filters(office: Scene, opened: Open) -> None:
    office.pbx.change("101", profile="Away")
    async with opened(office) as page:
        await page.locator('.chip[data-state="away"]').click()
        await expect(page.locator(".tile")).to_have_count(1)
        assert "state=away" in page.url
        office.pbx.change("101", profile="Available")
        await expect(page.get_by_text("Nobody matches")).to_be_visible()
        await page.get_by_role("button", name="Clear filters").click()
        await expect(page.locator(".tile")).to_have_count(8)


async def test_the_keyboard_does_everything(office: Scene, opened: Open) -> None:
    async with opened(office, "?order=number") as page:
        await expect(page.locator(".tile")).to_have_count(8)
        await page.keyboard.press("/")
        await page.keyboard.type("muller")
        await expect(page.locator(".tile")).to_have_count(1)
        await shows(page, "102", "Chloé Müller")
        await page.keyboard.press("Escape")
        await expect(page.locator(".tile")).to_have_count(8)
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("Enter")
        panel = page.locator("dialog.panel")
        await expect(panel).to_contain_text("Bruno O'Brien")
        await page.keyboard.press("Escape")
        await expect(panel).to_be_hidden()
        await expect(page.locator('.tile[data-key="hq/101"]')).to_be_focused()


async def test_the_panel_shows_calls_as_they_happen(office: Scene, opened: Open) -> None:
    async with opened(office) as page:
        await page.locator('.tile[data-key="hq/100"]').click()
        panel = page.locator("dialog.panel")
        await expect(panel).to_contain_text("Calls will appear here")
        call = office.pbx.exchange.ring("0301234567", "100")
        await expect(panel.locator(".events li")).to_contain_text(["rings"])
        office.pbx.exchange.end(call)
        await expect(panel.locator(".numbers")).to_contain_text("Missed1")


async def test_no_news_is_loud_and_ends_by_itself(office: Scene, opened: Open) -> None:
    async with opened(office) as page:
        await shows(page, "100", "Available")
        await expect(page.get_by_role("alert")).to_be_hidden()
        await office.broker.stop()
        banner = page.get_by_role("alert")
        await expect(banner).to_contain_text("No news since")
        await expect(banner).to_contain_text("MQTT broker")
        await expect(page.locator("body.stale")).to_be_visible()
        await office.broker.start()
        await expect(banner).to_be_hidden()
        await expect(page.locator("body.stale")).to_have_count(0)


async def test_a_lost_bridge_is_loud_and_its_return_is_seen(office: Scene, opened: Open) -> None:
    async with opened(office) as page:
        await shows(page, "100", "Available")
        await office.bridge.stop()
        banner = page.get_by_role("alert")
        await expect(banner).to_contain_text("This page has lost the bridge")
        office.pbx.change("100", profile="Away")
        await office.bridge.start()
        await shows(page, "100", "Away")
        await expect(banner).to_be_hidden()


async def test_a_silent_pbx_is_said_to_be(office: Scene, opened: Open) -> None:
    async with opened(office) as page:
        await shows(page, "100", "Available")

        async def silent(_: object) -> None:
            await asyncio.sleep(600)

        office.pbx.intercept = silent
        await expect(page.get_by_role("alert")).to_contain_text(
            "The phone system does not answer", timeout=limit(60) * 1000
        )
        office.pbx.intercept = None
        await expect(page.get_by_role("alert")).to_be_hidden(timeout=limit(60) * 1000)


async def test_lights_and_profiles_are_changed_after_a_login(tmp_path: Path, opened: Open) -> None:
    more = "commands: {profile: true, queue: true}"
    async with scene(tmp_path, web="password: secret", more=more) as office, opened(office) as page:
        await page.get_by_label("Password").fill("guess")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_text("Wrong password.")).to_be_visible()
        await page.get_by_label("Password").fill("secret")
        await page.get_by_role("button", name="Log in").click()
        await page.locator('.tile[data-key="hq/100"]').click()
        panel = page.locator("dialog.panel")
        await panel.get_by_label("Profile").select_option("Away")
        await panel.get_by_role("button", name="Set").click()
        await expect(panel).to_contain_text("Done: the phone system has made the change.")
        assert office.pbx.users["100"].profile == "Away"
        office.pbx.ignores_profiles = True
        await panel.get_by_label("Profile").select_option("Available")
        await panel.get_by_role("button", name="Set").click()
        await expect(panel).to_contain_text("did not change it", timeout=limit(30) * 1000)
        await panel.get_by_role("button", name="Close").click()
        await page.get_by_role("link", name="Lights").click()
        card = page.locator(".light", has_text="bruno")
        await card.get_by_role("button", name="Pause").click()
        await expect(card).to_contain_text("Paused")
        await card.get_by_role("button", name="Resume").click()
        await card.get_by_role("button", name="Show").click()
        await expect(card).to_contain_text("#ff00ff")
        await card.get_by_role("button", name="End override").click()
        await expect(card).not_to_contain_text("#ff00ff")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Password")).to_be_visible()


async def test_queues_show_who_waits(office: Scene, opened: Open) -> None:
    for dn in ("100", "101"):
        office.pbx.change(dn, queue="LoggedIn")
    async with opened(office, "?page=queues") as page:
        card = page.locator(".queue")
        await expect(card).to_contain_text("Ada Example")
        for dn in ("100", "101"):
            office.pbx.exchange.answer(office.pbx.exchange.ring("0301111111", dn))
        await expect(card).to_contain_text("On a call")
        office.pbx.exchange.ring("0301234567", "8000")
        await expect(card.locator(".waiting")).to_contain_text("1waiting")
        await expect(card.locator(".longest")).to_contain_text(re.compile("longest wait 0:0"))


async def test_the_page_of_the_bridge_says_what_check_says(office: Scene, opened: Open) -> None:
    async with opened(office, "?page=bridge") as page:
        await expect(page.locator(".findings").first).to_contain_text("accepts client_id 'busylights'")
        await expect(page.locator("table")).to_contain_text("active_calls")
        await expect(page.get_by_text("No warnings since the bridge started.")).to_be_visible()


async def test_a_screen_fills_itself_and_has_no_controls(office: Scene, opened: Open) -> None:
    async with opened(office, "?kiosk=1", width=1920, height=1080) as page:
        await expect(page.locator(".tile")).to_have_count(8)
        for control in ("nav", ".search", ".choices"):
            await expect(page.locator(control).first).to_be_hidden()
        boxes = [await each.bounding_box() for each in await page.locator(".tile").all()]
        assert all(box is not None and box["x"] + box["width"] <= 1920 for box in boxes)
        lowest = max(box["y"] + box["height"] for box in boxes if box is not None)
        assert 1080 * 0.7 < lowest <= 1080
        assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        assert await page.evaluate("document.querySelectorAll('[style]').length") == 0


async def test_a_limited_screen_has_its_people_and_nothing_else(tmp_path: Path, opened: Open) -> None:
    web = "password: x, tokens: [{name: lobby, token: a-long-enough-token, groups: [Reception]}]"
    async with scene(tmp_path, web=web) as office, opened(office, "?token=a-long-enough-token") as page:
        await expect(page.locator(".tile")).to_have_count(3)
        assert "token" not in page.url
        await expect(page.locator("nav")).to_be_hidden()
        async with opened(office, "?token=a-long-enough-token&kiosk=1") as wall:
            await expect(wall.locator(".tile")).to_have_count(3)
            assert "token" in wall.url


async def test_before_there_is_anybody_it_says_what_to_do(tmp_path: Path, opened: Open) -> None:
    async with scene(tmp_path, more="users: {include: ['999']}") as office, opened(office) as page:
        await expect(page.get_by_text("No users yet")).to_be_visible()
        await page.get_by_role("link", name="Bridge").click()
        await expect(page.get_by_text("include, exclude and special admit none").first).to_be_visible()


async def test_it_speaks_german(office: Scene, opened: Open) -> None:
    async with opened(office, "?lang=de") as page:
        await shows(page, "100", "Verfügbar")
        assert await page.locator("html").get_attribute("lang") == "de"


def test_both_languages_have_the_same_words() -> None:
    words = {path.stem: json.loads(path.read_text()) for path in WORDS.glob("*.json")}
    assert set(words) == {"en", "de"}
    assert words["en"].keys() == words["de"].keys()
    for key, text in words["en"].items():
        named = re.findall(r"\{\w+\}", text)
        assert sorted(named) == sorted(re.findall(r"\{\w+\}", words["de"][key])), key
        assert words["de"][key]


def test_every_word_is_used_and_every_used_word_is_there() -> None:
    files = ROOT / "bridge/web"
    sources = (*files.glob("static/*.js"), *files.glob("static/*.html"), *files.glob("*.py"))
    text = "\n".join(path.read_text() for path in sources)
    known = json.loads((WORDS / "en.json").read_text())
    unused = [
        key
        for key in known
        if not any(use in text for use in (f'"{key}"', f"`{key.rpartition('.')[0]}.${{", f"{{{{{key}}}}}"))
        and not key.endswith(".text")  # of an empty page, whose title is used
    ]
    assert unused == []
    assert [key for key in re.findall(r'\bt\("([\w.]+)"', text) if key not in known] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
async def test_axe_finds_nothing(tmp_path: Path, opened: Open, scheme: str, width: int) -> None:
    async with scene(tmp_path, users=20, busy=40) as office:
        for query in ("", "?view=list", "?page=queues", "?page=lights", "?page=bridge", "?kiosk=1"):
            async with opened(office, query, width=width, scheme=scheme) as page:
                await expect(page.locator("#main > *")).to_be_visible()
                await expect(page.locator(".live")).to_contain_text("Live")
                assert await findings(page) == [], query
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), query
                if not query:
                    await page.locator(".tile").first.click()
                    assert await findings(page) == [], "panel"


async def findings(page: Page) -> list[str]:
    """What axe finds wrong by WCAG 2.2 A and AA; run through the debugger, which the page's policy does not bind."""
    await page.evaluate(AXE.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = await page.evaluate(
        "tags => axe.run(document, {runOnly: tags}).then(r => r.violations.map(v => "
        "`${v.id}: ${v.nodes.map(n => n.target + ' ' + n.failureSummary).slice(0, 3).join(' | ')}`))",
        tags,
    )
    return list(found)


async def test_nothing_is_loaded_from_elsewhere(office: Scene, opened: Open) -> None:
    async with opened(office) as page:
        await shows(page, "100", "Available")
        loaded = await page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
        assert loaded
        assert all(each.startswith(office.url) for each in loaded)


async def test_masked_numbers_never_reach_the_page_or_the_stream(office: Scene, opened: Open) -> None:
    received = bytearray()

    async def read() -> None:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
            session.get(f"{office.url}api/events") as response,
        ):
            async for part in response.content.iter_any():
                received.extend(part)

    async with beside(read()), opened(office) as page:
        await page.locator('.tile[data-key="hq/100"]').click()
        for answered in (True, False):
            call = office.pbx.exchange.ring("0301234567", "100")
            await shows(page, "100", "Ringing")
            if answered:
                office.pbx.exchange.answer(call)
                await shows(page, "100", "On a call")
            office.pbx.exchange.end(call)
            await shows(page, "100", "Available")
        await expect(page.locator(".numbers")).to_contain_text("Missed1")
        text = await page.content() + received.decode()
        assert "…567" in text
        assert "1234567" not in text


async def test_it_works_behind_any_path(office: Scene, opened: Open) -> None:
    async def pass_on(request: web.Request) -> web.StreamResponse:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
            session.get(f"{office.url}{request.match_info['path']}", params=request.query) as answer,
        ):
            response = web.StreamResponse(
                status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]}
            )
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
        return response

    async with served({"/api/hassio_ingress/abc/{path:.*}": pass_on}) as proxy:
        async with opened(office) as page:
            await page.goto(f"{proxy}/api/hassio_ingress/abc/")
            await shows(page, "100", "Available")
            office.pbx.change("100", profile="Away")
            await shows(page, "100", "Away")
            await page.get_by_role("link", name="Bridge").click()
            assert page.url == f"{proxy}/api/hassio_ingress/abc/?page=bridge"


@pytest.mark.parametrize("allowed", [True, False])
async def test_only_named_sites_show_it_in_a_frame(tmp_path: Path, browser: Browser, allowed: bool) -> None:
    board = ""

    async def outer(_: web.Request) -> web.Response:
        return web.Response(text=f'<iframe src="{board}" width="900" height="600"></iframe>', content_type="text/html")

    async with served({"/": outer}) as other:
        site = other.replace("127.0.0.1", "localhost")
        named = f'frame_ancestors: ["{site}"], ' if allowed else ""
        options = f"{named}password: x, tokens: [{{name: lobby, token: a-long-enough-token}}]"
        async with scene(tmp_path, web=options) as office:
            board = f"{office.url}?token=a-long-enough-token"
            page = await browser.new_page()
            await page.goto(site)
            tile = page.frame_locator("iframe").locator('.tile[data-key="hq/100"]')
            if allowed:
                await expect(tile).to_contain_text("Available")
            else:
                async with asyncio.timeout(limit(10)):
                    while not any(frame.url.startswith("chrome-error:") for frame in page.frames):
                        await asyncio.sleep(0.05)
                await expect(tile).to_have_count(0)
            await page.close()


async def test_a_thousand_people_have_their_tiles(tmp_path: Path, opened: Open) -> None:
    async with scene(tmp_path, users=1000) as office, opened(office) as page:
        await expect(page.locator(".tile")).to_have_count(1000)
        office.pbx.change("1050", profile="Away")
        await shows(page, "1050", "Away")
        await page.get_by_label("Search").fill("105")
        await expect(page.locator(".tile")).to_have_count(11)


async def test_the_page_does_not_grow(office: Scene, opened: Open) -> None:
    async with opened(office) as page:
        await shows(page, "100", "Available")
        debugger = await page.context.new_cdp_session(page)

        async def change(times: int) -> tuple[float, int]:
            for _ in range(times // 4):
                call = office.pbx.exchange.ring("0301234567", "100")
                office.pbx.exchange.answer(call)
                office.pbx.exchange.hold(call, "100")
                office.pbx.exchange.end(call)
                await asyncio.sleep(0)
            last = office.pbx.exchange.ring("0301234567", "101")
            await shows(page, "101", "Ringing")
            office.pbx.exchange.end(last)
            await shows(page, "101", "Available")
            await debugger.send("HeapProfiler.collectGarbage")
            heap = await debugger.send("Runtime.getHeapUsage")
            counters = await debugger.send("Memory.getDOMCounters")
            return heap["usedSize"], counters["nodes"]

        before, nodes = await change(400)
        after, more_nodes = await change(2000)
        assert after < before * 1.2 + 200_000
        assert more_nodes < nodes * 1.2 + 100


@asynccontextmanager
async def served(routes: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]) -> AsyncIterator[str]:
    """Another server, by its address."""
    application = web.Application()
    for path, answer in routes.items():
        application.router.add_get(path, answer)
    server = TestServer(application, host="127.0.0.1")
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()
