"""Brokers that start late, stop, lose all, refuse, or have other versions: retained topics end up correct."""

import asyncio
import logging
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, running, write_config
from tests.support.faults import until
from tests.support.mosquitto import Mosquitto, free_port, with_passwords, with_rules
from tests.support.subscriber import Subscriber


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("cleanly", [True, False])
async def test_the_retained_topics_are_true_again_after_the_broker_restarted(
    tmp_path: Path, pbx: SimulatedPbx, url: str, persistent: bool, cleanly: bool
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    async with Mosquitto(folder, persistent=persistent) as broker:
        async with running(write_config(tmp_path, pbx, url, broker.port)):
            async with Subscriber(broker.port) as before:
                await before.until_latest("3cx/bridge/state", "online")
            await (broker.stop() if cleanly else broker.kill())
            polls = len(pbx.requests)
            pbx.set_state("101", "Ringing")
            pbx.set_state("101", "Connected")
            pbx.set_state("102", "Away")
            await until(lambda: len(pbx.requests) >= polls + 2)
            await broker.start()
            async with Subscriber(broker.port) as after:
                await after.until_latest("3cx/bridge/state", "online")
                assert after.latest["3cx/users/100/state"] == "available"
                assert after.latest["3cx/users/101/state"] == "on_call"
                assert after.latest["3cx/users/102/state"] == "away"
                assert "ringing" not in after.payloads("3cx/users/101/state")
                assert after.json("3cx/users/101")["state"] == "on_call"
                assert "homeassistant/device/3cx2mqtt_hq/user_101/config" in after.latest


async def test_the_broker_may_come_after_the_bridge(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Mosquitto(folder)
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await until(lambda: bool(pbx.requests_to("GetMonitorStatus()")))
        async with broker, Subscriber(broker.port) as subscriber:
            await subscriber.until_latest("3cx/bridge/state", "online")
            assert subscriber.latest["3cx/users/100/state"] == "available"


async def test_only_what_differs_is_published_on_a_reconnect(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port)
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: '"pbx_version":"20.0.8.1109"' in subscriber.latest["3cx/bridge/info"])
    await subscriber.until_latest("3cx/bridge/state", "offline")
    pbx.set_state("100", "Away")
    since = subscriber.json("3cx/users/101")["since"]
    seen, before = len(subscriber.log), dict(subscriber.latest)
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: subscriber.latest["3cx/bridge/pbx"] == "online")
        await subscriber.until(lambda: '"pbx_version":"20.0.8.1109"' in subscriber.latest["3cx/bridge/info"])
        new = subscriber.log[seen:]  # at QoS 1 the broker may deliver again what came before
        changed = {topic for topic, text, _ in new if "/bridge/" not in topic and before.get(topic) != text}
        assert changed == {"3cx/users/100/state", "3cx/users/100", "3cx/users/100/monitor"}
        assert subscriber.payloads("3cx/bridge/state") == ["online", "offline", "online"]
        assert subscriber.json("3cx/users/101")["since"] == since


async def test_a_restart_does_not_flash_unknown(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port)
    for _ in range(2):
        async with running(config):
            await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until_latest("3cx/bridge/state", "offline")
    assert subscriber.payloads("3cx/users/100/state") == ["available"]


async def test_own_leftovers_are_cleared_and_topics_of_others_are_not(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    foreign = '{"device":{"identifiers":["3cx2mqtt_hq2_user_1"]},"origin":{"name":"3cx2mqtt"},"components":{}}'
    strange = '{"device":{"identifiers":["3cx2mqtt_hq_user_9"]},"origin":{"name":"somebody"},"components":{}}'
    own = '{"device":{"identifiers":["3cx2mqtt_hq_user_9"]},"origin":{"name":"3cx2mqtt"},"components":{}}'
    await subscriber.publish("homeassistant/device/3cx2mqtt_hq2/user_1/config", foreign, retain=True)
    await subscriber.publish("homeassistant/device/3cx2mqtt_hq/strange/config", strange, retain=True)
    await subscriber.publish("homeassistant/device/3cx2mqtt_hq/user_9/config", own, retain=True)
    await subscriber.publish("3cx/users/9/state", "available", retain=True)
    await subscriber.publish("3cx/bridge/info", '{"pbx":{"name":"hq"}}', retain=True)
    await subscriber.publish("other/users/9/state", "available", retain=True)
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert "homeassistant/device/3cx2mqtt_hq2/user_1/config" in subscriber.latest
        assert "homeassistant/device/3cx2mqtt_hq/strange/config" in subscriber.latest
        assert "other/users/9/state" in subscriber.latest
        gone = {"homeassistant/device/3cx2mqtt_hq/user_9/config", "3cx/users/9/state"}
        await subscriber.until(lambda: not subscriber.latest.keys() & gone)


async def test_the_base_topic_of_another_pbx_is_left_alone(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    await subscriber.publish("3cx/bridge/info", '{"pbx":{"name":"branch"}}', retain=True)
    await subscriber.publish("3cx/users/9/state", "available", retain=True)
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port)) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        await bridge.says("belong to the bridge of the PBX 'branch'")
        assert subscriber.latest["3cx/users/9/state"] == "available"


