"""The pictures of the board in the documentation: `scripts/screenshots`."""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, async_playwright, expect

from tests.browser.conftest import OPTIONS, chromium
from tests.browser.scene import Scene, scene


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture; sizes in CSS pixels."""

    name: str
    query: str = ""
    width: int = 1280
    height: int = 800
    scheme: str = "light"
    opens: str | None = None
    """The DN of the user whose panel is open."""


PICTURES = (
    Picture("board"),
    Picture("board-dark", scheme="dark"),
    Picture("board-phone", width=390, height=780),
    Picture("board-panel", opens="101"),
    Picture("board-queues", "?page=queues", height=560),
    Picture("board-lights", "?page=lights", height=460),
    Picture("board-bridge", "?page=bridge"),
    Picture("board-kiosk", "?kiosk=1", width=1920, height=1080, scheme="dark"),
)

_PEOPLE = 24
_SEEN = 2.0
"""Seconds after which the bridge has seen a change."""


async def _take(browser: Browser, place: Scene, picture: Picture, folder: Path) -> None:
    context = await browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.scheme == "dark" else "light",
        locale="en-GB",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    await page.goto(f"{place.url}{picture.query}")
    await expect(page.locator(".live")).to_contain_text("Live")
    if picture.opens is not None:
        await page.locator(f'.tile[data-key="hq/{picture.opens}"]').click()
    await page.evaluate("document.fonts.ready")
    await page.screenshot(path=folder / f"{picture.name}.png")
    await context.close()


async def _set(place: Scene) -> None:
    """Some have been on the phone for a while, and some things happen just now."""
    pbx, exchange = place.pbx, place.pbx.exchange
    for call in list(exchange.calls):
        exchange.end(call)
    for dn in ("101", "102", "104", "105", "108", "112", "114", "116", "117", "119"):
        pbx.change(dn, registered=True, profile="Available")
    for dn in pbx.users:
        pbx.change(dn, queue="LoggedIn" if dn in {"108", "111", "120"} else "LoggedOut")
    await asyncio.sleep(_SEEN)
    for dn, ago in (("112", 1564), ("105", 752), ("119", 247), ("116", 96), ("101", 43)):
        place.clock.behind = ago
        call = exchange.ring(f"0301234{dn}", dn)
        exchange.answer(call)
        if dn == "116":
            exchange.hold(call, dn)
        await asyncio.sleep(_SEEN / 4)
    place.clock.behind = 34
    exchange.ring("0301112223", "8000")
    place.clock.behind = 6
    exchange.ring("0307654321", "104")
    await asyncio.sleep(_SEEN / 4)
    place.clock.behind = 0
    await asyncio.sleep(_SEEN)


async def _main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as rest:
        async with scene(Path(rest), users=_PEOPLE, busy=150) as place, async_playwright() as playwright:
            await _set(place)
            browser = await playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
            for picture in PICTURES:
                await _take(browser, place, picture, folder)
            await browser.close()


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    FOLDER.mkdir(parents=True, exist_ok=True)
    asyncio.run(_main(FOLDER))
