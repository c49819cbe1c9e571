"""`cleanup`: clears everything that a bridge owns and nothing else, and never while that bridge is running."""

import json
from pathlib import Path

import pytest

from bridge.commands.cleanup import clear, owned
from bridge.errors import BridgeError
from bridge.mqtt.timing import MqttTiming
from bridge.simulator import SimulatedPbx
from bridge.topics import Topics
from tests.integration.test_oneshot import command
from tests.support.beside import beside
from tests.support.bridges import read_config, running, write_config
from tests.support.broker_habits import Habit, habitual
from tests.support.mosquitto import Mosquitto, with_rules
from tests.support.subscriber import Subscriber

OTHERS = {
    "3cx/elsewhere": "stays",
    "branch/bridge/info": '{"pbx":{"name":"branch"}}',
    "homeassistant/device/3cx2mqtt_hq/mine/config": '{"origin":{"name":"me"},"device":{"identifiers":["mine"]}}',
}


async def cleaned(path: Path) -> int:
    """How many topics were cleared."""
    config = read_config(path)
    found, unseen = await owned(config, config.topics)
    assert unseen is None
    await clear(config, config.topics, found, pause=0.05)
    return len(found)


async def everything(broker: Mosquitto) -> dict[str, str]:
    """All that the broker retains."""
    async with Subscriber(broker.port) as later:
        await later.publish("test/end", "")
        await later.until(lambda: bool(later.payloads("test/end")))
        return dict(later.latest)


@pytest.mark.parametrize("qos", [0, 1])
async def test_all_of_its_topics_are_cleared_discovery_first_and_no_others(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, qos: int
) -> None:
    for topic, payload in OTHERS.items():
        await subscriber.publish(topic, payload, retain=True)
    path = write_config(tmp_path, pbx, url, broker.port, mqtt=f"qos: {qos}", more="groups: {all: ['1*']}")
    async with running(path):
        await subscriber.until_latest("3cx/bridge/state", "online")
        with pytest.raises(BridgeError, match="the bridge of 'hq' is running under 3cx/#: stop it first"):
            await cleaned(path)
    await subscriber.until_latest("3cx/bridge/state", "offline")
    for topic in ("3cx/users/100/set", "3cx/lights/set", "3cx/bridge/request/users"):
        await subscriber.publish(topic, "{}", retain=True)
    seen = len(subscriber.log)
    own = ("test/end", "3cx/bridge/check")
    count = await cleaned(path)
    assert await everything(broker) == OTHERS
    cleared = [topic for topic, payload, _ in subscriber.log[seen:] if not payload and topic not in own]
    assert len(cleared) == count == len(set(cleared))
    kinds = [topic.startswith("homeassistant/") for topic in cleared]
    assert kinds == sorted(kinds, reverse=True)
    assert await cleaned(path) == 0


async def test_a_bridge_that_answers_with_an_error_is_running_and_is_not_cleared_away(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    await subscriber.leave_a_dead_bridge()
    path = write_config(tmp_path, pbx, url, broker.port)

    async def answer() -> None:
        await subscriber.until(lambda: "3cx/bridge/request/check" in subscriber.latest)
        transaction = subscriber.json("3cx/bridge/request/check")["transaction"]
        answer = {"status": "error", "error": "not now", "data": None, "transaction": transaction}
        await subscriber.publish("3cx/bridge/response/check", json.dumps(answer))

    async with beside(answer()):
        with pytest.raises(BridgeError, match="is running under 3cx/#: stop it first"):
            await cleaned(path)
    assert "3cx/bridge/info" in subscriber.latest


async def test_a_missing_right_is_reported_as_such_and_not_as_success(
    tmp_path: Path, pbx: SimulatedPbx, url: str
) -> None:
    folder = tmp_path / "strict"
    async with Mosquitto(folder, options=with_rules(folder, "user bridge\ntopic readwrite #\n")) as broker:
        path = write_config(tmp_path, pbx, url, broker.port, mqtt="username: bridge")
        async with running(path), Subscriber(broker.port, login=("bridge", "")) as subscriber:
            await subscriber.until_latest("3cx/bridge/state", "online")
        with_rules(folder, "user bridge\ntopic read #\ntopic write 3cx/bridge/check\n")
        broker.reload()
        code, _, errors = await command("cleanup", "-c", path, "--yes")
        assert code == 77
        assert "does not let 'bridge' publish to" in errors


async def test_topics_of_an_earlier_name_and_base_topic_can_be_cleared(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    old = write_config(tmp_path, pbx, url, broker.port, mqtt="base_topic: phones/old/deep")
    async with running(old):
        await subscriber.until_latest("phones/old/deep/bridge/state", "online")
    await subscriber.until_latest("phones/old/deep/bridge/state", "offline")
    path = write_config(tmp_path, pbx, url, broker.port, homeassistant="enabled: false")
    path.write_text(path.read_text().replace("name: hq", "name: new"))
    code, output, errors = await command("cleanup", "-c", path)
    assert (code, output, errors) == (0, "nothing of 'new' was cleared\n", "")
    named = ("cleanup", "-c", path, "--pbx-name", "hq", "--base-topic", "phones/old/deep")
    code, output, errors = await command(*named)
    assert code == 1
    assert "phones/old/deep/users/100/state\n" in output
    assert "nothing was cleared: --yes clears these" in errors
    assert "phones/old/deep/users/100/state" in subscriber.latest
    code, output, _ = await command(*named, "--yes")
    assert code == 0
    assert output.endswith(" topics cleared\n")
    assert await everything(broker) == {}


async def test_a_bridge_that_left_online_retained_and_answers_nothing_does_not_prevent_it(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
) -> None:
    await subscriber.leave_a_dead_bridge()
    path = write_config(tmp_path, pbx, url, broker.port)
    found, _ = await owned(read_config(path), Topics("3cx", "hq", "homeassistant"), MqttTiming(answer=0.2))
    assert [message.topic for message in found] == ["3cx/bridge/info", "3cx/bridge/state"]
    assert "3cx/bridge/info" in subscriber.latest


@pytest.mark.parametrize("habit", [Habit.WILDCARDS_NEVER, Habit.NEVER])
async def test_where_not_everything_can_be_seen_it_says_so_and_fails(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, habit: Habit
) -> None:
    async with habitual(habit, broker.port) as port:
        path = write_config(tmp_path, pbx, url, port)
        async with running(path):
            await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until_latest("3cx/bridge/state", "offline")
        code, output, errors = await command("cleanup", "-c", path, "--yes")
        assert code == 1
        assert "there may be more than was found: the broker sends no retained messages" in errors
        cleared = "3cx/users/100/state" not in await everything(broker)
        assert cleared is (habit is Habit.WILDCARDS_NEVER)
        assert (" topics cleared" in output) is cleared
        assert "nothing of" not in output


async def test_topics_that_come_back_are_not_reported_as_cleared(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    path = write_config(tmp_path, pbx, url, broker.port)
    async with running(path):
        await subscriber.until_latest("3cx/bridge/state", "online")
    await subscriber.until_latest("3cx/bridge/state", "offline")

    async def replay() -> None:
        info = subscriber.latest["3cx/bridge/info"]
        await subscriber.until(lambda: "3cx/users/100" not in subscriber.latest)
        await subscriber.publish("3cx/bridge/info", info, retain=True)
        await subscriber.publish("3cx/users/100", "again", retain=True)

    async with beside(replay()):
        code, _, errors = await command("cleanup", "-c", path, "--yes")
    assert code == 1
    assert "2 topics are still there: does another client publish them again?" in errors
