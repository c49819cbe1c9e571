"""Two machines with one configuration: whatever happens to one of them, the other goes on with what was published."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bridge.simulator import SimulatedPbx
from tests.support.faults import SILENCE
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.pair import KEEPALIVE, Machine, Pair, kept, pair
from tests.support.subscriber import Subscriber

pytestmark = pytest.mark.timeout(limit(120))


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    (folder := tmp_path / "broker").mkdir()
    async with Mosquitto(folder, persistent=True) as mosquitto:
        yield mosquitto


@pytest.fixture(params=["", "protocol: 3.1.1"], ids=["5", "3.1.1"])
def mqtt(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest_asyncio.fixture
async def both(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, mqtt: str
) -> AsyncIterator[Pair]:
    """One that works and one that stands by; 101 has missed a call and talks, 102's light is paused."""
    async with pair(tmp_path, pbx, url, broker.port, subscriber, mqtt) as machines:
        await machines.machines[0].start()
        await machines.online()
        missed = pbx.exchange.ring("0301234567", "101")
        await subscriber.until_latest("3cx/users/101/state", "ringing")
        pbx.exchange.end(missed)
        await subscriber.until(lambda: subscriber.json("3cx/users/101/today")["missed"] == 1)
        pbx.exchange.answer(pbx.exchange.ring("0301234568", "101"))
        await subscriber.until_latest("3cx/users/101/state", "on_call")
        await subscriber.publish("3cx/lights/door/set", '{"pause": true}')
        await subscriber.until(lambda: subscriber.json("3cx/lights/door/state")["paused"])
        await machines.machines[1].start()
        await machines.machines[1].stands_by()
        yield machines


async def killed(active: Machine) -> None:
    await active.end()


async def stopped(active: Machine) -> None:
    await active.end(signal.SIGTERM)


async def asleep(active: Machine) -> None:
    active.freeze()


async def cut_off(active: Machine) -> None:
    active.broker.strike(SILENCE)


@pytest.mark.parametrize("fault", [killed, stopped, asleep, cut_off])
async def test_the_other_one_takes_over_and_changes_nothing(
    both: Pair, subscriber: Subscriber, fault: Callable[[Machine], Awaitable[None]]
) -> None:
    active, standby, before, onlines = both.active(), both.standby(), kept(subscriber), both.onlines()
    assert both.logins(standby) == 0
    await fault(active)
    await subscriber.until_latest("3cx/bridge/state", "offline", limit(20))
    await both.online(after=onlines)
    assert both.active() is standby
    assert kept(subscriber) == before
    assert both.logins(standby) == 1
    assert both.never_asked_at_once()


async def test_a_machine_that_wakes_up_stands_by_and_asks_the_pbx_nothing(both: Pair, subscriber: Subscriber) -> None:
    active, standby, onlines = both.active(), both.standby(), both.onlines()
    active.freeze()
    await both.online(after=onlines)
    asked = len(both.asked)
    before = kept(subscriber)
    active.thaw()
    await active.stands_by()
    assert all(each.by == standby.pbx.port for each in both.asked[asked:])
    assert (both.active(), kept(subscriber), both.onlines()) == (standby, before, onlines + 1)
    assert both.never_asked_at_once()


async def test_a_machine_without_its_broker_asks_the_pbx_nothing_after_one_keepalive(
    both: Pair, subscriber: Subscriber
) -> None:
    active, standby, onlines = both.active(), both.standby(), both.onlines()
    cable = active.pbx
    active.broker.strike(SILENCE)
    await asyncio.sleep(KEEPALIVE + 1.5)  # a lease and two looks at it: what is watched is that nothing happens later
    asked = len(both.asked)
    await both.online(after=onlines)
    assert not [each for each in both.asked[asked:] if each.by == cable.port]
    before = kept(subscriber)
    await active.broker.heal()
    await active.stands_by()
    assert (both.active(), kept(subscriber), both.onlines()) == (standby, before, onlines + 1)
    assert both.never_asked_at_once()


async def test_both_start_at_once_and_one_of_them_works(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with pair(tmp_path, pbx, url, broker.port, subscriber) as machines:
        await asyncio.gather(*(each.start() for each in machines.machines))
        await machines.online()
        await machines.standby().stands_by()
        assert machines.logins(machines.standby()) == 0
        info = subscriber.json("3cx/bridge/info")
        assert info["role"] == "active"
        assert info["claimed_at"] >= info["started"]
        assert "claiming" not in info


@pytest.mark.parametrize("persistent", [True, False])
async def test_a_restart_of_the_broker_changes_nothing(
    tmp_path: Path, pbx: SimulatedPbx, url: str, subscriber: Subscriber, both: Pair, broker: Mosquitto, persistent: bool
) -> None:
    before = kept(subscriber)
    if persistent:
        await broker.stop()
    else:
        await broker.kill()
        for saved in (tmp_path / "broker").glob("mosquitto.db*"):
            saved.unlink()
    await broker.start()
    async with Subscriber(broker.port) as late:
        both.subscriber = late
        await late.until_latest("3cx/bridge/state", "online", limit(30))
        await late.until(lambda: "3cx/users/101/today" in late.latest)
        after = kept(late)
        assert (after.since, after.today, after.states) == (before.since, before.today, before.states)
        assert after.lights == before.lights
        assert after.events == 0
        await both.standby().stands_by()
        assert both.never_asked_at_once()


async def test_a_bridge_does_not_wait_for_its_own_will(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """Its connection hangs, so that `online` stays for a while with nobody behind it; new connections pass."""
    async with pair(tmp_path, pbx, url, broker.port, subscriber) as machines:
        one = machines.machines[0]
        await one.start()
        await machines.online()
        one.broker.strike_open(SILENCE)
        await machines.online(after=1)
        assert (machines.active(), machines.logins()) == (one, 2)
        assert "another program" not in one.log()


async def test_who_stands_by_says_so_and_changes_nothing(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    port = free_port()
    async with pair(tmp_path, pbx, url, broker.port, subscriber) as machines:
        one, two = machines.machines
        await one.start()
        await machines.online()
        two.config.write_text(two.config.read_text() + f"web: {{enabled: true, port: {port}, password: secret-word}}\n")
        published = len(subscriber.log)
        await two.start()
        await two.stands_by()
        said = f"standby; active: {one.instance}"
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", cookie_jar=aiohttp.CookieJar(unsafe=True)) as web:
            async with web.get("/readyz") as ready:
                assert (ready.status, await ready.json()) == (200, {"ready": True, "missing": {}, "standby": said})
            async with web.get("/metrics") as metrics:
                assert "threecx2mqtt_standby 1.0" in await metrics.text()
            async with web.post("/login", data={"password": "secret-word"}, allow_redirects=False) as login:
                assert login.status == 303
            async with web.get("/api/snapshot") as snapshot:
                (shown,) = (await snapshot.json())["pbxs"]
                assert (shown["bridge"]["standby"], shown["users"]) == (said, [])
            async with web.post("/api/pbxs/hq/lights/desk", json={"pause": True}) as change:
                assert (change.status, (await change.json())["error"]) == (
                    409,
                    f"nothing can be changed here: {said}",
                )
            assert len(subscriber.log) == published
            await one.end()
            await machines.online(after=1)
            async with web.get("/readyz") as ready:
                assert (ready.status, await ready.json()) == (200, {"ready": True, "missing": {}})
            async with web.get("/api/snapshot") as snapshot:
                (shown,) = (await snapshot.json())["pbxs"]
                assert "standby" not in shown["bridge"]
                assert len(shown["users"]) == 3
