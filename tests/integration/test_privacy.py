"""`privacy.caller_id: masked` holds wherever the bridge writes: topics, log, answers, commands, archives.

The PBX says who calls in every form that was seen, and in rows and participants that cannot be read, which messages
about them quote.
"""

import gzip
import re
import signal
import tarfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web

from bridge.simulator import SimulatedPbx
from tests.integration.test_oneshot import command
from tests.support.bridges import BridgeProcess, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

PARTIES = (
    "+49301234567",
    "0301234567 (Xanthe Quillfeather)",
    "Xanthe Quillfeather",
    "Xanthe",
    "xanthe@quillfeather.example",
    "sip:xanthe@quillfeather.example",
    "+49301234567 Xanthe (Quillfeather GmbH)",
    "10001 Trunk (Xanthe Quillfeather)",
    "10001 Trunk (0301234567)",
    "10001 Trunk (+49 30 1234567)",
    "VoiceMail of Xanthe Quillfeather",
    "VoiceMail of 0301234567 Xanthe",
    "Conference 0301234567",
    "301234567",
    "49301234567 Xanthe",
)
PRIVATE = re.compile(r"(?i)xanthe|quillfeather|301234|1234567")


def broken(row: dict[str, object], party: str) -> Iterator[dict[str, object]]:
    """The row with the party where something else belongs."""
    for key in row:
        yield {**row, key: party}
        yield {**row, key: {"x": [party]}}
    yield {**row, party: 1}


def active_calls(now: str, *, readable: bool) -> list[dict[str, object]]:
    ids = count(1)
    rows: list[dict[str, object]] = []
    for party in PARTIES:
        for status in ("Ringing", "Talking", "Routing", "Connected", "Odd"):
            times: dict[str, object] = {"EstablishedAt": now, "LastChangeStatus": now, "ServerNow": now}
            row = {"Id": next(ids), "Caller": party, "Callee": "101 Ada Example", "Status": status, **times}
            rows += [row, {**row, "Id": next(ids), "Caller": "102 Ben Sample", "Callee": party}]
        if not readable:
            rows += broken({**row, "Id": next(ids)}, party)
    return rows


def participants() -> Iterator[dict[str, object]]:
    ids = count(5_000_001)
    for party in PARTIES:
        for kind in ("Wexternalline", "Wextension", "Wqueue", "Wroutepoint", "None", "Odd"):
            for status in ("Ringing", "Dialing", "Connected"):
                yield {
                    "id": next(ids),
                    "status": status,
                    "dn": "101",
                    "party_dn": party,
                    "party_dn_type": kind,
                    "party_caller_id": party,
                    "party_caller_name": party,
                    "party_did": party,
                    "originated_by_dn": party,
                    "originated_by_type": kind,
                    "on_behalf_of_dn": party,
                    "on_behalf_of_type": kind,
                    "referred_by_dn": party,
                    "callid": next(ids),
                    "legid": 1,
                }
        yield from broken({"id": next(ids), "status": "Ringing", "dn": "101", "callid": 1, "legid": 1}, party)


@pytest.fixture
def pbx() -> SimulatedPbx:
    return SimulatedPbx(users=3, rows="extended")


async def test_nothing_of_outsiders_is_written_anywhere(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    rounds, readable = 0, False

    async def odd(request: web.Request) -> web.StreamResponse | None:
        nonlocal rounds
        if request.path.endswith("/ActiveCalls"):
            rounds += 1
            return web.json_response({"value": active_calls("2026-11-22T10:00:00Z", readable=readable)})
        if request.path.endswith("/Pbx.GetMonitorStatus()"):
            rows = [{"DN": "101", "Expiration": 0, "Caller": party, "Remark": "+49301234567"} for party in PARTIES]
            rows += [{"DN": "103", "Party": {"Name": party, "Number": party}, "Phone": party} for party in PARTIES]
            return web.json_response({"value": rows})
        return None

    pbx.intercept = odd
    config = write_config(
        tmp_path,
        pbx,
        url,
        broker.port,
        users_source="interval: 500ms",
        active_calls="interval: 500ms",
        call_control="",
        more="groups: {all: ['101', '102']}\nlights: [{name: desk, driver: wled, topic: wled/x, users: ['101']}]\n"
        "commands: {profile: true, record: true}",
    )
    written: dict[str, str] = {}
    async with BridgeProcess.start(config) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: rounds >= 3)
        by_id = {f"/callcontrol/101/participants/{each.get('id')}": each for each in participants()}
        pbx.stream.attach = by_id.get
        for entity in by_id:
            pbx.stream.event(entity, 0)
        call = pbx.exchange.ring("101", "102")
        await subscriber.until_latest("3cx/users/102/state", "ringing")
        for entity in by_id:
            pbx.stream.event(entity, 1)
        pbx.exchange.end(call)
        await subscriber.until_latest("3cx/users/102/state", "available")
        archive = tmp_path / "report.tar.gz"
        recording = tmp_path / "recording.gz"
        commands: list[tuple[str | Path, ...]] = [("users",), ("check",), ("diagnose", "-o", archive)]
        for name, *arguments in (*commands, ("record", "--for", "1s", recording)):
            readable = name == "record"  # which keeps status words and keys that nobody knows, as it is made for them
            _, output, errors = await command(name, "-c", config, *arguments)
            written[str(name)] = output + errors
        await bridge.signal(signal.SIGTERM)
        written["log"] = bridge.log()
    with tarfile.open(archive) as tar:
        files = filter(None, (tar.extractfile(member) for member in tar))
        written["archive"] = "".join(file.read().decode() for file in files)
    written["recording"] = gzip.decompress(recording.read_bytes()).decode()
    written["topics"] = "\n".join(f"{topic} {payload}" for topic, payload, _ in subscriber.log)
    assert '"event_type":"ringing"' in written["topics"]
    assert "…567" in written["topics"]
    assert written["log"].count("DEBUG") > 10
    shown = {where: sorted(set(PRIVATE.findall(text))) for where, text in written.items() if PRIVATE.search(text)}
    assert shown == {}
