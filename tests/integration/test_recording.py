"""A PBX is recorded through the running bridge or by the command, and replayed to the same topics."""

import asyncio
import gzip
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.commands.record import record
from bridge.domain.finding import Verdict
from bridge.errors import SourceAuthError
from bridge.simulator import SimulatedPbx
from bridge.simulator.recorded import read
from bridge.simulator.replay import ReplayedPbx
from bridge.sources.threecx.client.login_backoff import state_directory
from tests.support.bridges import BridgeProcess, read_config, running, started, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

EVERYTHING = {
    "source": "interval: 500ms",
    "users_source": "interval: 500ms",
    "active_calls": "interval: 500ms",
    "call_control": "",
}
ANSWER = "3cx/bridge/response/record"
FIXTURE = Path(__file__).parents[1] / "fixtures" / "recording.jsonl.gz"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def recordings() -> list[Path]:
    directory = state_directory()
    assert directory is not None
    return sorted(directory.glob("recording-*"))


def numbers_in(path: Path) -> list[str]:
    """The users' numbers in a recording, in the order in which the recorded PBX sorted the real ones."""
    users = next(line for line in lines(path) if line.get("path") == "/xapi/v1/Users" and line["status"] == 200)
    return [row["Number"] for row in users["body"]["value"]]


def history(subscriber: Subscriber, base: str, dn: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The states of a user, and its call events without parties, which have pseudonyms."""
    events = [json.loads(payload) for payload in subscriber.payloads(f"{base}/users/{dn}/call")]
    keys = ("event_type", "id", "answered", "direction")
    return subscriber.payloads(f"{base}/users/{dn}/state"), [tuple(each[key] for key in keys) for each in events]


@asynccontextmanager
async def recording_bridge(
    folder: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, **sections: str
) -> AsyncIterator[Path]:
    """A running bridge that may record; gives its configuration."""
    config = write_config(
        folder, pbx, url, broker.port, **EVERYTHING, **{"more": "commands: {record: true}", **sections}
    )
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until_latest("3cx/users/102/state", "available")
        yield config
    await subscriber.until_latest("3cx/bridge/state", "offline")  # so that the next `online` is not this bridge's


async def ask(subscriber: Subscriber, request: str) -> dict[str, Any]:
    """The bridge's answer."""
    before = len(subscriber.payloads(ANSWER))
    await subscriber.publish("3cx/bridge/request/record", request)
    await subscriber.until(lambda: len(subscriber.payloads(ANSWER)) > before)
    answer: dict[str, Any] = json.loads(subscriber.payloads(ANSWER)[-1])
    return answer


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes with no message, such as a file."""
    async with asyncio.timeout(limit(10)):
        while not condition():
            await asyncio.sleep(0.02)


async def live(pbx: SimulatedPbx, subscriber: Subscriber) -> None:
    """Some calls, one after another, each step seen by the bridge."""

    async def seen(dn: str, state: str) -> None:
        await subscriber.until_latest(f"3cx/users/{dn}/state", state)
        # No faster than people are: of two states within a few milliseconds the bridge publishes the last one only.
        await asyncio.sleep(0.1)

    inbound = pbx.exchange.ring("0301234567", "101")
    await seen("101", "ringing")
    pbx.exchange.answer(inbound)
    await seen("101", "on_call")
    pbx.exchange.hold(inbound, "101")
    await seen("101", "on_hold")
    internal = pbx.exchange.ring("100", "102")
    await seen("102", "ringing")
    pbx.exchange.end(inbound)
    await seen("101", "available")
    pbx.exchange.answer(internal)
    await seen("100", "on_call")
    pbx.exchange.end(internal)
    await seen("102", "available")
    pbx.change("102", profile="Out of office")
    await seen("102", "do_not_disturb")


async def test_a_recording_is_replayed_to_the_same_topics(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with recording_bridge(tmp_path, pbx, url, broker, subscriber):
        answer = await ask(subscriber, '{"for": 600}')
        assert answer["status"] == "ok", answer
        await until(lambda: bool(pbx.requests_to("/SystemStatus")))
        await live(pbx, subscriber)
    (path,) = recordings()
    assert str(path) == answer["data"]["path"]
    assert lines(path)[-1]["end"] == "interrupted"

    replayed = ReplayedPbx(read(path), waits=True)
    async with replayed.serve() as address:
        (tmp_path / "replay").mkdir()
        config = write_config(
            tmp_path / "replay", pbx, address, broker.port, **EVERYTHING, mqtt="client_id: two, base_topic: replay"
        )
        config.write_text(config.read_text().replace("name: hq", "name: replay"))
        async with running(config), Subscriber(broker.port) as other:
            pairs = dict(zip(pbx.users, numbers_in(path), strict=True))
            await other.until_latest(f"replay/users/{pairs['102']}/state", "available")
            await other.until(lambda: other.json("replay/bridge/info")["sources"]["call_control"]["in_use"])
            replayed.begin()
            try:
                await other.until(lambda: other.latest.get(f"replay/users/{pairs['102']}/state") == "do_not_disturb")
                await other.until(lambda: len(other.payloads(f"replay/users/{pairs['100']}/call")) == 3)
            finally:
                seen = {dn: history(other, "replay", pairs[dn]) for dn in pbx.users}
            roster = other.json("replay/bridge/users")
    assert seen == {dn: history(subscriber, "3cx", dn) for dn in pbx.users}
    assert seen["101"][0] == ["available", "ringing", "on_call", "on_hold", "available"]
    assert {user["number"] for user in roster} == set(pairs.values())
    assert not {user["name"] for user in roster} & {user.name for user in pbx.users.values()}


async def test_nothing_personal_is_in_it_and_nothing_of_it_goes_over_mqtt(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with recording_bridge(tmp_path, pbx, url, broker, subscriber):
        before = {topic for topic, _, _ in subscriber.log}
        await ask(subscriber, '{"for": 600}')
        await live(pbx, subscriber)
        after = {topic for topic, _, _ in subscriber.log}
    assert {topic for topic in after - before if "/users/" not in topic} <= {"3cx/bridge/request/record", ANSWER}
    (path,) = recordings()
    text = gzip.decompress(path.read_bytes()).decode()
    outside = json.dumps(subscriber.payloads(ANSWER))
    assert "Caller" not in outside
    for user in pbx.users.values():
        for part in user.name.split():
            assert part not in text
    for private in (
        "0301234567",
        "127.0.0.1",
        url.rpartition(":")[2],
        pbx.client_id,
        pbx.client_secret,
        "access_token",
    ):
        assert private not in text


@pytest.mark.parametrize("request_", ['{"for": 0}', '{"for": 601}', '{"for": "2m"}', '{"for": true}', '{"for": null}'])
async def test_a_recording_lasts_at_most_ten_minutes(
    request_: str, tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with recording_bridge(tmp_path, pbx, url, broker, subscriber):
        answer = await ask(subscriber, request_)
    assert (answer["status"], answer["data"]) == ("error", None)
    assert "lasts from 1 to 600 seconds" in answer["error"]
    assert recordings() == []


async def test_it_is_refused_unless_it_is_switched_on(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with recording_bridge(tmp_path, pbx, url, broker, subscriber, more="") as config:
        answer = await ask(subscriber, "")
        assert answer["error"] == "recording is switched off: set commands.record to true"
        (finding,) = await record(read_config(config), 1.0, tmp_path / "out.jsonl.gz")
        assert (finding.verdict, finding.exit_code) == (Verdict.FAIL, 69)
        assert "set commands.record to true" in finding.message
        assert "--force" in finding.message
    assert recordings() == []


async def test_one_at_a_time_and_one_in_ten_minutes_also_after_a_restart(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with recording_bridge(tmp_path, pbx, url, broker, subscriber):
        assert (await ask(subscriber, '{"for": 1, "transaction": "a"}'))["transaction"] == "a"
        assert (await ask(subscriber, '{"for": 1}'))["error"] == "a recording is being made already"
        await until(lambda: recordings() != [])
        assert "one recording in 10 minutes" in (await ask(subscriber, '{"for": 1}'))["error"]
    async with recording_bridge(tmp_path, pbx, url, broker, subscriber):
        assert "one recording in 10 minutes" in (await ask(subscriber, '{"for": 1}'))["error"]
    assert len(recordings()) == 1


async def test_the_three_latest_recordings_are_kept(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    directory = state_directory()
    assert directory is not None
    for day in (1, 2, 3, 4):
        (directory / f"recording-hq-2026010{day}T000000Z.jsonl.gz").touch()
    others = [directory / "recording-hq-branch-20250101T000000Z.jsonl.gz", directory / "recording-hq-x.jsonl.gz"]
    for other in others:
        other.touch()
    async with recording_bridge(tmp_path, pbx, url, broker, subscriber):
        made = Path((await ask(subscriber, '{"for": 1}'))["data"]["path"])
        await until(lambda: made in recordings())
    third, fourth = (directory / f"recording-hq-2026010{day}T000000Z.jsonl.gz" for day in (3, 4))
    assert set(recordings()) == {third, fourth, made, *others}


async def test_beside_a_running_bridge_the_command_copies_what_that_records(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    out = tmp_path / "out.jsonl.gz"
    async with recording_bridge(tmp_path, pbx, url, broker, subscriber) as config:
        granted = pbx.tokens.granted
        async with started("record", "-c", config, "--for", "1s", out) as process, asyncio.timeout(limit(20)):
            output, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
        assert pbx.tokens.granted == granted
    (path,) = recordings()
    assert f"the running bridge records into {path}, until " in output.decode()
    assert out.read_bytes() == path.read_bytes()
    assert out.stat().st_mode & 0o777 == 0o600


async def test_where_the_bridge_s_files_cannot_be_read_their_place_is_said(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "elsewhere"))
    async with recording_bridge(tmp_path, pbx, url, broker, subscriber) as config:
        (tmp_path / "elsewhere").rename(tmp_path / "on-another-machine")
        assert await record(read_config(config), 1.0, tmp_path / "out.jsonl.gz") == []
    assert "it cannot be copied from here (No such file or directory)" in capsys.readouterr().out
    assert not (tmp_path / "out.jsonl.gz").exists()


async def test_without_a_running_bridge_the_command_logs_in_itself(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    out = tmp_path / "out.jsonl.gz"
    config = write_config(tmp_path, pbx, url, broker.port, **EVERYTHING)
    async with started("record", "-c", config, "--for", "2s", out) as process, asyncio.timeout(limit(30)):
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b""), errors
    assert f"{out}: look through it before you give it away" in output.decode()
    content = lines(out)
    paths = {line["path"] for line in content if "path" in line}
    assert {"/callcontrol", "/xapi/v1/ActiveCalls", "/xapi/v1/Users", "/xapi/v1/Trunks"} <= paths
    assert {"t", "websocket"} in [set(line) for line in content]
    assert pbx.tokens.granted == 1
    async with started("record", "-c", config, "--for", "2s", out) as process:
        _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (1, f"3cx2mqtt: {out} exists already\n")


async def test_ctrl_c_leaves_what_was_recorded_so_far(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    out = tmp_path / "out.jsonl.gz"
    config = write_config(tmp_path, pbx, url, broker.port, **EVERYTHING)
    async with started("record", "-c", config, "--for", "10m", out) as process, asyncio.timeout(limit(30)):
        while not pbx.requests_to("/SystemStatus"):
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130
    assert lines(out)[-1]["end"] == "interrupted"
    assert read(out).answers


async def test_a_refused_login_leaves_no_file(tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto) -> None:
    config = read_config(write_config(tmp_path, pbx, url, broker.port, client_secret="wrong"))
    with pytest.raises(SourceAuthError) as caught:
        await record(config, 1.0, tmp_path / "out.jsonl.gz", force=True)
    assert caught.value.exit_code == 77
    assert pbx.tokens.refused == 1
    assert not (tmp_path / "out.jsonl.gz").exists()


async def test_a_recording_is_a_fixture_as_it_is(
    tmp_path: Path, pbx: SimulatedPbx, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with started("simulate", "--replay", FIXTURE, "--speed", "4") as process:
        assert process.stdout is not None
        async with asyncio.timeout(limit(20)):
            while b"is at" not in (line := await process.stdout.readline()):
                assert line
        url = line.decode().split()[2]
        async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, **EVERYTHING)):
            users = numbers_in(FIXTURE)
            await subscriber.until(lambda: len(history(subscriber, "3cx", users[1])[1]) == 5, limit(20))
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 0
    states, events = history(subscriber, "3cx", users[1])
    assert states == ["available", "ringing", "on_call", "on_hold", "on_call", "available"]
    assert [event[0] for event in events] == ["ringing", "answered", "held", "resumed", "ended"]
    assert {event[3] for event in events} == {"inbound"}