async def test_users_no_longer_admitted_go_at_the_next_start(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
    await subscriber.until_latest("3cx/bridge/state", "offline")
    async with running(write_config(tmp_path, pbx, url, broker.port, users='exclude: ["100"]')):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(
            lambda: not [topic for topic in subscriber.latest if "/100" in topic or "user_100" in topic]
        )
    await subscriber.until_latest("3cx/bridge/state", "offline")
    narrower = "interval: 500ms, filter: \"DN eq '102'\""
    async with running(write_config(tmp_path, pbx, url, broker.port, users='exclude: ["100"]', source=narrower)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: "3cx/users/101/state" not in subscriber.latest)
        assert subscriber.latest["3cx/users/102/state"] == "available"


async def retained(broker: Mosquitto) -> set[str]:
    """All topics that the broker retains now."""
    async with Subscriber(broker.port) as fresh:
        await fresh.publish("test/end", "")
        await fresh.until(lambda: bool(fresh.payloads("test/end")))
        return set(fresh.latest)


async def test_what_another_base_topic_prefix_or_no_discovery_left_is_cleared(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    changes = [
        {"mqtt": "base_topic: phones"},
        {"mqtt": "base_topic: phones/hq"},
        {"mqtt": "base_topic: phones/hq", "homeassistant": "discovery_prefix: ha"},
        {"homeassistant": "discovery_prefix: ha"},
        {"homeassistant": "discovery_prefix: ha, enabled: false"},
    ]
    await subscriber.publish("3cx/foreign", "stays", retain=True)
    for change in changes:
        base = change.get("mqtt", ": 3cx").split(": ")[1]
        async with running(write_config(tmp_path, pbx, url, broker.port, **change)):
            await subscriber.until_latest(f"{base}/bridge/state", "online")
            now = await retained(broker)
        await subscriber.until_latest(f"{base}/bridge/state", "offline")
        discovery = {topic for topic in now if "/device/" in topic}
        prefix = "ha" if "ha" in change.get("homeassistant", "") else "homeassistant"
        expected = 0 if "enabled: false" in change.get("homeassistant", "") else len(pbx.users) + 1
        assert len(discovery) == expected
        assert all(topic.startswith(f"{prefix}/") for topic in discovery)
        rest = now - discovery - {"3cx/foreign"}
        assert all(topic.startswith(f"{base}/") for topic in rest)
        assert "3cx/foreign" in now


async def test_a_bridge_of_the_same_name_that_is_running_is_not_touched(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    async with running(write_config(folders[0], pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        other = write_config(folders[1], pbx, url, broker.port, mqtt="base_topic: phones, client_id: other")
        async with BridgeProcess.start(other) as bridge:
            await subscriber.until_latest("phones/bridge/state", "online")
            await bridge.says("another bridge of a PBX 'hq' is running under 3cx")
        assert subscriber.latest["3cx/users/100/state"] == "available"


async def test_a_device_deleted_in_home_assistant_stays_deleted_until_a_refresh(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    topic = "homeassistant/device/3cx2mqtt_hq/user_101/config"
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port)) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.publish(topic, "", retain=True)
        await bridge.says("user_101/config' cleared by another client")
        await broker.stop()
        await broker.start()
        async with Subscriber(broker.port) as later:
            await later.until_latest("3cx/bridge/state", "online")
            assert topic not in later.latest
            assert "homeassistant/device/3cx2mqtt_hq/user_100/config" in later.latest
            await later.publish("3cx/bridge/request/refresh", "")
            await later.until(lambda: topic in later.latest)


async def test_a_will_that_comes_late_is_corrected(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.publish("3cx/bridge/state", "offline", retain=True)
        await subscriber.until(lambda: subscriber.payloads("3cx/bridge/state")[-2:] == ["offline", "online"])


async def test_a_retained_request_is_refused_and_cleared(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port)
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
    await subscriber.until_latest("3cx/bridge/state", "offline")
    await subscriber.publish("3cx/bridge/request/refresh", "", retain=False)
    await subscriber.publish("3cx/bridge/request/refresh", "{}", retain=True)
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: "3cx/bridge/request/refresh" not in subscriber.latest)
        await subscriber.until(lambda: "retained request is refused" in subscriber.latest.get(ANSWER, ""))


ANSWER = "3cx/bridge/response/refresh"


async def test_a_refresh_reads_at_once_and_answers(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port, source="interval: 1h")):
        await subscriber.until_latest("3cx/bridge/state", "online")
        pbx.set_state("100", "DND")
        await subscriber.publish("3cx/bridge/request/refresh", '{"transaction": 7}')
        await subscriber.until_latest("3cx/users/100/state", "do_not_disturb")
        answer = subscriber.json("3cx/bridge/response/refresh")
        assert answer == {"status": "ok", "data": None, "error": None, "transaction": 7}
        asked = len(pbx.requests)
        for number in range(50):
            pbx.set_state("101", "DND" if number == 49 else "Away")
            await subscriber.publish("3cx/bridge/request/refresh", "")
        await subscriber.until_latest("3cx/users/101/state", "do_not_disturb")
        assert len(pbx.requests) - asked < 25  # once a second, however often it is asked for
        await subscriber.publish("3cx/bridge/request/refresh", "no json")
        await subscriber.until(lambda: subscriber.json("3cx/bridge/response/refresh")["status"] == "error")


@asynccontextmanager
async def old_broker(port: int, *, answers: bool = True) -> AsyncIterator[int]:
    """A broker that knows MQTT 3.1.1 and no newer: refuses CONNECTs of version 5, hands on all others.

    Unless it `answers`, it just closes the connection, as ioBroker's does.
    """

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connect = await reader.read(65536)
            level = connect[connect.index(b"\x00\x04MQTT") + 6]
            if level == 5:
                if answers:
                    writer.write(bytes([0x20, 2, 0, 1]))
                return
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)
            upstream.write(connect)
            await asyncio.gather(pipe(reader, upstream), pipe(upstream_reader, writer), return_exceptions=True)
            upstream.close()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("answers", [True, False])
async def test_a_broker_that_refuses_mqtt_5_is_connected_to_with_3_1_1_and_no_warning(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
    answers: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        old_broker(broker.port, answers=answers) as port,
        running(write_config(tmp_path, pbx, url, port)),
    ):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert subscriber.latest["3cx/users/100/state"] == "available"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 2])
