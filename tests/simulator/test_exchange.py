"""The simulated PBX's calls, its prompt, and how its HTTP interface shows them."""

import json

import pytest

from bridge.simulator import SimulatedPbx
from bridge.simulator.exchange import ExchangeError
from bridge.simulator.prompt import HELP, Prompt
from tests.simulator.client import Client


def typed(pbx: SimulatedPbx, *lines: str) -> list[str]:
    prompt = Prompt(pbx)
    return [prompt.do(line) for line in lines]


def words(pbx: SimulatedPbx) -> list[str | None]:
    return [pbx.exchange.word(dn) for dn in pbx.users]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["ring 101"], [None, "Ringing", None]),
        (["ring 101 100"], ["Dialing", "Ringing", None]),
        (["dial 101 0301234567"], [None, "Dialing", None]),
        (["dial 101 0301234567", "answer 101"], [None, "Connected", None]),
        (["ring 101", "answer 101", "hold 101"], [None, "Hold", None]),
        (["ring 101", "answer 101", "hold 101", "resume 101"], [None, "Connected", None]),
        (["ring 101", "answer 101", "transfer 101 102"], [None, None, "Ringing"]),
        (["dial 101 0301234567", "answer 101", "transfer 101 102", "answer 102"], [None, None, "Connected"]),
        (["ring 101", "hangup 101"], [None, None, None]),
        (["ring 8100"], ["Ringing", "Ringing", None]),
        (["ring 101", "pickup 102 101"], [None, None, "Connected"]),
        (["ring 101", "voicemail 101"], [None, None, None]),
        (["queue 101 in", "queue 102 in", "ring 8000"], [None, "Ringing", "Ringing"]),
        (["queue 101 in", "queue 102 in", "ring 8000", "answer 102"], [None, None, "Connected"]),
    ],
)
def test_typed_commands_make_calls(pbx: SimulatedPbx, lines: list[str], expected: list[str | None]) -> None:
    typed(pbx, *lines)
    assert words(pbx) == expected


def test_typed_commands_change_people(pbx: SimulatedPbx) -> None:
    typed(pbx, "profile 101 Out of office", "queue 101 in", "unplug 101")
    user = pbx.users["101"]
    assert (user.profile, user.queue, user.registered) == ("Out of office", "LoggedIn", False)
    typed(pbx, "plug 101", "queue 101 out")
    assert (user.queue, user.registered) == ("LoggedOut", True)
    assert "101  Bruno O'Brien: no call, Out of office" in typed(pbx, "list")[0]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("help", "ring 101"),
        ("sing 101", "sing? There are: ring, dial"),
        ("ring", HELP),
        ("ring 999", "there is no 999"),
        ("dial 999 1", "there is no 999"),
        ("answer 101", "101 has no call"),
        ("hold 999", "there is no 999"),
        ("pickup 100 101", "101 has no call"),
        ("voicemail 101", "101 has no call"),
        ("profile 999 Away", "there is no 999"),
        ("queue 101 sideways", HELP),
        ("department 999 Sales", "there is no 999"),
        ("department 101", "there are the departments DEFAULT, Sales, Support"),
    ],
)
def test_impossible_commands_are_answered_with_the_reason(pbx: SimulatedPbx, line: str, answer: str) -> None:
    assert answer in typed(pbx, line)[0]


def test_calls_that_do_not_ring_cannot_be_answered_or_held(pbx: SimulatedPbx) -> None:
    call = pbx.exchange.ring("0301234567", "101")
    with pytest.raises(ExchangeError, match="102 is not ringing"):
        pbx.exchange.answer(call, "102")
    with pytest.raises(ExchangeError, match="101 has no such call"):
        pbx.exchange.hold(call, "101")
    with pytest.raises(ExchangeError, match="cannot transfer to 999"):
        pbx.exchange.transfer(call, "101", "999")
    with pytest.raises(ExchangeError, match="there is no call 7"):
        pbx.exchange.answer(7)


async def test_active_calls_are_display_strings_without_the_agents_phones(pbx: SimulatedPbx, client: Client) -> None:
    pbx.change("101", queue="LoggedIn")
    pbx.exchange.ring("0301234567", "8000")
    pbx.exchange.ring("100", "102")
    _, body = await client.get("/xapi/v1/ActiveCalls", **{"$top": "100", "$orderby": "Id"})
    first, second = body["value"]
    assert (first["Caller"], first["Callee"], first["Status"]) == (
        "10001 SIP-Trunk (0301234567)",
        "8000 Support",
        "Talking",
    )
    assert (second["Caller"], second["Callee"], second["Status"]) == ("100 Ada Example", "102 Chloé Müller", "Routing")
    assert (second["EstablishedAt"], second["ServerNow"][-1]) == (None, "Z")


async def test_users_can_be_selected_and_ordered(pbx: SimulatedPbx, client: Client) -> None:
    query = {"$select": "Number,IsRegistered", "$orderby": "Number desc", "$top": "2"}
    _, body = await client.get("/xapi/v1/Users", **query)
    assert body["value"] == [{"Number": "102", "IsRegistered": True}, {"Number": "101", "IsRegistered": True}]
    _, whole = await client.get("/xapi/v1/Users", **{"$top": "1"})
    assert "AuthPassword" in whole["value"][0]


@pytest.mark.parametrize(("version", "status"), [("20.0.8", 400), ("20.0.9", 200), ("20.0.10", 200)])
async def test_ai_agents_are_known_since_20_0_9(pbx: SimulatedPbx, client: Client, version: str, status: int) -> None:
    pbx.version = version
    found, body = await client.get("/xapi/v1/Users", **{"$select": "Number,AIAgent"})
    assert found == status
    if status == 400:
        assert "Could not find a property named 'AIAgent' on type 'Pbx.User'." in body["error"]["message"]


