"""Certificates are read when they are needed: at each connect, and in a thread."""

import asyncio
import os
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from bridge.errors import BrokerUnavailable
from bridge.mqtt.connection import Connection
from bridge.mqtt.settings import MqttSettings, Protocol, TlsSettings
from bridge.mqtt.timing import USUAL, MqttTiming
from tests.mqtt.test_connection import broker_that
from tests.support.limits import limit


def connection(port: int, tls: TlsSettings, timing: MqttTiming = USUAL) -> Connection:
    settings = MqttSettings("127.0.0.1", port, None, None, tls, Protocol.V5, "3cx2mqtt-hq", 30, "3cx", 1, 0)
    return Connection(settings, Protocol.V5, None, lambda *_: None, timing)


def verifying(ca: Path) -> TlsSettings:
    return TlsSettings(enabled=True, ca=ca, cert=None, key=None, insecure=False)


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1024)
    writer.write(bytes([0x20, 3, 0, 0, 0]))
    await reader.read(1024)


async def test_a_ca_that_was_renewed_is_used_at_the_next_connect(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    old, new = trustme.CA(), trustme.CA()
    old.cert_pem.write_to_path(str(ca))
    async with broker_that(accept, server_context(new)) as port:
        with pytest.raises(BrokerUnavailable, match="is not trusted"):
            await connection(port, verifying(ca)).open()
        later = connection(port, verifying(ca))
        new.cert_pem.write_to_path(str(ca))
        await later.open()
        later.close()


async def test_a_client_certificate_that_is_missing_is_an_error_of_connecting_alone(tmp_path: Path) -> None:
    missing = TlsSettings(enabled=True, ca=None, cert=tmp_path / "none.pem", key=tmp_path / "none.key", insecure=False)
    prepared = connection(1883, missing)
    with pytest.raises(BrokerUnavailable, match=r"mqtt\.tls: the certificates cannot be used: .*No such file"):
        await prepared.open()


async def test_a_certificate_file_that_hangs_holds_up_neither_the_loop_nor_connecting(tmp_path: Path) -> None:
    """Like one on a network drive whose server is away; here a pipe that gets no data."""
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    counting = asyncio.create_task(count(), name="turns")
    with pytest.raises(BrokerUnavailable, match="no answer"):
        await connection(1883, verifying(pipe), MqttTiming(connect=0.2)).open()
    counting.cancel()
    assert turns >= 3
    await asyncio.to_thread(pipe.write_text, "no certificate")  # lets the thread end
    for thread in threading.enumerate():
        if thread.name == "mqtt-connect":
            await asyncio.to_thread(thread.join, limit(5))
