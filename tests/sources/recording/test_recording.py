"""Recordings as files: what is in them, and their limits."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge.errors import BridgeError, SourceAuthError
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.recording.recorder import Recorder
from bridge.sources.threecx.recording.recording import Recording
from bridge.sources.threecx.recording.redaction import Redactor
from tests.support.clock import FakeClock
from tests.support.threecx import settings, tools

JSON = {"Content-Type": "application/json"}
USERS = "/xapi/v1/Users?%24top=100"


def recording(clock: FakeClock, most_bytes: int = 100_000) -> Recording:
    return Recording(Redactor(b"k" * 16), clock.clock.monotonic, clock.clock.wall(), most_bytes)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def written(made: Recording, folder: Path) -> list[dict[str, Any]]:
    made.write(folder / "out.jsonl.gz", "time")
    return lines(folder / "out.jsonl.gz")


def test_it_begins_with_its_format_and_ends_with_the_reason(tmp_path: Path, clock: FakeClock) -> None:
    made = recording(clock)
    clock.turn(1.5)
    made.answered("GET", USERS, 200, JSON, b'{"value":[]}')
    clock.turn(0.25)
    made.opened()
    made.message('{"sequence":1}')
    made.closed(1001)
    first, *rest, last = written(made, tmp_path)
    assert (first["recording"], first["started"]) == (1, "2026-11-22T10:00:00Z")
    assert rest == [
        {
            "t": 1500,
            "method": "GET",
            "path": "/xapi/v1/Users",
            "query": {"$top": "100"},
            "status": 200,
            "headers": JSON,
            "body": {"value": []},
        },
        {"t": 1750, "websocket": "open"},
        {"t": 1750, "websocket": "message", "body": {"sequence": 1}},
        {"t": 1750, "websocket": "close", "code": 1001},
    ]
    assert last == {"t": 1750, "end": "time"}


def test_an_empty_one_is_valid_too(tmp_path: Path, clock: FakeClock) -> None:
    assert [set(line) for line in written(recording(clock), tmp_path)] == [
        {"recording", "made_by", "started"},
        {"t", "end"},
    ]


def test_logins_are_never_recorded(tmp_path: Path, clock: FakeClock) -> None:
    made = recording(clock)
    made.answered("POST", "/connect/token", 200, JSON, b'{"access_token":"secret"}')
    assert len(written(made, tmp_path)) == 2


def test_the_same_answer_again_is_recorded_without_its_body(tmp_path: Path, clock: FakeClock) -> None:
    made = recording(clock)
    for body in (b"[1]", b"[1]", b"[2]", b"[1]"):
        made.answered("GET", USERS, 200, JSON, body)
    _, *answers, _ = written(made, tmp_path)
    assert [(each.get("body"), each.get("same")) for each in answers] == [
        ([1], None),
        (None, True),
        ([2], None),
        ([1], None),
    ]


@pytest.mark.parametrize("body", [b"<html>pbx.example.com</html>", b'{"Name": "Johan', b"[" * 100_000, b"\xff\xfe"])
def test_of_what_is_no_json_only_the_length_is_recorded(body: bytes, tmp_path: Path, clock: FakeClock) -> None:
    made = recording(clock)
    made.answered("GET", USERS, 502, {"Content-Type": "text/html"}, body)
    made.message(body.decode("utf-8", "replace"))
    _, answer, message, _ = written(made, tmp_path)
    assert (answer["omitted"], answer["status"], "body" in answer) == (len(body), 502, False)
    assert "body" not in message


def test_lone_surrogates_and_endless_numbers_do_no_harm(tmp_path: Path, clock: FakeClock) -> None:
    made = recording(clock)
    made.message('{"Name": "\\ud800 Johannes", "x": 1e999, "y": -0.0001, "z": NaN, "\\ud800": 12345678901234567890}')
    _, message, _ = written(made, tmp_path)
    assert "Johannes" not in str(message)
    assert (message["body"]["x"], message["body"]["z"]) == (None, None)


def test_at_the_limit_of_bytes_it_ends(tmp_path: Path, clock: FakeClock) -> None:
    made = recording(clock, most_bytes=2000)
    for number in range(100):
        made.answered("GET", USERS, 200, JSON, b"[%d]" % number)
    assert made.full.is_set()
    content = written(made, tmp_path)
    assert 2 < len(content) < 20
    assert content[-1] == {"t": 0, "end": "time"}
    assert (tmp_path / "out.jsonl.gz").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(BridgeError, match=r"cannot write .*no/out.jsonl.gz: No such file"):
        recording(clock).write(tmp_path / "no" / "out.jsonl.gz", "time")
    assert list(tmp_path.iterdir()) == []


async def test_what_is_refused_missing_or_broken_is_recorded_as_such(
    tmp_path: Path, pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    pbx.may_read_departments = False

    async def broken(request: web.Request) -> web.Response | None:
        return web.Response(status=503, text="<html>", content_type="text/html") if "Param" in request.path else None

    pbx.intercept = broken
    async with tools(settings(url), clock) as (_, access):
        recorder = Recorder(access, lambda: None, ["simulated-key"], clock.clock, pushes=True)
        await recorder.record(0.5, tmp_path / "out.jsonl.gz")
        assert not recorder.busy
    first, *answers, last = lines(tmp_path / "out.jsonl.gz")
    statuses = {each["path"]: each["status"] for each in answers}
    assert statuses["/xapi/v1/Defs"] == 200
    assert statuses["/xapi/v1/Groups"] == 401
    assert statuses["/xapi/v1/Defs/Pbx.GetSystemParameters()"] == 503
    assert {"/xapi/v1/Queues", "/xapi/v1/RingGroups", "/xapi/v1/Trunks", "/xapi/v1/SystemStatus"} <= set(statuses)
    assert (first["recording"], last["end"]) == (1, "time")


async def test_without_a_login_there_is_no_file(tmp_path: Path, url: str, clock: FakeClock) -> None:
    async with tools(settings(url, client_secret="wrong"), clock) as (_, access):
        recorder = Recorder(access, lambda: None, [], clock.clock, pushes=False)
        with pytest.raises(SourceAuthError):
            await recorder.record(1.0, tmp_path / "out.jsonl.gz")
        assert not recorder.busy
    assert not (tmp_path / "out.jsonl.gz").exists()


async def test_it_ends_early_at_the_limit_of_bytes(
    tmp_path: Path, pbx: SimulatedPbx, url: str, clock: FakeClock
) -> None:
    async with tools(settings(url), clock) as (_, access):
        recorder = Recorder(access, lambda: None, [], clock.clock, pushes=False)
        assert await recorder.record(600.0, tmp_path / "out.jsonl.gz", most_bytes=500) <= 2
    assert lines(tmp_path / "out.jsonl.gz")[-1]["end"] == "size"
