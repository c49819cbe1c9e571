"""A real Chromium in front of a real bridge."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.scene import Scene, scene
from tests.support.limits import limit

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def chromium() -> str:
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    assert found is not None, "Chromium is missing; scripts/test-browser installs it"
    return found


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        yield started
        await started.close()


class Open(Protocol):
    """Opens a page of a scene; any error of its scripts fails the test."""

    def __call__(
        self, place: Scene, query: str = "", *, width: int = 1440, height: int = 900, scheme: str = "light"
    ) -> AbstractAsyncContextManager[Page]: ...


@pytest.fixture
def opened(browser: Browser) -> Open:
    @asynccontextmanager
    async def open_page(
        place: Scene, query: str = "", *, width: int = 1440, height: int = 900, scheme: str = "light"
    ) -> AsyncIterator[Page]:
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            locale="en-GB",
        )
        context.set_default_timeout(limit(10) * 1000)
        page = await context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        await page.goto(f"{place.url}{query}")
        yield page
        await context.close()
        # Chromium reports refusals and lost connections as errors too; tests say for themselves what they expect.
        wrong = [each for each in errors if not each.startswith("Failed to load resource")]
        assert wrong == []

    return open_page


@pytest_asyncio.fixture
async def office(tmp_path: Path) -> AsyncIterator[Scene]:
    """Eight people, and nothing happens by itself."""
    async with scene(tmp_path) as place:
        yield place
