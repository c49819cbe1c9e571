"""What a subscriber of a real Mosquitto sees while the bridge polls the simulated PBX."""

from pathlib import Path

from bridge.simulator import SimulatedPbx
from tests.support.bridges import running, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber


async def test_every_topic_of_a_user_is_retained(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    pbx.set_state("101", "Connected")
    async with running(write_config(tmp_path, pbx, url, broker.port)), Subscriber(broker.port) as early:
        await early.until_latest("3cx/bridge/state", "online")
        async with Subscriber(broker.port) as late:
            await late.until(lambda: "3cx/users/102/monitor" in late.latest)
            assert all(retained for _, _, retained in late.log)
            assert late.latest["3cx/users/101/state"] == "on_call"
            assert late.latest["3cx/users/101/busy"] == "ON"
            document = late.json("3cx/users/101")
            since = document.pop("since")
            assert len(since) == len("2026-11-22T10:00:00Z")
            assert document == {
                "number": "101",
                "name": "Bruno O'Brien",
                "department": None,
                "state": "on_call",
                "busy": True,
                "reason": "on_call",
                "profile": None,
                "registered": None,
                "queue": None,
                "call": None,
                "calls": None,
                "monitor": {"DN": "101", "Expiration": 0, "State": "Connected", "Name": "Bruno O'Brien"},
            }
            assert late.json("3cx/users/101/monitor") == document["monitor"]


async def test_the_bridge_publishes_its_own_state_and_configuration(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.set_state("100", "Ringing")
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: '"pbx_version":"20.0.8.1109"' in subscriber.latest["3cx/bridge/info"])
        assert subscriber.latest["3cx/bridge/pbx"] == "online"
        assert subscriber.latest["3cx/bridge/users_busy"] == "1"
        assert subscriber.latest["3cx/bridge/count"] == "3"
        assert subscriber.json("3cx/bridge/users")[0] == {
            "number": "100",
            "name": "Ada Example",
            "department": None,
            "topic": "3cx/users/100",
        }
        info = subscriber.json("3cx/bridge/info")
        assert info["pbx"] == {"name": "hq", "host": "127.0.0.1"}
        assert info["sources"]["monitor_status"] == {"in_use": True}
        assert info["sources"]["users"] == {"in_use": False, "reason": "switched off by sources.users.enabled"}
        assert info["config"]["pbx"]["client_secret"] == "***"
        assert pbx.client_secret not in str(subscriber.log)


async def test_a_change_shows_state_first_then_busy_then_the_document(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        seen = len(subscriber.log)
        pbx.set_state("102", "Ringing")
        await subscriber.until_latest("3cx/bridge/users_busy", "1")
        topics = [topic for topic, _, _ in subscriber.log[seen:] if topic.startswith("3cx/users/")]
        assert topics == ["3cx/users/102/state", "3cx/users/102/busy", "3cx/users/102", "3cx/users/102/monitor"]


async def test_nothing_is_published_while_nothing_changes(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: '"pbx_version":"20.0.8.1109"' in subscriber.latest["3cx/bridge/info"])
        seen, polls = len(subscriber.log), len(pbx.requests)
        await subscriber.publish("somebody/else", "1")
        while len(pbx.requests) < polls + 3:
            await subscriber.publish("somebody/else", str(len(pbx.requests)))
        assert {topic for topic, _, _ in subscriber.log[seen:]} == {"somebody/else"}


async def test_official_rows_carry_no_presence(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.rows = "official"
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert subscriber.latest["3cx/users/100/state"] == "unknown"
        assert subscriber.latest["3cx/users/100/busy"] == "None"
        assert subscriber.json("3cx/users/100")["reason"] == "monitor status reports no presence"
        assert subscriber.json("3cx/users/100/monitor") == {"DN": "100", "Expiration": 0}


async def test_the_configured_options_reach_the_pbx(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    source = (
        """interval: 500ms, top: 50, search: "ada example", filter: "DN eq '100' or Name eq 'O''Brien & Söhne + #1'\""""
    )
    async with running(write_config(tmp_path, pbx, url, broker.port, source=source)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert subscriber.latest["3cx/bridge/count"] == "1"
        assert set(subscriber.latest) & {f"3cx/users/{dn}" for dn in pbx.users} == {"3cx/users/100"}
    query = pbx.requests_to("GetMonitorStatus()")[0].query
    assert query == {
        "$top": "50",
        "$skip": "0",
        "$search": '"ada example"',
        "$filter": "DN eq '100' or Name eq 'O''Brien & Söhne + #1'",
        "$count": "true",
    }


async def test_users_that_are_not_admitted_are_not_published(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.add_user("HD7", "Hot desk")
    pbx.add_user("a/b", "Slash")
    pbx.add_user("200", "Somebody else")
    config = write_config(tmp_path, pbx, url, broker.port, users='include: ["1*", "HD*", "a*"], exclude: ["102"]')
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        published = {entry["number"] for entry in subscriber.json("3cx/bridge/users")}
        assert published == {"100", "101"}


async def test_home_assistant_s_birth_brings_discovery_again(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    topic = "homeassistant/device/3cx2mqtt_hq/user_100/config"
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        states = len(subscriber.payloads("3cx/users/100/state"))
        await subscriber.publish("homeassistant/status", "online")
        await subscriber.until(lambda: len(subscriber.payloads(topic)) == 2)
        first, second = subscriber.payloads(topic)
        assert first == second
        assert len(subscriber.payloads("3cx/users/100/state")) == states


async def test_discovery_is_not_published_when_switched_off(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert any(topic.startswith("homeassistant/") for topic in subscriber.latest)
    await subscriber.until_latest("3cx/bridge/state", "offline")
    async with running(write_config(tmp_path, pbx, url, broker.port, homeassistant="enabled: false")):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: not any(topic.startswith("homeassistant/") for topic in subscriber.latest))
