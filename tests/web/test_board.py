"""What the board's API says: snapshots, changes, beats, and what becomes of readers who are slow or go away."""

import asyncio
import logging
from contextlib import AsyncExitStack

import aiohttp
import pytest

from bridge.domain.model import CallStatus, Direction, State
from bridge.web import feed
from bridge.web.board import Contact
from bridge.web.timing import WebTiming
from tests.support.board import INSTANCE, BoardSite
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.world import ACTIVE_CALLS, MONITOR_STATUS, leg


@pytest.fixture
def site(clock: FakeClock) -> BoardSite:
    return BoardSite(clock)


async def test_a_snapshot_says_everything_in_one_picture(clock: FakeClock) -> None:
    site = BoardSite(clock, world={"groups": {"desk": ["10*"], "nobody": ["9*"]}})
    site.users(d100=State.AVAILABLE, d205=State.AWAY)
    site.board.light("desk", {"shows": "available", "color": "#00ff00"})
    async with site.serving():
        answer = await site.ask("/api/snapshot")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
        snapshot = answer.json
        assert snapshot["instance"] == INSTANCE
        assert snapshot["viewer"] == {"admin": False, "limited": False, "can_log_in": False}
        assert snapshot["revision"] == site.feed.revision > 0
        (pbx,) = snapshot["pbxs"]
        assert pbx["name"] == "hq"
        assert [user["number"] for user in pbx["users"]] == ["100", "205"]
        assert pbx["users"][1] == {
            "number": "205",
            "name": None,
            "department": None,
            "state": "away",
            "busy": False,
            "since": "2026-11-22T10:00:00Z",
            "reason": "profile: Away",
            "profile": None,
            "registered": None,
            "queue": None,
            "call": None,
            "calls": None,
            "today": {
                "date": "2026-11-22",
                "missed": 0,
                "answered": 0,
                "made": 0,
                "talk_time": 0,
                "last_missed": None,
            },
        }
        assert pbx["groups"] == [
            {"name": "desk", "busy": False, "members": ["100"]},
            {"name": "nobody", "busy": None, "members": []},
        ]
        assert pbx["lights"] == [{"name": "desk", "shows": "available", "color": "#00ff00"}]
        assert pbx["queues"] == pbx["log"] == []
        assert {each["name"]: each["in_use"] for each in pbx["sources"]}["monitor_status"] is True
        assert pbx["bridge"] == {
            "broker": True,
            "pbx": True,
            "last_news": "2026-11-22T10:00:00Z",
            "pbx_version": None,
            "system": None,
            "version": "1.2.3",
        }


async def test_a_stream_begins_with_a_snapshot_and_goes_on_with_changes(site: BoardSite) -> None:
    site.users(d100=State.AVAILABLE)
    async with site.serving(), site.stream() as stream:
        first = await stream.next()
        assert (first.name, first.json["pbxs"][0]["users"][0]["state"]) == ("snapshot", "available")
        assert first.identity == f"{INSTANCE}:{first.json['revision']}"
        site.users(d100=State.ON_CALL)
        second = await stream.next()
        change = second.json
        assert second.identity == f"{INSTANCE}:{change['revision']}"
        assert change["revision"] > first.json["revision"]
        assert (change["pbx"], change["kind"], change["key"]) == ("hq", "user", "100")
        assert change["value"]["state"] == "on_call"
        site.users(d100=State.ON_CALL, d101=State.RINGING)
        assert (await stream.change())["key"] == "101"


async def test_headers_keep_proxies_from_holding_events_back(site: BoardSite) -> None:
    async with site.serving(), site.stream(Accept_Encoding="gzip, br") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["Cache-Control"] == "no-store, no-transform"
        assert stream.headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in stream.headers


async def test_whoever_was_away_for_a_moment_gets_what_was_missed(site: BoardSite) -> None:
    site.users(d100=State.AVAILABLE)
    async with site.serving():
        async with site.stream() as stream:
            last = (await stream.next()).identity
        site.users(d100=State.RINGING)
        site.users(d100=State.ON_CALL)
        async with site.stream(Last_Event_ID=last) as stream:
            assert [(await stream.change())["value"]["state"] for _ in range(2)] == ["ringing", "on_call"]
        for other in ("ffffffff:1", f"{INSTANCE}:999999", f"{INSTANCE}:-1", "rubbish", f"{INSTANCE}:²", ""):
            async with site.stream(Last_Event_ID=other) as stream:
                assert (await stream.next()).name == "snapshot", other


