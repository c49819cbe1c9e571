"""Many PBXs in one process: what goes wrong at one of them is named, and harms no other."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bridge.simulator import SimulatedPbx
from tests.integration.test_oneshot import command
from tests.support import floods
from tests.support.fleet import Folder, log_of
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.subscriber import Subscriber

pytestmark = pytest.mark.timeout(limit(120))


@pytest_asyncio.fixture
async def folder(tmp_path: Path, broker: Mosquitto) -> AsyncIterator[Folder]:
    async with Folder(tmp_path / "pbxs", broker.port) as found:
        yield found


def states(subscriber: Subscriber, *names: str) -> list[str | None]:
    return [subscriber.latest.get(f"pbx/{name}/bridge/state") for name in names]


async def online(subscriber: Subscriber, *names: str) -> None:
    await subscriber.until(lambda: states(subscriber, *names) == ["online"] * len(names), limit(30))


async def follows(subscriber: Subscriber, pbx: SimulatedPbx, name: str) -> None:
    """A call of 101 is published, and its end."""
    call = pbx.exchange.ring("0301234567", "101")
    await subscriber.until_latest(f"pbx/{name}/users/101/state", "ringing")
    pbx.exchange.end(call)
    await subscriber.until_latest(f"pbx/{name}/users/101/state", "available")


async def test_of_twenty_the_good_ones_work_whatever_the_others_do(folder: Folder, subscriber: Subscriber) -> None:
    names = [f"site-{number:02}" for number in range(20)]
    await folder.add(*names)
    broken, wrong, noisy, *good = names
    folder.put(f"{broken}.yaml", "pbx: {name: [}\n")
    folder.write(wrong, secret="not-the-key")
    async with folder.running() as fleet, floods.events(folder.pbxs[noisy], "{}", None, rate=1000):
        await online(subscriber, wrong, noisy, *good)
        for name in good:
            await follows(subscriber, folder.pbxs[name], name)
            assert len(folder.pbxs[name].requests_to("/connect/token")) == 1
        await subscriber.until_latest(f"pbx/{wrong}/bridge/pbx", "offline")
        assert len(folder.pbxs[wrong].requests_to("/connect/token")) == 1
        assert f"{broken}.yaml is not used: {folder.path / broken}.yaml:1" in fleet.log()
        assert any("the PBX refused client_id" in line for line in log_of(fleet, wrong))
        assert not any(" WARNING " in line or " ERROR " in line for name in good for line in log_of(fleet, name))
        assert await fleet.signal(signal.SIGTERM) == 0
        await subscriber.until(lambda: states(subscriber, *good) == ["offline"] * len(good))


async def test_a_hang_up_adds_changes_and_removes(folder: Folder, subscriber: Subscriber) -> None:
    await folder.add("kept", "changed", "removed")
    async with folder.running() as fleet:
        await online(subscriber, "kept", "changed", "removed")
        sockets = len(folder.pbxs["kept"].requests_to("/callcontrol/ws"))
        await folder.add("added")
        folder.write("changed", 'users: {exclude: ["100"]}\n')
        (folder.path / "removed.yaml").unlink()
        fleet.hang_up()
        await online(subscriber, "added")
        await subscriber.until(lambda: "pbx/changed/users/100/state" not in subscriber.latest)
        await subscriber.until_latest("pbx/removed/bridge/state", "offline")
        assert states(subscriber, "kept", "changed") == ["online", "online"]
        assert len(folder.pbxs["kept"].requests_to("/callcontrol/ws")) == sockets
        await follows(subscriber, folder.pbxs["added"], "added")


async def test_a_file_that_becomes_wrong_leaves_its_bridge_as_it_is(folder: Folder, subscriber: Subscriber) -> None:
    await folder.add("one", "two")
    async with folder.running() as fleet:
        await online(subscriber, "one", "two")
        folder.put("one.yaml", "pbx: 1\n")
        fleet.hang_up()
        await fleet.says("one.yaml is not used, the running configuration stays")
        await follows(subscriber, folder.pbxs["one"], "one")
        folder.write("one")
        fleet.hang_up()
        await follows(subscriber, folder.pbxs["two"], "two")
        assert states(subscriber, "one", "two") == ["online", "online"]


async def test_of_two_with_one_name_the_one_that_runs_goes_on(folder: Folder, subscriber: Subscriber) -> None:
    await folder.add("later", "first")
    folder.write("later", **{"name: later": "name: first"})
    async with folder.running() as fleet:
        await online(subscriber, "first")
        await fleet.says("later.yaml is not used: pbx.name 'first' is that of first.yaml too: first.yaml runs")
        folder.write("later")
        fleet.hang_up()
        await online(subscriber, "later")
        folder.write("first", **{"pbx/first": "pbx/later"})
        fleet.hang_up()
        await fleet.says("first.yaml is not used, the running configuration stays: mqtt.base_topic 'pbx/later' is")
        await follows(subscriber, folder.pbxs["first"], "first")


async def test_an_internal_error_in_one_bridge_ends_no_other(folder: Folder, subscriber: Subscriber) -> None:
    await folder.add("good", "bad")
    prelude = (
        "from bridge.runtime.bridge import Bridge\n"
        "work = Bridge.work\n"
        "failed = []\n"
        "async def fails_once(bridge):\n"
        "    if bridge._config.pbx.name == 'bad' and not failed:\n"
        "        failed.append(1)\n"
        "        raise ZeroDivisionError('a fault')\n"
        "    await work(bridge)\n"
        "Bridge.work = fails_once"
    )
    from tests.support.bridges import BridgeProcess  # noqa: PLC0415

    async with BridgeProcess.start(folder.path, prelude=prelude) as fleet:
        await online(subscriber, "good", "bad")
        assert any("internal error" in line for line in log_of(fleet, "bad"))
        await follows(subscriber, folder.pbxs["good"], "good")
        await follows(subscriber, folder.pbxs["bad"], "bad")


async def test_one_web_server_shows_all(folder: Folder, subscriber: Subscriber) -> None:
    await folder.add("one", "two")
    folder.put("wrong.yaml", "pbx: 1\n")
    port = free_port()
    folder.put("fleet.yaml", f"web: {{enabled: true, port: {port}}}\nlog: {{level: debug, format: json}}\n")
    async with folder.running() as fleet, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as web:
        await online(subscriber, "one", "two")
        async with web.get("/readyz") as answer:
            ready = await answer.json()
            assert (answer.status, ready["ready"], ready["missing"]) == (200, True, {})
            assert list(ready["broken"]) == ["wrong.yaml"]
        async with web.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        assert 'threecx2mqtt_pbx_online{pbx="one"} 1.0' in lines
        assert 'threecx2mqtt_users{pbx="two",state="available"} 3.0' in lines
        assert 'threecx2mqtt_tenant_up{file="wrong.yaml"} 0.0' in lines
        assert lines.count("# TYPE threecx2mqtt_pbx_online gauge") == 1
        async with web.get("/api/snapshot") as answer:
            shown = (await answer.json())["pbxs"]
            assert [(each["name"], len(each["users"])) for each in shown] == [("one", 3), ("two", 3)]
        named = {json.loads(line).get("pbx") for line in fleet.log().splitlines()}
        assert named == {None, "one", "two"}


async def test_a_change_of_tenants_gives_readers_of_the_board_a_new_snapshot(
    folder: Folder, subscriber: Subscriber
) -> None:
    await folder.add("one")
    port = free_port()
    folder.put("fleet.yaml", f"web: {{enabled: true, port: {port}}}\n")
    async with folder.running() as fleet, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as web:
        await online(subscriber, "one")
        async with web.get("/api/events") as stream:
            await folder.add("two")
            fleet.hang_up()
            await online(subscriber, "two")
            last = b""
            with suppress(aiohttp.ClientPayloadError):  # the stream is cut, so that the reader comes back
                async for line in stream.content:
                    last = line if line.startswith(b"id:") else last
        async with web.get("/api/events", headers={"Last-Event-ID": last[3:].strip().decode()}) as stream:
            async for line in stream.content:
                if line.startswith(b"data:"):
                    break
        assert [each["name"] for each in json.loads(line[5:])["pbxs"]] == ["one", "two"]


async def test_each_shard_runs_its_files_and_no_other(folder: Folder, subscriber: Subscriber) -> None:
    await folder.add(*(f"s{number}" for number in range(6)))
    held = {1: ["s0", "s1", "s2", "s5"], 2: ["s3", "s4"]}  # by the hash of the name
    async with folder.running("--shard", "2/2"):
        await online(subscriber, *held[2])
        assert set(states(subscriber, *held[1])) == {None}
        async with folder.running(environ={"THREECX2MQTT_SHARD": "1/2"}):
            await online(subscriber, *held[1])
            assert all(len(pbx.requests_to("/connect/token")) == 1 for pbx in folder.pbxs.values())


async def test_health_is_that_of_the_process_and_names_what_is_broken(folder: Folder, subscriber: Subscriber) -> None:
    await folder.add("one")
    folder.put("wrong.yaml", "pbx: {name: wrong}\n")
    code, _, errors = await command("health", "-c", folder.path)
    assert (code, "not running" in errors) == (1, True)
    async with folder.running():
        await online(subscriber, "one")
        code, output, _ = await command("health", "-c", folder.path)
        assert (code, output.startswith("running: "), "broken: wrong.yaml: " in output) == (0, True, True)
        code, _, errors = await command("health", "-c", folder.path, "--pbx", "wrong")
        assert (code, "wrong.yaml" in errors) == (1, True)
        assert (await command("health", "-c", folder.path, "--pbx", "one"))[0] == 0


async def test_commands_go_over_all_or_take_one(folder: Folder, subscriber: Subscriber, tmp_path: Path) -> None:
    await folder.add("one", "two")
    async with folder.running():
        await online(subscriber, "one", "two")
        code, output, _ = await command("check", "-c", folder.path)
        assert (code, output.count("== one.yaml =="), output.count("== two.yaml ==")) == (0, 1, 1)
        code, output, _ = await command("users", "-c", folder.path, "--pbx", "two")
        assert (code, "==" in output, "Ada Example" in output) == (0, False, True)
        code, output, _ = await command("users", "-c", folder.path, "--json")
        assert {name: len(users) for name, users in json.loads(output).items()} == {"one": 3, "two": 3}
        code, _, errors = await command("dashboard", "-c", folder.path)
        assert (code, "name one with --pbx NAME" in errors) == (78, True)
        code, _, errors = await command("users", "-c", folder.path, "--pbx", "three")
        assert (code, "has no PBX 'three': there are one, two" in errors) == (78, True)
    code, output, _ = await command("cleanup", "-c", folder.path, "--yes")
    assert (code, output.count("topics cleared")) == (0, 2)
    left = ("/users/", "/bridge/info", "/bridge/state")
    await subscriber.until(lambda: not [topic for topic in subscriber.latest if any(each in topic for each in left)])


async def test_without_a_file_that_can_be_used_it_ends_with_78(folder: Folder) -> None:
    folder.put("wrong.yaml", "pbx: 1\n")
    async with folder.running() as fleet:
        assert await fleet.signal(signal.SIGCONT) == 78
        assert f"{folder.path}/wrong.yaml:1 pbx: expected a section" in fleet.log()


async def test_a_file_that_is_renamed_is_taken_over_without_a_second_login_at_once(
    folder: Folder, subscriber: Subscriber
) -> None:
    await folder.add("site")
    pbx = folder.pbxs["site"]
    async with folder.running() as fleet:
        await online(subscriber, "site")
        (folder.path / "site.yaml").rename(folder.path / "other.yaml")
        logged = len(subscriber.log)
        fleet.hang_up()
        await fleet.says("site.yaml: stopping the bridge of site, as its file is gone")
        await subscriber.until(lambda: ("pbx/site/bridge/state", "online", False) in subscriber.log[logged:])
        said = [payload for topic, payload, _ in subscriber.log[logged:] if topic == "pbx/site/bridge/state"]
        assert said == ["offline", "online"]
        await follows(subscriber, pbx, "site")
        assert len(pbx.requests_to("/connect/token")) == 2
        assert "another program" not in fleet.log()


async def test_a_secret_of_a_file_that_has_become_wrong_stays_out_of_the_log(
    folder: Folder, subscriber: Subscriber
) -> None:
    await folder.add("one", "two")
    folder.put("fleet.yaml", "log: {level: debug}\n")
    async with folder.running() as fleet:
        await online(subscriber, "one", "two")
        folder.put("one.yaml", "pbx: 1\n")
        fleet.hang_up()
        await fleet.says("one.yaml is not used")
        await subscriber.publish("pbx/one/users/simulated-key/set", "{}")
        await follows(subscriber, folder.pbxs["one"], "one")
        assert "simulated-key" not in fleet.log()
