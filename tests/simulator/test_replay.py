"""A replayed PBX says what the recorded one said."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.errors import BridgeError
from bridge.simulator.recorded import Recorded, read, recorded
from bridge.simulator.replay import ReplayedPbx
from tests.support.clock import FakeClock
from tests.support.limits import limit

HEAD = {"recording": 1, "made_by": "test", "started": "2026-11-22T10:00:00Z"}
USERS = "/xapi/v1/Users"
ONE = "/callcontrol/101/participants/7"
LOGIN = {"Authorization": "Bearer any"}


def story(*entries: dict[str, Any]) -> Recorded:
    return recorded(json.dumps(entry).encode() for entry in (HEAD, *entries))


def said(t: int, path: str, body: object = None, status: int = 200, **query: str) -> dict[str, Any]:
    given = {f"${name}": value for name, value in query.items()}
    return {"t": t, "method": "GET", "path": path, "query": given, "status": status, "headers": {}, "body": body}


def event(t: int, kind: int, entity: str = ONE, attached: object = None) -> dict[str, Any]:
    inner = {"event_type": kind, "entity": entity, "attached_data": attached}
    return {"t": t, "websocket": "message", "body": {"sequence": t, "event": inner}}


def row(*participants: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"dn": "101", "type": "Wextension", "devices": [], "participants": list(participants)}]


class Client:
    """Requests to a replayed PBX whose time the test turns; a first request has been answered."""

    def __init__(self, session: aiohttp.ClientSession, url: str, clock: FakeClock) -> None:
        self.session = session
        self.url = url
        self.clock = clock

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        given = {f"${name}": value for name, value in query.items()}
        async with self.session.get(self.url + path, params=given, headers=LOGIN) as response:
            body = await response.read()
            return response.status, json.loads(body) if body.startswith((b"{", b"[")) else body


@asynccontextmanager
async def replayed(clock: FakeClock, recording: Recorded) -> AsyncIterator[Client]:
    pbx = ReplayedPbx(recording, monotonic=clock.clock.monotonic)
    async with pbx.serve() as url, aiohttp.ClientSession() as session:
        client = Client(session, url, clock)
        await client.get("/")
        yield client


async def test_answers_follow_the_time_and_the_last_one_stays(clock: FakeClock) -> None:
    recording = story(said(1000, USERS, [1]), said(3000, USERS, [2]), said(3500, USERS, None, 503))
    async with replayed(clock, recording) as client:
        assert await client.get(USERS) == (200, [1])
        clock.turn(2.9)
        assert await client.get(USERS) == (200, [1])
        clock.turn(0.2)
        assert await client.get(USERS) == (200, [2])
        clock.turn(1000.0)
        assert (await client.get(USERS))[0] == 503


async def test_a_query_that_was_not_recorded_gets_what_its_path_was_answered(clock: FakeClock) -> None:
    recording = story(
        said(0, USERS, {"value": [1]}, top="100", skip="0"),
        said(0, USERS, {"value": [2]}, top="100", skip="100"),
        said(10, USERS, {"error": {}}, 400, top="100", skip="0", select="AIAgent"),
    )
    async with replayed(clock, recording) as client:
        assert await client.get(USERS, top="100", skip="100") == (200, {"value": [2]})
        assert await client.get(USERS, top="50", skip="0", filter="Number eq '1'") == (200, {"value": [1]})
        assert await client.get(USERS, top="100", skip="200") == (200, {"value": []})
        assert await client.get(USERS, top="100", skip="0", select="AIAgent") == (400, {"error": {}})
        assert (await client.get("/xapi/v1/Queues"))[0] == 404


async def test_any_credentials_do_but_a_token_is_wanted(clock: FakeClock) -> None:
    async with replayed(clock, story(said(0, USERS, [1]))) as client:
        async with client.session.post(client.url + "/connect/token", data={"client_id": "x"}) as response:
            assert (await response.json())["access_token"]
        async with client.session.get(client.url + USERS) as response:
            assert response.status == 401


async def test_a_refused_token_is_not_replayed_but_a_missing_right_is(clock: FakeClock) -> None:
    recording = story(
        said(0, USERS, [1]),
        said(10, USERS, None, 401),
        said(20, USERS, [2]),
        said(30, "/xapi/v1/Groups", None, 401),
        said(40, "/xapi/v1/Groups", None, 401),
    )
    async with replayed(clock, recording) as client:
        clock.turn(0.015)
        assert await client.get(USERS) == (200, [1])
        assert (await client.get("/xapi/v1/Groups"))[0] == 401


async def test_the_pbx_s_own_address_is_that_of_the_replay(clock: FakeClock) -> None:
    link = "https://pbx.invalid/xapi/v1/Users?$skip=100"
    async with replayed(clock, story(said(0, USERS, {"@odata.nextLink": link}))) as client:
        _, body = await client.get(USERS)
        assert body["@odata.nextLink"] == f"{client.url}/xapi/v1/Users?$skip=100"


async def test_call_control_follows_the_events(clock: FakeClock) -> None:
    rings, talks = {"id": 7, "status": "Ringing"}, {"id": 7, "status": "Connected"}
    recording = story(
        said(0, "/callcontrol", row()),
        event(1000, 0),
        said(1020, ONE, rings),
        event(2000, 0),
        said(2020, ONE, talks),
        event(3000, 1),
    )
    async with replayed(clock, recording) as client:
        assert await client.get("/callcontrol") == (200, row())
        assert (await client.get(ONE))[0] == 404
        clock.turn(1.001)  # before the recorded answer came
        assert await client.get(ONE) == (200, rings)
        clock.turn(1.0)
        assert await client.get(ONE) == (200, talks)
        assert await client.get("/callcontrol") == (200, row(talks))
        assert await client.get("/callcontrol/101") == (200, row(talks)[0])
        assert await client.get("/callcontrol/101/participants") == (200, [talks])
        clock.turn(1.0)
        assert (await client.get(ONE))[0] == 404
        assert await client.get("/callcontrol") == (200, row())


async def test_what_came_with_an_event_is_what_a_client_gets(clock: FakeClock) -> None:
    rings = {"id": 7, "status": "Ringing"}
    wrapped = {"StatusCode": 200, "Response": rings}
    recording = story(said(0, "/callcontrol", row()), event(1000, 0, attached=wrapped), event(1500, 2, attached="5"))
    async with replayed(clock, recording) as client:
        clock.turn(2.0)
        assert await client.get("/callcontrol") == (200, row(rings))


async def test_a_later_list_counts_more_than_earlier_events(clock: FakeClock) -> None:
    recording = story(said(0, "/callcontrol", row()), event(1000, 0), said(5000, "/callcontrol", row()))
    async with replayed(clock, recording) as client:
        clock.turn(6.0)
        assert await client.get("/callcontrol") == (200, row())


async def test_events_are_sent_at_their_times_faster_if_wanted() -> None:
    recording = story(
        said(0, "/callcontrol", row()),
        event(2000, 0),
        event(6000, 1),
        {"t": 8000, "websocket": "close", "code": 4401},
    )
    pbx = ReplayedPbx(recording, speed=100, waits=True)
    async with pbx.serve() as url, aiohttp.ClientSession() as session:
        async with asyncio.timeout(limit(5)), session.ws_connect(url + "/callcontrol/ws", headers=LOGIN) as socket:
            pbx.begin()
            begun = asyncio.get_running_loop().time()
            sequences, last = [], begun
            async for message in socket:
                last = asyncio.get_running_loop().time()
                sequences.append(json.loads(message.data)["sequence"])
        assert sequences == [2000, 6000]
        assert 0.05 < last - begun < limit(1)  # recorded after 6 s
        assert socket.close_code == 4401


async def test_a_refused_websocket_is_refused(clock: FakeClock) -> None:
    recording = story(said(0, "/callcontrol", None, 403), said(0, "/callcontrol/ws", None, 403))
    async with replayed(clock, recording) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.session.ws_connect(client.url + "/callcontrol/ws", headers=LOGIN)
        assert caught.value.status == 403
        assert (await client.get("/callcontrol"))[0] == 403


async def test_a_page_of_a_proxy_is_a_page(clock: FakeClock) -> None:
    page = {"t": 0, "method": "GET", "path": USERS, "query": {}, "status": 502, "omitted": 120}
    page["headers"] = {"Content-Type": "text/html"}
    async with replayed(clock, story(page)) as client:
        status, body = await client.get(USERS)
        assert (status, body[:6]) == (502, b"<html>")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the first line does not say"),
        (b'{"value": []}\n', "the first line does not say that it is a recording"),
        (b"no JSON", "line 1"),
        (json.dumps(HEAD).encode() + b'\n{"t": 1, "path": "/x"}\n', "line 2 makes no sense"),
        (json.dumps(HEAD).encode() + b'\n{"t": "soon", "path": "/x"}\n', "line 2 makes no sense"),
        (json.dumps(HEAD).encode() + b"\n[]\n", "line 2 is no object"),
        (json.dumps(HEAD).encode() + b'\n{"t":0,"method":"GET","path":"/x","status":200,"same":true}', "line 2"),
        (b"\x1f\x8b broken", "Error"),
        (gzip.compress(b"x" * (64 * 1024 * 1024 + 1)), "unpacks to over 64 MiB"),
    ],
)
def test_what_is_no_recording_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(BridgeError, match=f"{path} is no recording: .*{why}"):
        read(path)


def test_a_recording_that_ends_in_the_middle_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl.gz"
    lines = [json.dumps(each) for each in (HEAD, said(0, USERS, [1]), said(5, USERS, [2]))]
    path.write_text("\n".join(lines) + '\n{"t": 6, "pa')
    assert [answer.content for answer in read(path).answers] == [[1], [2]]
    path.write_bytes(gzip.compress("\n".join(lines).encode())[:-6])
    assert [answer.content for answer in read(path).answers] == [[1], [2]]


async def test_within_one_millisecond_the_order_of_lines_counts(clock: FakeClock) -> None:
    rings, talks = {"id": 7, "status": "Ringing"}, {"id": 7, "status": "Connected"}
    recording = story(
        said(0, "/callcontrol", row()), event(5, 0), said(5, ONE, rings), event(5, 0), said(5, ONE, talks)
    )
    async with replayed(clock, recording) as client:
        clock.turn(0.006)
        assert await client.get(ONE) == (200, talks)


@pytest.mark.parametrize("code", [1006, 1005, None, 0, "x"])
async def test_a_lost_connection_is_closed_with_a_code_that_may_be_sent(code: object) -> None:
    recording = story(said(0, "/callcontrol", row()), {"t": 100, "websocket": "close", "code": code})
    pbx = ReplayedPbx(recording, waits=True)
    async with pbx.serve() as url, aiohttp.ClientSession() as session:
        async with asyncio.timeout(limit(5)), session.ws_connect(url + "/callcontrol/ws", headers=LOGIN) as socket:
            pbx.begin()
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1001