async def test_every_protocol_and_qos_carries_the_states(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, protocol: str, qos: int
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port, mqtt=f"protocol: {protocol}, qos: {qos}")
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        pbx.set_state("101", "Hold")
        await subscriber.until_latest("3cx/users/101/state", "on_hold")


async def test_login_and_its_refusal(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    async with Mosquitto(folder, options=with_passwords(folder, bridge="right")) as broker:
        good = write_config(tmp_path, pbx, url, broker.port, mqtt="username: bridge, password: right")
        async with running(good), Subscriber(broker.port, login=("bridge", "right")) as subscriber:
            await subscriber.until_latest("3cx/bridge/state", "online")
        bad = write_config(tmp_path, pbx, url, broker.port, mqtt="username: bridge, password: wrong")
        async with BridgeProcess.start(bad) as bridge:
            await bridge.says("refused the login of 'bridge'")
            attempts = (folder / "mosquitto.log").read_text().count("not authorised")
            assert attempts == 1
            assert "wrong" not in bridge.log()


async def test_tls_with_a_ca_and_a_client_certificate(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    authority = trustme.CA()
    folder = tmp_path / "broker"
    folder.mkdir()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, certificate in (
        ("server", authority.issue_cert("localhost", "127.0.0.1")),
        ("client", authority.issue_cert("bridge@example.com")),
    ):
        certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        certificate.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
    options = (
        f"cafile {folder}/ca.pem",
        f"certfile {folder}/server.pem",
        f"keyfile {folder}/server.key",
        "require_certificate true",
        "allow_anonymous true",
    )
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    tls = f"tls: {{enabled: true, ca: {folder}/ca.pem, cert: {folder}/client.pem, key: {folder}/client.key}}"
    async with Mosquitto(folder, options=options) as broker:
        async with running(write_config(tmp_path, pbx, url, broker.port, mqtt=tls)):
            async with Subscriber(broker.port, tls=context) as subscriber:
                await subscriber.until_latest("3cx/bridge/state", "online")
                pbx.set_state("100", "Connected")
                await subscriber.until_latest("3cx/users/100/state", "on_call")
        unknown_ca = write_config(tmp_path, pbx, url, broker.port, mqtt="tls: {enabled: true}")
        async with BridgeProcess.start(unknown_ca) as bridge:
            await bridge.says("TLS certificate is not trusted")


async def test_certificates_that_are_spoilt_while_it_runs_do_not_end_it(
    tmp_path: Path, pbx: SimulatedPbx, url: str
) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    config = write_config(tmp_path, pbx, url, free_port(), mqtt=f"tls: {{enabled: true, ca: {ca}}}")
    async with BridgeProcess.start(config) as bridge:
        await bridge.says("cannot connect to the MQTT broker")
        ca.write_text("no certificate")
        await bridge.says("mqtt.tls: the certificates cannot be used")
        assert await bridge.signal(signal.SIGTERM) == 0


async def test_the_access_list_in_the_documentation_gives_every_login_the_rights_it_needs(
    tmp_path: Path, pbx: SimulatedPbx, url: str
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    documented = Path(__file__).parents[2] / "docs" / "mosquitto.acl"
    rules = documented.read_text().replace("3cx2mqtt_3cx", "3cx2mqtt_hq")
    config = {"mqtt": "username: bridge", "more": "commands: {queue: true}", "users_source": "interval: 500ms"}
    async with Mosquitto(folder, options=with_rules(folder, rules)) as broker:
        async with (
            BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, **config)) as bridge,
            Subscriber(broker.port, login=("homeassistant", "")) as home,
            Subscriber(broker.port, login=("light-101", "")) as light,
        ):
            await home.until_latest("3cx/bridge/state", "online")
            await home.until(lambda: "homeassistant/device/3cx2mqtt_hq/user_101/config" in home.latest)
            await home.publish("3cx/users/101/set", '{"queue": "logged_in"}')
            await home.until(lambda: home.json("3cx/users/101")["queue"] == "logged_in")
            await light.until_latest("3cx/bridge/state", "online")
            await light.publish("3cx/users/101/set", '{"queue": "logged_out"}')
            await home.publish("homeassistant/device/3cx2mqtt_hq/user_100/config", "", retain=True)
            await bridge.says("cleared by another client")
            assert "does not let this login" not in bridge.log()
            assert pbx.users["101"].queue == "LoggedIn"
            assert set(light.latest) == {
                "3cx/users/101/state",
                "3cx/users/101/busy",
                "3cx/bridge/state",
                "3cx/bridge/pbx",
            }


async def test_a_denied_topic_is_logged_where_the_broker_names_it(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    options = with_rules(folder, "user bridge\ntopic readwrite 3cx/#\n")
    async with Mosquitto(folder, options=options) as broker:
        path = write_config(tmp_path, pbx, url, broker.port, mqtt="username: bridge")
        async with BridgeProcess.start(path) as bridge, Subscriber(broker.port, login=("bridge", "")) as subscriber:
            await subscriber.until_latest("3cx/bridge/state", "online")
            await bridge.says("does not let 'bridge' publish to 'homeassistant/device/3cx2mqtt_hq/")
            assert bridge.log().count("does not let 'bridge' publish") == 1


async def test_a_message_that_is_too_long_for_the_broker_costs_no_connection(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    pbx = SimulatedPbx(users=100)
    options = ("allow_anonymous true", "max_packet_size 5000")
    async with pbx.serve() as url, Mosquitto(folder, options=options) as broker:
        async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port)) as bridge:
            async with Subscriber(broker.port) as subscriber:
                await subscriber.until_latest("3cx/bridge/state", "online")
                assert "3cx/users/199/state" in subscriber.latest
                assert "3cx/bridge/users" not in subscriber.latest
                await bridge.says("'3cx/bridge/users' is not published")
                assert set(subscriber.payloads("3cx/bridge/state")) == {"online"}