async def test_whoever_was_away_for_long_gets_a_snapshot(site: BoardSite, clock: FakeClock) -> None:
    site.users(d100=State.AVAILABLE)
    async with site.serving():
        async with site.stream() as stream:
            last = (await stream.next()).identity
        for _ in range(1100):
            site.users(d100=State.RINGING)
            site.users(d100=State.ON_CALL)
        async with site.stream(Last_Event_ID=last) as stream:
            first = await stream.next()
            assert (first.name, first.json["pbxs"][0]["users"][0]["state"]) == ("snapshot", "on_call")
            last = first.identity
        async with asyncio.timeout(limit(5)):
            while site.feed._readers:
                await asyncio.sleep(0.01)
        clock.turn(301)
        site.users(d100=State.AVAILABLE)
        async with site.stream(Last_Event_ID=last) as stream:
            assert (await stream.next()).name == "snapshot"


async def test_without_readers_nothing_is_rendered(site: BoardSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def rendered(_: object) -> dict[str, object]:
        raise AssertionError("rendered for nobody")

    monkeypatch.setattr("bridge.web.board.user_facts", rendered)
    site.users(d100=State.AVAILABLE, d101=State.AWAY)
    site.users(d100=State.ON_CALL, d101=State.AWAY)
    assert site.feed.revision > 0


async def test_a_change_is_rendered_once_for_all_readers(site: BoardSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.users(d100=State.AVAILABLE)
    frames: list[feed.Change] = []
    real = feed.Feed.frame

    def frame(self: feed.Feed, change: feed.Change) -> bytes:
        frames.append(change)
        return real(self, change)

    monkeypatch.setattr(feed.Feed, "frame", frame)
    async with site.serving(), AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(site.stream()) for _ in range(5)]
        for stream in streams:
            await stream.next("snapshot")
        site.users(d100=State.ON_CALL)
        for stream in streams:
            assert (await stream.change())["value"]["state"] == "on_call"
    assert [change.key for change in frames].count("100") == 1


async def test_a_user_who_is_gone_is_null(site: BoardSite, clock: FakeClock) -> None:
    site.users(d100=State.AVAILABLE, d101=State.AWAY)
    async with site.serving(), site.stream() as stream:
        await stream.next("snapshot")
        site.users(d100=State.AVAILABLE)
        clock.turn(601)
        site.users(d100=State.AVAILABLE)
        async with asyncio.timeout(limit(5)):
            while (change := await stream.change())["key"] != "101" or change["value"] is not None:
                pass
    assert site.board.shown("101") is None


async def test_a_monitor_row_alone_is_no_change(site: BoardSite) -> None:
    site.users(d100=State.AVAILABLE)
    before = site.feed.revision
    (user,) = site.world.engine.users()
    for _ in site.board.user(user, user):
        raise AssertionError("an observer publishes nothing")
    assert site.feed.revision == before


async def test_calls_come_with_their_events_and_count_for_today(clock: FakeClock) -> None:
    site = BoardSite(clock, world={"sources": (MONITOR_STATUS, ACTIVE_CALLS)})
    site.users(d100=State.AVAILABLE)
    site.world.polled()
    async with site.serving(), site.stream() as stream:
        await stream.next("snapshot")
        call = leg(CallStatus.RINGING, direction=Direction.INBOUND, party="0301234567", since=int(clock.clock.wall()))
        site.world.polled({"100": (call,)})
        seen = [await stream.change(), await stream.change()]
        assert [each["kind"] for each in seen] == ["user", "call"]
        assert (seen[1]["key"], seen[1]["value"]["event_type"]) == ("100", "ringing")
        site.world.polled()
        clock.turn(30)
        site.world.engine.tick()
        async with asyncio.timeout(limit(5)):
            while not ((change := await stream.change())["kind"] == "user" and change["value"]["today"]["missed"]):
                pass
        assert change["value"]["today"]["missed"] == 1


async def test_it_follows_the_pbx_without_a_broker(site: BoardSite) -> None:
    site.world.wire.in_sync = False
    async with site.serving(), site.stream() as stream:
        await stream.next("snapshot")
        site.users(d100=State.ON_CALL)
        assert (await stream.change())["value"]["state"] == "on_call"
    assert site.world.wire.retained == {}


async def test_a_beat_says_whether_the_board_can_be_believed(site: BoardSite, clock: FakeClock) -> None:
    async with site.serving(), site.stream() as stream:
        beat = (await stream.next("beat")).json
        assert beat["revision"] == site.feed.revision
        assert beat["pbxs"] == [{"name": "hq", "broker": True, "pbx": True, "last_news": "2026-11-22T10:00:00Z"}]
        site.contact = Contact(broker=False, pbx=True, last_news=clock.clock.wall() - 60)
        async with asyncio.timeout(limit(5)):
            while (beat := (await stream.next("beat")).json)["pbxs"][0]["broker"]:
                pass
        assert beat["pbxs"][0]["last_news"] == "2026-11-22T09:59:00Z"


async def test_what_nobody_tells_of_is_looked_at_now_and_then(site: BoardSite) -> None:
    async with site.serving(), site.stream() as stream:
        await stream.next("snapshot")
        site.described = {"version": "1.2.3", "findings": [{"about": "token", "verdict": "ok", "message": "fine"}]}
        change = await stream.change()
        assert (change["kind"], change["value"]["findings"][0]["about"]) == ("bridge", "token")


async def test_warnings_are_shown_the_last_fifty(site: BoardSite) -> None:
    for number in range(60):
        site.board.warning(f'{{"message":"{number}"}}')
    async with site.serving(), site.stream() as stream:
        shown = (await stream.next("snapshot")).json["pbxs"][0]["log"]
        assert [each["message"] for each in shown] == [str(number) for number in range(10, 60)]
        site.board.warning('{"message":"new"}')
        assert (await stream.change())["value"] == {"message": "new"}
        site.board.warning('{"message":***}')  # what redaction may leave
        assert (await stream.change())["value"] == {"message": '{"message":***}'}


async def test_a_reader_who_does_not_read_is_let_go(site: BoardSite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    numbers = [f"d{dn}" for dn in range(100, 300)]
    site.users(**dict.fromkeys(numbers, State.AVAILABLE))
    async with site.serving():
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
        writer.write(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.readline()
        async with asyncio.timeout(limit(30)):
            while not site.feed._readers:
                await asyncio.sleep(0.01)
            while site.feed._readers:
                for state in (State.ON_CALL, State.AVAILABLE):
                    site.users(**dict.fromkeys(numbers, state))
                    await asyncio.sleep(0)
        writer.close()
        async with site.stream() as stream:
            assert (await stream.next()).name == "snapshot"
    assert "error" not in caplog.text.lower()


async def test_too_many_readers_are_refused_and_probes_are_not(
    site: BoardSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_READERS", 2)
    async with site.serving(), site.stream(), site.stream():
        refused = await site.ask("/api/events")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        assert (await site.ask("/healthz")).status == 200


async def test_streams_outlive_the_time_of_other_connections(clock: FakeClock) -> None:
    site = BoardSite(clock, WebTiming(longest_connection=0.1, beat=0.1, look_again=60))
    async with site.serving(), site.stream() as stream:
        for _ in range(5):
            await stream.next("beat")


async def test_a_reader_who_has_gone_is_forgotten(site: BoardSite) -> None:
    async with site.serving():
        async with site.stream() as stream:
            await stream.next()
        async with asyncio.timeout(limit(5)):
            while site.feed._readers:
                await asyncio.sleep(0.01)


async def test_the_server_ends_at_once_with_open_streams(site: BoardSite) -> None:
    async with AsyncExitStack() as stack:
        async with site.serving():
            stream = await stack.enter_async_context(site.stream())
            await stream.next()
        with pytest.raises((EOFError, aiohttp.ClientError)):
            await stream.next("never")


async def test_ten_thousand_users_leave_others_their_turn(site: BoardSite) -> None:
    site.users(**{f"d{dn}": State.AVAILABLE for dn in range(10000, 12000)})
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await site.board.render()
    counting.cancel()
    assert turns >= 2000 // 200
