"""The TLS handshake fails on its way, with the PBX and with the broker; afterwards the published states are true."""

import asyncio
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from bridge.simulator import SimulatedPbx
from tests.faults.conftest import Configure, Note
from tests.support.faults import SILENCE, TRICKLE, Fault, Link, Log, cut, impatient, living, reset, until, until_correct
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

RECOVERY_LIMIT = limit(6.0)
NOTICED = limit(20.0)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(cut(), id="closed at the greeting"),
        pytest.param(cut(100), id="closed within the handshake"),
        pytest.param(reset(100), id="reset within the handshake"),
        pytest.param(SILENCE, id="no answer to the greeting"),
        pytest.param(Fault(SILENCE.kind, after=100), id="silence within the handshake"),
        pytest.param(TRICKLE, id="a byte a second"),
    ],
)
async def test_after_handshakes_failed_all_is_right(
    tmp_path: Path, pbx: SimulatedPbx, configure: Configure, log: Log, note: Note, fault: Fault
) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "server.key"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    options = (
        f"certfile {folder}/server.pem",
        f"keyfile {folder}/server.key",
        "allow_anonymous true",
    )
    async with (
        pbx.serve(ssl_context=context) as url,
        Mosquitto(folder, options=options) as broker,
        Link(urlsplit(url).port or 0) as to_pbx,
        Link(broker.port) as to_broker,
        Subscriber(broker.port, tls=ssl.create_default_context(cafile=folder / "ca.pem")) as subscriber,
    ):
        path = configure(
            to_broker.port,
            url=to_pbx.url.replace("http:", "https:"),
            mqtt=f"tls: {{enabled: true, ca: {folder}/ca.pem}}",
        )
        path.write_text(path.read_text().replace("timeout: 1s", f"timeout: 1s, verify_tls: {folder}/ca.pem"))
        async with living(path, keepalive=1, timing=impatient()):
            await until_correct(subscriber, pbx, limit(10))
            for link in (to_pbx, to_broker):
                link.strike(fault)
                link.drop()
            pbx.change("100", profile="Away")
            attempts = to_pbx.accepted, to_broker.accepted
            await until(lambda: to_pbx.accepted >= attempts[0] + 3 and to_broker.accepted >= attempts[1] + 3, NOTICED)
            await asyncio.gather(to_pbx.heal(), to_broker.heal())
            note("recovered_after", await until_correct(subscriber, pbx, RECOVERY_LIMIT))
            note("warnings", dict(log.warnings()))
    assert all(times == 1 for times in log.warnings().values()), log.warnings()
    assert sum(log.warnings().values()) <= 5, log.warnings()
