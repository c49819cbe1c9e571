"""The board of a bridge at work: what it shows is what is on MQTT, and what it changes is changed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, running, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.subscriber import Subscriber

LIGHT = '{name: desk, driver: tasmota, topic: desk, users: ["100"]}'
ON = {"users_source": "interval: 500ms", "active_calls": "interval: 500ms"}


class Client:
    """A browser that has logged in, but for the page."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}"

    async def log_in(self, password: str) -> int:
        async with self._session.post(
            f"{self._url}/login", data={"password": password}, allow_redirects=False
        ) as answer:
            return answer.status

    async def pbx(self) -> dict[str, Any]:
        async with self._session.get(f"{self._url}/api/snapshot") as answer:
            assert answer.status == 200
            (pbx,) = (await answer.json())["pbxs"]
            return dict(pbx)

    async def status(self) -> int:
        """Of the snapshot; 0 where no server listens."""
        try:
            async with self._session.get(f"{self._url}/api/snapshot") as answer:
                return answer.status
        except aiohttp.ClientConnectionError:
            return 0

    async def post(self, path: str, value: object) -> tuple[int, dict[str, Any]]:
        async with self._session.post(f"{self._url}/api/pbxs/hq/{path}", json=value) as answer:
            return answer.status, await answer.json()


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as opened:
        yield opened


def options(port: int, password: str = "secret") -> str:
    return (
        f"web: {{enabled: true, port: {port}, password: {password}}}\n"
        f"lights: [{LIGHT}]\ncommands: {{profile: true, queue: true}}\ngroups: {{desk: ['10*']}}"
    )


async def test_it_shows_what_is_on_mqtt(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
    session: aiohttp.ClientSession,
) -> None:
    client = Client(session, port := free_port())
    async with running(write_config(tmp_path, pbx, url, broker.port, more=options(port), **ON)):
        await subscriber.until_latest("3cx/users/100/state", "available")
        assert await client.log_in("secret") == 303
        call = pbx.exchange.ring("0301234567", "100")
        pbx.exchange.answer(call)
        await subscriber.until(lambda: subscriber.json("3cx/users/100")["state"] == "on_call")
        await subscriber.until(lambda: subscriber.json("3cx/lights/desk/state")["shows"] == "on_call")
        shown = await client.pbx()
        for user in shown["users"]:
            document = subscriber.json(f"3cx/users/{user['number']}")
            assert user == {
                **{name: value for name, value in document.items() if name != "monitor"},
                "today": subscriber.json(f"3cx/users/{user['number']}/today"),
            }
        assert shown["groups"][0]["members"] == ["100", "101", "102"]
        assert shown["lights"][0] == {
            "name": "desk",
            **subscriber.json("3cx/lights/desk/state"),
            "follows": {"users": ["100"]},
        }
        assert {each["name"]: each["in_use"] for each in shown["sources"]} == {
            name: source["in_use"] for name, source in subscriber.json("3cx/bridge/info")["sources"].items()
        }
        assert shown["bridge"]["instance"] == subscriber.json("3cx/bridge/info")["instance"]
        assert {each["about"] for each in shown["bridge"]["findings"]} >= {"token", "users"}
        assert "1234567" not in json.dumps(shown)


async def test_it_changes_what_mqtt_can_change_and_shows_the_answer(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
    session: aiohttp.ClientSession,
) -> None:
    client = Client(session, port := free_port())
    async with running(write_config(tmp_path, pbx, url, broker.port, more=options(port), **ON)):
        await subscriber.until_latest("3cx/users/100/state", "available")
        await client.log_in("secret")
        assert await client.post("users/100", {"profile": "Away", "queue": "logged_in"}) == (200, {"status": "ok"})
        assert (pbx.users["100"].profile, pbx.users["100"].queue) == ("Away", "LoggedIn")
        await subscriber.until_latest("3cx/users/100/state", "away")
        pbx.ignores_profiles = True
        status, answer = await client.post("users/100", {"profile": "Available"})
        assert (status, "did not change it" in answer["error"]) == (502, True)
        status, answer = await client.post("users/999", {"profile": "Away"})
        assert (status, answer["error"]) == (400, "there is no user '999'")
        assert await client.post("lights/desk", {"pause": True}) == (200, {"status": "ok"})
        await subscriber.until(lambda: subscriber.json("3cx/lights/desk/state")["paused"] is True)
        status, answer = await client.post("lights/desk", {"override": {"color": "rainbow"}})
        assert (status, "rainbow" in answer["error"]) == (400, True)


async def test_another_password_ends_logins_with_a_reload(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, session: aiohttp.ClientSession
) -> None:
    client = Client(session, port := free_port())

    async def until(status: int) -> None:
        async with asyncio.timeout(limit(10)):
            while await client.status() != status:
                await asyncio.sleep(0.05)

    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, more=options(port))) as bridge:
        await until(401)
        await client.log_in("secret")
        await until(200)
        bridge.hang_up()  # nothing has changed
        await bridge.says("configuration read again")
        await until(200)
        write_config(tmp_path, pbx, url, broker.port, more=options(port, "another"))
        bridge.hang_up()
        await until(401)
        assert "secret" not in bridge.log().replace("contains a secret", "")


async def test_what_is_logged_is_shown(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, session: aiohttp.ClientSession
) -> None:
    client = Client(session, port := free_port())
    pbx.may_read_users = False
    async with running(write_config(tmp_path, pbx, url, broker.port, more=options(port), **ON)):
        async with asyncio.timeout(limit(10)):
            while await client.status() != 401:
                await asyncio.sleep(0.05)
            await client.log_in("secret")
            while not (await client.pbx())["log"]:
                await asyncio.sleep(0.05)
        log = (await client.pbx())["log"]
        assert any("users" in line["message"] for line in log)
        assert {line["level"] for line in log} <= {"warning", "error"}
