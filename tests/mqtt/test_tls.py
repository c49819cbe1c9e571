"""Certificates are read when they are needed: at each connect, and in a thread."""

import asyncio
import datetime as dt
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
from tests.support.mosquitto import Mosquitto


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


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A broker without TLS that does not understand the greeting."""
    await reader.read(1024)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def test_each_problem_of_tls_has_its_own_advice(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca))
    elsewhere = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("broker.example.com").configure_cert(elsewhere)
    expired = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    authority.issue_cert("127.0.0.1", not_after=past).configure_cert(expired)
    for context, words in (
        (elsewhere, "is for another name .IP address mismatch, .*: use in mqtt.host the name"),
        (expired, "has expired .certificate has expired.: renew it on the broker"),
        (server_context(trustme.CA()), "is not trusted .*; set mqtt.tls.ca to the file of your CA"),
    ):
        async with broker_that(accept, context) as port:
            with pytest.raises(BrokerUnavailable, match=f"its TLS certificate {words}"):
                await connection(port, verifying(ca)).open()
    async with broker_that(silent) as port:
        with pytest.raises(BrokerUnavailable, match=r"perhaps no TLS on this port: set mqtt\.port"):
            await connection(port, verifying(ca)).open()


async def test_no_tls_on_a_port_of_tls_is_advised_to_use_it(tmp_path: Path) -> None:
    plain = TlsSettings(enabled=False, ca=None, cert=None, key=None, insecure=False)
    async with broker_that(accept, server_context(trustme.CA())) as port:
        with pytest.raises(BrokerUnavailable, match=r"; if this port speaks TLS, set mqtt\.tls\.enabled"):
            await connection(port, plain).open()


async def test_mosquitto_with_and_without_tls_on_the_wrong_port(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    plain = TlsSettings(enabled=False, ca=None, cert=None, key=None, insecure=False)
    tls = (f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key", "allow_anonymous true")
    async with Mosquitto(tmp_path, options=tls) as broker:
        with pytest.raises(BrokerUnavailable, match=r"; if this port speaks TLS, set mqtt\.tls\.enabled"):
            await connection(broker.port, plain).open()
    async with Mosquitto(tmp_path) as broker:
        with pytest.raises(BrokerUnavailable, match="perhaps no TLS on this port"):
            await connection(broker.port, verifying(tmp_path / "ca.pem")).open()
