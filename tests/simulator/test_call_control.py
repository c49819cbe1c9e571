"""Call Control of the simulated PBX, by HTTP and over its websocket."""

import json

import pytest

from bridge.simulator import SimulatedPbx
from tests.simulator.client import Client
from tests.support.limits import limit


async def test_devices_are_those_that_are_registered(pbx: SimulatedPbx, client: Client) -> None:
    pbx.change("101", devices=2)
    pbx.change("102", registered=False)
    _, rows = await client.get("/callcontrol")
    assert {row["dn"]: len(row["devices"]) for row in rows} == {"busylights": 0, "100": 1, "101": 2, "102": 0}
    call = pbx.exchange.ring("0301234567", "101")
    _, devices = await client.get("/callcontrol/101/devices")
    _, participants = await client.get("/callcontrol/101/participants")
    assert [each["device_id"] for each in devices] == [each["device_id"] for each in participants]
    assert [each["legid"] for each in participants] == [1, 2]
    assert await client.get("/callcontrol/101") == (
        200,
        next(row for row in (await client.get("/callcontrol"))[1] if row["dn"] == "101"),
    )
    pbx.exchange.end(call)
    assert await client.get("/callcontrol/101/participants") == (200, [])
    assert (await client.get("/callcontrol/101/nothing"))[0] == 404
    assert (await client.get("/callcontrol/999"))[0] == 403


async def test_other_dns_are_listed_where_the_pbx_does_so(pbx: SimulatedPbx, client: Client) -> None:
    pbx.lists_services = True
    _, rows = await client.get("/callcontrol")
    assert [(row["dn"], row["type"]) for row in rows if row["type"] != "Wextension"] == [
        ("busylights", "Wroutepoint"),
        ("8000", "Wqueue"),
        ("8200", "Wivr"),
        ("8100", "Wringgroup"),
        ("10001", "Wexternalline"),
    ]
    pbx.change("101", queue="LoggedIn")
    call = pbx.exchange.ring("0301234567", "8000")
    _, (waiting,) = await client.get("/callcontrol/8000/participants")
    assert (waiting["status"], waiting["party_caller_id"], waiting["callid"]) == ("Connected", "0301234567", call)
    pbx.exchange.answer(call)
    assert await client.get("/callcontrol/8000/participants") == (200, [])


async def test_an_outbound_leg_does_not_know_its_party_at_first(pbx: SimulatedPbx, client: Client) -> None:
    call = pbx.exchange.ring("101", "0301234567", routed=False)
    _, (leg,) = await client.get("/callcontrol/101/participants")
    assert (leg["status"], leg["party_dn_type"], leg["party_dn"]) == ("Dialing", "None", "")
    _, body = await client.get("/xapi/v1/ActiveCalls")
    assert body["value"][0]["Callee"] == "ROUTER"
    pbx.exchange.route(call)
    _, (leg,) = await client.get("/callcontrol/101/participants")
    assert (leg["status"], leg["party_dn_type"], leg["party_dn"]) == ("Dialing", "Wexternalline", "10001")
    assert (leg["party_caller_id"], leg["originated_by_type"]) == ("0301234567", "None")


async def test_a_call_made_by_the_api_rings_its_own_phone_first(pbx: SimulatedPbx, client: Client) -> None:
    call = pbx.exchange.make_call("101", "0301234567")
    _, (leg,) = await client.get("/callcontrol/101/participants")
    assert (leg["status"], leg["party_dn_type"], leg["party_caller_id"]) == ("Ringing", "Wexternalline", "0301234567")
    assert (leg["originated_by_dn"], leg["originated_by_type"]) == ("101", "Wextension")
    (row,) = await client.rows("ActiveCalls", select="Caller,Callee")
    assert row == {"Caller": "MakeCall", "Callee": "101 Bruno O'Brien"}
    pbx.exchange.answer(call)
    (row,) = await client.rows("ActiveCalls", select="Caller,Callee,Status")
    assert row == {"Caller": "101 Bruno O'Brien", "Callee": "10001 SIP-Trunk (0301234567)", "Status": "Talking"}


