"""The board: how soon a browser shows everybody and each change, how fast it searches, and what idle readers cost."""

import asyncio
import statistics
import sys
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from playwright.async_api import Page, async_playwright

from benchmarks.latency import delays_of
from tests.browser.conftest import OPTIONS, chromium
from tests.support.mosquitto import Mosquitto, free_port

_CONFIG = """\
pbx: {{url: "{url}", client_id: busylights, client_secret: simulated-key}}
mqtt: {{host: 127.0.0.1, port: {broker}}}
homeassistant: {{enabled: false}}
web: {{enabled: true, port: {port}}}
log: {{level: warning}}
"""

_FIRST_PAINT = """
users => new Promise(done => {
  const look = () => document.querySelectorAll(".tile").length >= users
    ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))) : requestAnimationFrame(look);
  look();
})
"""
"""Milliseconds from the navigation until so many tiles have been painted."""

_WATCH = """
() => {
  window.seen = [];
  new MutationObserver(changes => {
    const now = performance.timeOrigin + performance.now();
    for (const { target } of changes) window.seen.push([target.dataset.key, target.dataset.state, now]);
  }).observe(document.body, { subtree: true, attributeFilter: ["data-state"] });
}
"""

_SEARCH = """
text => new Promise(done => {
  const field = document.querySelector("input[type=search]");
  const began = performance.now();
  field.value = text;
  field.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
})
"""
"""Milliseconds from a letter until the frame with its result has been made."""


async def measure(folder: Path, broker: Mosquitto, users: int, *, rate: float, seconds: float) -> AsyncIterator[str]:
    """Lines of results for a PBX of so many users; `rate` changes a second, 0: none."""
    async with _bridge(folder, broker, users, rate, seconds) as (port, bridge, pbx), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        shown = min(users, 1500)  # the page makes more as one scrolls
        times = []
        for _ in range(5):
            await page.goto(f"http://127.0.0.1:{port}/")
            times.append(await page.evaluate(_FIRST_PAINT, shown))
        yield f"board, {users} users: first paint of {shown} tiles {statistics.median(times):.0f} ms"
        times = [await page.evaluate(_SEARCH, "anna müller 1234"[:letters]) for letters in range(16)]
        await page.evaluate(_SEARCH, "")
        yield f"board, {users} users: search {statistics.median(times):.0f} ms, worst {max(times):.0f} ms"
        if rate:
            yield await _latency(page, port, pbx, bridge)
        await browser.close()


async def idle(folder: Path, broker: Mosquitto, users: int, readers: int, seconds: float) -> str:
    """What so many readers cost while nothing changes."""
    async with _bridge(folder, broker, users, 0, 0) as (port, bridge, _), AsyncExitStack() as stack:
        await asyncio.sleep(5)
        alone = await _share(bridge, seconds)
        for _ in range(readers):
            await stack.enter_async_context(_reading(port))
        await asyncio.sleep(5)
        share = await _share(bridge, seconds)
        memory = bridge.memory_info().rss / 2**20
    return (
        f"board, {users} users: {readers} idle readers {share - alone:.1%} of a core beside the bridge's {alone:.1%}; "
        f"{memory:.0f} MB in all"
    )


async def _latency(page: Page, port: int, pbx: asyncio.subprocess.Process, bridge: psutil.Process) -> str:
    assert pbx.stdin is not None and pbx.stdout is not None
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(_reading(port))
        await page.evaluate(_WATCH)
        ahead = time.time() * 1000 - time.monotonic_ns() / 1e6
        used, began = bridge.cpu_times(), time.monotonic()
        pbx.stdin.write(b"go\n")
        events = (await pbx.stdout.read()).decode().split("\n")
        after = bridge.cpu_times()
        share = (after.user + after.system - used.user - used.system) / (time.monotonic() - began)
        seen: defaultdict[str, deque[tuple[float, str]]] = defaultdict(deque)
        for key, state, when in await page.evaluate("window.seen"):
            if key:
                seen[key.partition("/")[2]].append(((when - ahead) * 1e6, state))
    delays, missed = delays_of(events, seen)
    cuts = statistics.quantiles(delays, n=100)
    return (
        f"board: event to tile, 5 readers: {len(delays)} events, p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, "
        f"worst {max(delays):.1f} ms, not seen {missed}; bridge {share:.1%} of a core"
    )


@asynccontextmanager
async def _bridge(
    folder: Path, broker: Mosquitto, users: int, rate: float, seconds: float
) -> AsyncIterator[tuple[int, psutil.Process, asyncio.subprocess.Process]]:
    """The board's port, the bridge, and the PBX, which lets things happen after a line on its stdin."""
    pbx = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.busy_pbx", str(users), str(rate or 1), str(seconds)),
        *(str(max(1, int(rate * 0.3))), "push"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    assert pbx.stdout is not None
    url = (await pbx.stdout.readline()).decode().strip()
    port = free_port()
    config = folder / "bridge.yaml"
    await asyncio.to_thread(config.write_text, _CONFIG.format(url=url, broker=broker.port, port=port))
    bridge = await asyncio.create_subprocess_exec(sys.executable, "-m", "bridge", "run", "-c", str(config))
    try:
        await _until_known(port, users)
        yield port, psutil.Process(bridge.pid), pbx
    finally:
        bridge.terminate()
        await bridge.wait()
        if pbx.returncode is None:
            pbx.kill()
        await pbx.wait()


async def _until_known(port: int, users: int) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/api/snapshot") as response:
                    (pbx,) = (await response.json())["pbxs"]
                    known = sum(user["state"] != "unknown" for user in pbx["users"])
                    if known == users and pbx["bridge"]["broker"]:
                        return
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _reading(port: int) -> AsyncIterator[None]:
    """A reader that takes what it is sent."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://127.0.0.1:{port}/api/events") as response,
    ):
        reading = asyncio.create_task(_read(response.content))
        try:
            yield
        finally:
            reading.cancel()


async def _read(content: Any) -> None:
    async for _ in content.iter_any():
        pass


async def _share(process: psutil.Process, seconds: float) -> float:
    before = process.cpu_times()
    await asyncio.sleep(seconds)
    after = process.cpu_times()
    return float(after.user + after.system - before.user - before.system) / seconds