async def test_a_patch_is_done_or_silently_ignored(pbx: SimulatedPbx, client: Client) -> None:
    path = f"/xapi/v1/Users({pbx.users['101'].id})"
    assert await client.patch(path, {"QueueStatus": "LoggedIn", "CurrentProfileName": "Away"}) == (204, None)
    assert (pbx.users["101"].queue, pbx.users["101"].profile) == ("LoggedIn", "Away")
    pbx.ignores_profiles = True
    assert (await client.patch(path, {"CurrentProfileName": "Available"}))[0] == 204
    assert pbx.users["101"].profile == "Away"
    assert (await client.patch(path, {"QueueStatus": "Perhaps"}))[0] == 400
    assert (await client.patch(path, {"Number": "1"}))[0] == 400
    assert (await client.patch("/xapi/v1/Users(9999)", {"QueueStatus": "LoggedIn"}))[0] == 404
    pbx.tokens.drop()
    assert (await client.patch(path, {"QueueStatus": "LoggedIn"}))[0] == 401


async def test_call_control_shows_its_route_point_and_the_listed_extensions(pbx: SimulatedPbx, client: Client) -> None:
    pbx.peers = {"101"}
    pbx.change("101", devices=2)
    call = pbx.exchange.ring("0301234567", "101")
    _, body = await client.get("/callcontrol")
    assert [(row["dn"], row["type"], len(row["participants"])) for row in body] == [
        ("busylights", "Wroutepoint", 0),
        ("101", "Wextension", 2),
    ]
    first = body[1]["participants"][0]
    assert (first["status"], first["party_dn_type"], first["party_caller_id"]) == (
        "Ringing",
        "Wexternalline",
        "0301234567",
    )
    path = f"/callcontrol/101/participants/{first['id']}"
    assert await client.get(path) == (200, first)
    assert (await client.get("/callcontrol/102/participants/1"))[0] == 403
    pbx.exchange.end(call)
    assert (await client.get(path))[0] == 404
    pbx.may_control_calls = False
    assert (await client.get("/callcontrol"))[0] == (await client.get(path))[0] == 403


async def test_events_name_participants_without_their_status(pbx: SimulatedPbx, client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/callcontrol/ws") as socket:
        while not len(pbx.stream):
            await client.get("/xapi/v1/Defs")
        call = pbx.exchange.ring("0301234567", "101")
        pbx.exchange.answer(call)
        pbx.exchange.end(call)
        events = [json.loads((await socket.receive(5)).data) for _ in range(3)]
    assert [(each["sequence"], each["event"]["event_type"]) for each in events] == [(1, 0), (2, 0), (3, 1)]
    assert {each["event"]["attached_data"] for each in events} == {None}
    assert {each["event"]["entity"].rpartition("/")[0] for each in events} == {"/callcontrol/101/participants"}


async def test_extended_monitor_rows_follow_calls_and_profiles(pbx: SimulatedPbx, client: Client) -> None:
    async def word() -> object:
        _, body = await client.get("/xapi/v1/Users/Pbx.GetMonitorStatus()")
        return body["value"][1]["State"]

    assert await word() == "Available"
    pbx.change("101", profile="Out of office")
    assert await word() == "DND"
    pbx.change("101", registered=False)
    assert await word() == "Offline"
    pbx.exchange.answer(pbx.exchange.ring("0301234567", "101"))
    assert await word() == "Connected"


def test_all_phones_of_a_ring_group_share_one_call(pbx: SimulatedPbx) -> None:
    call = pbx.exchange.ring("0301234567", "8100")
    assert words(pbx) == ["Ringing", "Ringing", None]
    (first,), (second,) = pbx.exchange.participants("100"), pbx.exchange.participants("101")
    assert (first["callid"], second["callid"]) == (call, call)
    assert (first["on_behalf_of_dn"], first["on_behalf_of_type"]) == ("8100", "Wringgroup")
    assert [row["Callee"] for row in pbx.exchange.active_calls()] == ["8100 Reception"]
    pbx.exchange.answer(call, "101")
    assert words(pbx) == [None, "Connected", None]


def test_active_calls_may_have_a_row_per_ringing_member(pbx: SimulatedPbx) -> None:
    pbx.exchange.rows.group_by_member = True
    call = pbx.exchange.ring("0301234567", "8100")
    rows = pbx.exchange.active_calls()
    assert [(row["Id"], row["Callee"]) for row in rows] == [(call, "100 Ada Example"), (call, "101 Bruno O'Brien")]
    pbx.exchange.answer(call, "100")
    assert [row["Callee"] for row in pbx.exchange.active_calls()] == ["100 Ada Example"]


def test_a_colleague_picks_up_and_does_not_say_from_whom(pbx: SimulatedPbx) -> None:
    call = pbx.exchange.ring("0301234567", "101")
    pbx.exchange.pick_up(call, "102")
    assert words(pbx) == [None, None, "Connected"]
    (leg,) = pbx.exchange.participants("102")
    assert (leg["callid"], leg["party_dn_type"], leg["party_dn"], leg["party_caller_id"]) == (call, "None", "", "102")
    assert [row["Callee"] for row in pbx.exchange.active_calls()] == ["102 Chloé Müller"]
    with pytest.raises(ExchangeError, match="100 cannot pick up"):
        pbx.exchange.pick_up(call, "100")