@pytest.mark.parametrize(
    ("caller", "callee", "strings"),
    [
        ("", "101", ("10001 SIP-Trunk ()", "101 Bruno O'Brien")),
        ("10001", "101", ("10001 SIP-Trunk", "101 Bruno O'Brien")),
        ("anonymous", "101", ("10001 SIP-Trunk (anonymous)", "101 Bruno O'Brien")),
        ("+49301234567 Ada (Acme GmbH)", "101", ("+49301234567 Ada (Acme GmbH)", "101 Bruno O'Brien")),
        ("102", "101", ("102 Chloé Müller (Sales)", "101 Bruno O'Brien")),
        ("101", "666", ("101 Bruno O'Brien", "666 Voicemail")),
        ("101", "700", ("101 Bruno O'Brien", "Conference 700")),
        ("101", "SP0", ("101 Bruno O'Brien", "SP0 Shared Parking 0")),
        ("0301234567", "8200", ("10001 SIP-Trunk (0301234567)", "8200 Main menu")),
    ],
)
def test_strings_of_active_calls(pbx: SimulatedPbx, caller: str, callee: str, strings: tuple[str, str]) -> None:
    pbx.change("102", name="Chloé Müller (Sales)")
    pbx.exchange.ring(caller, callee)
    (row,) = pbx.exchange.active_calls()
    assert (row["Caller"], row["Callee"]) == strings


def test_the_voicemail_of_a_user_answers(pbx: SimulatedPbx) -> None:
    pbx.exchange.to_voicemail(pbx.exchange.ring("0301234567", "101"))
    (row,) = pbx.exchange.active_calls()
    assert (row["Callee"], row["Status"]) == ("VoiceMail of 101 Bruno O'Brien", "Talking")
    assert pbx.exchange.word("101") is None


def test_a_special_menu_has_no_direct_control(pbx: SimulatedPbx) -> None:
    pbx.exchange.answer(pbx.exchange.ring("101", "666"))
    (leg,) = pbx.exchange.participants("101")
    assert (leg["party_dn_type"], leg["direct_control"]) == ("Wspecialmenu", None)


async def test_ids_may_be_text(pbx: SimulatedPbx, client: Client) -> None:
    pbx.exchange.rows.ids_are_text = True
    call = pbx.exchange.ring("0301234567", "101")
    (leg,) = pbx.exchange.participants("101")
    assert (leg["callid"], leg["legid"]) == (str(call), "1")
    assert pbx.exchange.active_calls()[0]["Id"] == str(call)
    assert await client.get(f"/callcontrol/101/participants/{leg['id']}") == (200, leg)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1788250504.0, "2026-09-01T08:15:04Z"),
        (1788250504.5, "2026-09-01T08:15:04.5Z"),
        (1788250504 + 2**-7, "2026-09-01T08:15:04.0078125Z"),
    ],
)
def test_times_are_written_as_dotnet_does(seconds: float, text: str) -> None:
    pbx = SimulatedPbx(clock=lambda: seconds)
    pbx.exchange.ring("0301234567", "101")
    assert pbx.exchange.active_calls()[0]["ServerNow"] == text


async def test_requests_over_the_websocket_are_answered(pbx: SimulatedPbx, client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/callcontrol/ws") as socket:
        answers = []
        for number, path in enumerate(["/callcontrol", "/callcontrol/101/participants/1", "/callcontrol/999"]):
            await socket.send_str("no request")
            await socket.send_json({"RequestID": str(number), "Path": path})
            answers.append(json.loads((await socket.receive(limit(5))).data))
    assert [(each["sequence"], each["event"]["event_type"]) for each in answers] == [(1, 4), (2, 4), (3, 4)]
    data = [each["event"]["attached_data"] for each in answers]
    assert [(each["RequestID"], each["StatusCode"]) for each in data] == [("0", 200), ("1", 404), ("2", 403)]
    assert data[0]["Path"] == "/callcontrol"
    assert data[0]["Response"] == (await client.get("/callcontrol"))[1]
