"""What can be changed from the board, and that it shows the PBX's answer instead of assuming one."""

import asyncio

import pytest

from bridge.errors import BridgeError
from bridge.web.timing import WebTiming
from tests.support.board import BoardSite
from tests.support.clock import FakeClock

USER = "/api/pbxs/hq/users/100"


async def after(problem: str | None) -> str | None:
    await asyncio.sleep(0)
    return problem


@pytest.fixture
def site(clock: FakeClock) -> BoardSite:
    return BoardSite(clock, password="x")


async def test_a_light_is_paused_as_on_mqtt(site: BoardSite) -> None:
    async with site.serving():
        cookie = await site.log_in("x")
        assert (await site.post("/api/pbxs/hq/lights/desk", {"pause": True}, cookie)).json == {"status": "ok"}
        assert site.requests == [("light", "desk", {"pause": True})]
        unknown = await site.post("/api/pbxs/hq/lights/other", {"pause": True}, cookie)
        assert (unknown.status, unknown.json["error"]) == (400, "there is no light 'other'")
        assert (await site.post("/api/pbxs/other/lights/desk", {"pause": True}, cookie)).status == 404


@pytest.mark.parametrize("body", ["", "[]", "{", '"x"', "[" * 2000, "\ufffe"])
async def test_what_is_no_json_object_is_refused(site: BoardSite, body: str) -> None:
    async with site.serving():
        cookie = await site.log_in("x")
        answer = await site.ask(
            "/api/pbxs/hq/lights/desk", "POST", body.encode(), cookie, Content_Type="application/json"
        )
        assert (answer.status, answer.json["status"]) == (400, "error")
        assert site.requests == []


async def test_the_answer_of_the_pbx_is_passed_on(site: BoardSite) -> None:
    site.answer = lambda: after(None)
    async with site.serving():
        cookie = await site.log_in("x")
        assert (await site.post(USER, {"profile": "Away"}, cookie)).json == {"status": "ok"}
        site.answer = lambda: after("the PBX accepted a new profile but did not change it")
        answer = await site.post(USER, {"profile": "Away"}, cookie)
        assert (answer.status, answer.json["error"]) == (502, "the PBX accepted a new profile but did not change it")

        def refuse() -> None:
            raise BridgeError("'Asleep' is not a profile")

        site.answer = refuse  # type: ignore[assignment]
        assert (await site.post(USER, {"profile": "Asleep"}, cookie)).status == 400


async def test_a_pbx_that_does_not_answer_is_said_not_to(clock: FakeClock) -> None:
    site = BoardSite(clock, WebTiming(longest_command=0.05), password="x")
    site.answer = lambda: asyncio.Event().wait()  # type: ignore[assignment]
    async with site.serving():
        answer = await site.post(USER, {"profile": "Away"}, await site.log_in("x"))
        assert (answer.status, "may still be made" in answer.json["error"]) == (504, True)


async def test_without_commands_users_cannot_be_changed(site: BoardSite) -> None:
    async with site.serving():
        answer = await site.post(USER, {"profile": "Away"}, await site.log_in("x"))
        assert (answer.status, "set commands.profile" in answer.json["error"]) == (403, True)
