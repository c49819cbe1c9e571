"""TLS to the PBX over months: CA files that are renewed, and certificates and ports that do not fit."""

import asyncio
import datetime as dt
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from bridge.errors import SourceUnavailable
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.client.http import Http
from bridge.sources.threecx.client.trust import Trust
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.threecx import settings, tools


def server(
    authority: trustme.CA,
    name: str = "127.0.0.1",
    not_before: dt.datetime | None = None,
    not_after: dt.datetime | None = None,
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=not_before, not_after=not_after).configure_cert(context)
    return context


@asynccontextmanager
async def asking(url: str, verify: bool | Path) -> AsyncIterator[Http]:
    async with Http(replace(settings(url), verify_tls=verify)) as http:
        yield http


async def problem_of(url: str, verify: bool | Path) -> str:
    async with asking(url, verify) as http:
        with pytest.raises(SourceUnavailable) as caught:
            await http.request("GET", "/xapi/v1/Defs")
    return str(caught.value).replace(url, "URL")


async def test_a_ca_file_that_was_renewed_is_used_without_a_restart(
    tmp_path: Path, pbx: SimulatedPbx, clock: FakeClock
) -> None:
    ca = tmp_path / "ca.pem"
    old, new = trustme.CA(), trustme.CA()
    old.cert_pem.write_to_path(str(ca))
    async with pbx.serve(ssl_context=server(new)) as url:
        async with tools(replace(settings(url), verify_tls=ca), clock) as (found, client):
            with pytest.raises(SourceUnavailable, match="is not trusted"):
                await found.xapi.version()
            new.cert_pem.write_to_path(str(ca))
            assert await found.xapi.version() == "20.0.8.1109"
        old.cert_pem.write_to_path(str(ca))
        async with tools(replace(settings(url), verify_tls=ca), clock) as (_, client):
            with pytest.raises(SourceUnavailable, match="is not trusted"):
                await client.login()
            new.cert_pem.write_to_path(str(ca))
            async with client.websocket("/callcontrol/ws", 10):
                pass


async def test_a_ca_that_is_trusted_no_longer_is_noticed_within_a_minute(tmp_path: Path, clock: FakeClock) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    trust = Trust(ca, clock.clock.monotonic)
    first = await trust.context()
    trustme.CA().cert_pem.write_to_path(str(ca))
    clock.turn(59)
    assert await trust.context() is first
    clock.turn(1)
    second = await trust.context()
    assert second is not first
    clock.turn(600)
    assert await trust.context() is second


async def test_a_file_that_is_spoilt_while_the_bridge_runs_leaves_the_cas_read_before(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    trust = Trust(ca, clock.clock.monotonic)
    first = await trust.context()
    for content in ("", "no certificate", None):
        if content is None:
            ca.unlink()
        else:
            ca.write_text(content)
        clock.turn(60)
        assert await trust.context() is first
    assert f"pbx.verify_tls: {ca} contains no usable certificate" in caplog.text
    with pytest.raises(SourceUnavailable, match=r"pbx\.verify_tls: .* contains no usable certificate \(No such file"):
        await Trust(ca).context()


async def test_a_ca_file_that_hangs_costs_one_thread_and_no_turn_of_the_loop(tmp_path: Path, clock: FakeClock) -> None:
    """Like one on a network drive whose server is away; here a pipe that gets no data."""
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe)
    trust = Trust(pipe, clock.clock.monotonic, patience=0.05)
    for _ in range(3):
        with pytest.raises(SourceUnavailable, match="no answer from its drive"):
            await trust.context()
    await asyncio.to_thread(pipe.write_text, "no certificate")  # one reader alone, so one writer lets the thread end
    async with asyncio.timeout(limit(5)):
        while trust._reading:
            await asyncio.sleep(0.01)


async def test_the_system_s_cas_are_read_again_too(clock: FakeClock) -> None:
    trust = Trust(verify=True, monotonic=clock.clock.monotonic)
    assert await trust.context() is await trust.context()
    assert not await trust.renewed()
    assert await Trust(verify=False).context() is False


async def test_each_problem_of_tls_has_its_own_advice(tmp_path: Path, pbx: SimulatedPbx) -> None:
    ca = tmp_path / "ca.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca))
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    future = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
    for context, words, advice in (
        (server(authority, "pbx.example.com"), "is for another name (IP address mismatch", "use in pbx.url the name"),
        (server(authority, not_after=past), "has expired (certificate has expired", "renew it on the PBX"),
        (
            server(authority, not_before=future),
            "is not valid yet (certificate is not yet valid",
            "is this machine's clock",
        ),
        (server(trustme.CA()), "is not trusted (unable to get local issuer", "set pbx.verify_tls to the file"),
    ):
        async with pbx.serve(ssl_context=context) as url:
            problem = await problem_of(url, ca)
        # what OpenSSL itself says differs from version to version
        assert problem.startswith(f"cannot reach URL: its TLS certificate {words}")
        assert f"): {advice}" in problem


async def test_tls_on_a_port_without_and_plain_http_on_a_port_of_tls(tmp_path: Path, pbx: SimulatedPbx) -> None:
    async with pbx.serve() as url:
        problem = await problem_of(url.replace("http:", "https:"), True)
        assert (
            problem
            == "cannot reach URL: no TLS on this port: should pbx.url begin with http://, or is it another port?"
        )
    async with pbx.serve(ssl_context=server(trustme.CA())) as url:
        problem = await problem_of(url.replace("https:", "http:"), True)
        assert "should pbx.url begin with https://? If not, is it another port, or is this machine's IP" in problem
