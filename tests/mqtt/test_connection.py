"""One MQTT connection against brokers that refuse, hang up or say nothing; and against a second bridge."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from bridge.domain.message import Message, Rank
from bridge.errors import BrokerAuthError, BrokerError, BrokerUnavailable
from bridge.mqtt.connection import Connection
from bridge.mqtt.failures import WrongProtocol
from bridge.mqtt.settings import MqttSettings, Protocol, TlsSettings
from bridge.mqtt.timing import USUAL, MqttTiming
from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, running, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port, with_rules
from tests.support.subscriber import Subscriber

WILL = Message("3cx/bridge/state", b"offline", Rank.BRIDGE)
PLAIN = TlsSettings(enabled=False, ca=None, cert=None, key=None, insecure=False)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def settings(port: int) -> MqttSettings:
    return MqttSettings("127.0.0.1", port, None, None, PLAIN, Protocol.V5, "3cx2mqtt-hq", 30, "3cx", 1, 0)


def to(port: int, timing: MqttTiming = USUAL) -> Connection:
    return Connection(settings(port), Protocol.V5, WILL, lambda *_: None, timing)


@asynccontextmanager
async def broker_that(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def connack_5(reason: int) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(bytes([0x20, 3, 0, reason, 0]))
        await reader.read(1024)

    return serve


@pytest.mark.parametrize(
    ("reason", "kind", "words"),
    [
        (0x84, WrongProtocol, "does not support this version"),
        (0x86, BrokerAuthError, "refused a connection without a login"),
        (0x87, BrokerAuthError, "check mqtt.username"),
        (0x88, BrokerUnavailable, "refused the connection"),
        (0x8A, BrokerAuthError, "refused a connection without a login"),
    ],
)
async def test_a_refusal_has_the_class_that_says_what_to_do(reason: int, kind: type[BrokerError], words: str) -> None:
    async with broker_that(connack_5(reason)) as port:
        with pytest.raises(kind, match=words):
            await to(port).open()


async def test_a_broker_that_hangs_up_at_the_greeting_may_want_another_version() -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1024)

    async with broker_that(hang_up) as port:
        with pytest.raises(WrongProtocol, match="closed the connection before it answered"):
            await to(port).open()


async def test_a_broker_that_never_answers_is_given_up() -> None:
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        ended.set()

    async with broker_that(silent) as port:
        with pytest.raises(WrongProtocol, match="no answer from the MQTT broker"):
            await to(port, MqttTiming(connect=0.1)).open()
        await asyncio.wait_for(ended.wait(), limit(5))


def publish(topic: bytes) -> bytes:
    """A message at QoS 0 in MQTT 5, short enough for one byte of length."""
    return bytes([0x30, len(topic) + 4, 0, len(topic)]) + topic + b"\0x"


async def test_a_topic_that_is_not_utf_8_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(bytes([0x20, 3, 0, 0, 0]) + publish(b"\xff\xfe") * 3 + publish(b"3cx/good"))
        await reader.read(1024)

    received: asyncio.Queue[str] = asyncio.Queue()
    async with broker_that(serve) as port:
        link = Connection(settings(port), Protocol.V5, WILL, lambda topic, *_: received.put_nowait(topic))
        await link.open()
        assert await asyncio.wait_for(received.get(), limit(5)) == "3cx/good"
        link.close()
    assert [record.message for record in caplog.records] == [
        f"the MQTT broker 127.0.0.1:{port} sent a message whose topic is not UTF-8: ignored"
    ]


async def test_many_messages_in_one_piece_of_tls_are_all_read(tmp_path: Path) -> None:
    """What TLS has unpacked is not announced by the system again."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    most = 900

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(bytes([0x20, 3, 0, 0, 0]))
        await reader.read(1024)
        writer.write(publish(b"3cx/some/topic") * most + bytes([0x90, 4, 0, 1, 0, 0]))
        while await reader.read(1024):
            pass

    received: list[str] = []
    tls = replace(PLAIN, enabled=True, ca=tmp_path / "ca.pem")
    async with broker_that(serve, context) as port:
        link = Connection(replace(settings(port), tls=tls), Protocol.V5, WILL, lambda topic, *_: received.append(topic))
        await link.open()
        assert await asyncio.wait_for(link.subscribe(["#"], 0), limit(5)) == [True]
        assert len(received) == most
        link.close()


async def test_no_broker_at_all() -> None:
    with pytest.raises(BrokerUnavailable, match="cannot connect to the MQTT broker"):
        await to(free_port()).open()
    nowhere = replace(settings(1883), host="no-such-host.invalid")
    with pytest.raises(BrokerUnavailable, match="the host name cannot be resolved"):
        await Connection(nowhere, Protocol.V5, WILL, lambda *_: None).open()


async def test_a_cancelled_attempt_leaves_no_connection_behind() -> None:
    reached, ended = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        reached.set()
        await reader.read(1024)
        ended.set()

    async with broker_that(silent) as port:
        attempt = asyncio.create_task(to(port).open())
        await asyncio.wait_for(reached.wait(), limit(5))
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await asyncio.wait_for(ended.wait(), limit(5))


async def test_a_takeover_by_the_same_client_id_ends_the_earlier_connection(broker: Mosquitto) -> None:
    first = to(broker.port)
    await first.open()
    second = to(broker.port)
    await second.open()
    await asyncio.wait({first.lost}, timeout=limit(5))
    assert isinstance(first.lost.result(), BrokerUnavailable)
    second.close()


async def test_a_broker_that_announces_a_small_window_gets_no_more(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path, options=("allow_anonymous true", "max_inflight_messages 3")) as broker:
        link = to(broker.port)
        await link.open()
        sent = 0
        while link.has_room and sent < 100:
            link.publish(Message(f"3cx/{sent}", b"x", Rank.STATE), qos=1)
            sent += 1
        assert sent <= 3
        await asyncio.wait_for(link.delivered(), limit(5))
        assert link.has_room
        link.close()


async def test_a_login_that_may_not_read_is_reported_and_still_publishes(
    tmp_path: Path, pbx: SimulatedPbx, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    rules = "topic write 3cx/#\ntopic write homeassistant/#\n\nuser watcher\ntopic read #\n"
    async with Mosquitto(folder, options=with_rules(folder, rules)) as broker:
        with caplog.at_level(logging.WARNING):
            async with (
                Subscriber(broker.port, login=("watcher", "")) as subscriber,
                running(write_config(tmp_path, pbx, url, broker.port)),
            ):
                await subscriber.until_latest("3cx/bridge/state", "online")
                assert subscriber.latest["3cx/users/100/state"] == "available"
    assert "does not let this login read 3cx/bridge/check" in caplog.text


async def test_two_bridges_with_one_client_id_are_reported(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = (write_config(folder, pbx, url, broker.port) for folder in folders)
    async with BridgeProcess.start(one) as first, BridgeProcess.start(two):
        await first.says("is another process using the client id '3cx2mqtt-hq'?", timeout=limit(20))


async def test_a_broker_that_acknowledges_nothing_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(bytes([0x20, 6, 0, 0, 3, 0x21, 0, 1]))  # CONNACK with a Receive Maximum of 1
        while await reader.read(1024):
            pass

    async with broker_that(silent) as port:
        opened = to(port, MqttTiming(acknowledgement=0.05))
        await opened.open()
        opened.publish(WILL, 1)
        await opened.room()
        assert str(opened.lost.result()).endswith("has acknowledged nothing for 0.05 s")
        opened.abort()
