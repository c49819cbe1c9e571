"""Entities of the simulated XAPI, as clients of other people read them."""

import pytest

from bridge.simulator import SimulatedPbx
from tests.simulator.client import Client

USERS = "/xapi/v1/Users"


async def test_a_user_is_found_by_id_and_by_number(pbx: SimulatedPbx, client: Client) -> None:
    by_id = await client.get(f"{USERS}({pbx.users['101'].id})", **{"$select": "Number,DisplayName"})
    by_number = await client.get(f"{USERS}(Number='101')", **{"$select": "Number, DisplayName"})
    assert by_id == by_number
    status, body = by_id
    assert (status, body["Number"], body["DisplayName"]) == (200, "101", "Bruno O'Brien")
    assert body["@odata.context"].endswith("/xapi/v1/$metadata#Users/$entity")
    _, whole = await client.get(f"{USERS}(Number='101')")
    assert (whole["AuthPassword"], whole["Mobile"], whole["MyPhonePush"]) == ("never-select-me", None, False)
    assert not {"Groups", "Phones"} & set(whole)


@pytest.mark.parametrize("key", ["9999", "Number='999'", "'x'", "Name='Ada'", "Number=101"])
async def test_a_key_that_there_is_not_is_answered_as_odata_does(client: Client, key: str) -> None:
    status, body = await client.get(f"{USERS}({key})")
    assert status == 404
    assert set(body["error"]) == {"code", "message", "target", "details", "innerError"}


async def test_without_a_token_the_refusal_is_json(pbx: SimulatedPbx, client: Client) -> None:
    pbx.tokens.drop()
    status, body = await client.get(USERS)
    assert (status, body["error"]["message"]) == (401, "Unauthorized")
    assert client.headers["WWW-Authenticate"] == "Bearer"


async def test_relations_are_shown_when_they_are_expanded(pbx: SimulatedPbx, client: Client) -> None:
    expand = "Groups($select=GroupId,Name;$expand=Rights($select=RoleName)),ForwardingProfiles($select=Name)"
    first, *_ = await client.rows("Users", select="Number", expand=expand)
    assert first["Groups"] == [{"GroupId": 0, "Name": "DEFAULT", "Rights": [{"RoleName": "users"}]}]
    assert [each["Name"] for each in first["ForwardingProfiles"]][:3] == ["Available", "Away", "Out of office"]
    _, groups = await client.get(f"{USERS}({pbx.users['101'].id})/Groups")
    assert [each["Name"] for each in groups["value"]] == ["Sales"]
    message = await client.refused(USERS, expand="Nothing")
    assert message.endswith("Could not find a property named 'Nothing' on type 'Pbx.User'.")


async def test_queues_name_their_agents(client: Client) -> None:
    (queue,) = await client.rows("Queues", expand="Agents,Managers")
    assert (queue["Number"], queue["Name"]) == ("8000", "Support")
    assert [agent["Number"] for agent in queue["Agents"]] == ["100", "101", "102"]
    assert set(queue["Agents"][0]) == {"Id", "Name", "Number", "SkillGroup", "Tags"}  # no login: it is the user's
    _, agents = await client.get(f"/xapi/v1/Queues({queue['Id']})/Agents", **{"$select": "Number", "$top": "1"})
    assert agents["value"] == [{"Number": "100"}]
    message = await client.refused("/xapi/v1/Queues", expand="Agents($expand=User)")
    assert message.endswith("Could not find a property named 'User' on type 'Pbx.QueueAgent'.")


async def test_ring_groups_name_their_members(client: Client) -> None:
    (group,) = await client.rows("RingGroups", select="Number,Name", expand="Members($select=Number)")
    assert group == {"Number": "8100", "Name": "Reception", "Members": [{"Number": "100"}, {"Number": "101"}]}


async def test_a_trunk_has_no_name(client: Client) -> None:
    assert await client.rows("Trunks", select="Number,IsOnline") == [{"Number": "10001", "IsOnline": True}]
    message = await client.refused("/xapi/v1/Trunks", select="Number,Name")
    assert message.endswith("Could not find a property named 'Name' on type 'Pbx.Trunk'.")


async def test_departments_hold_users(client: Client) -> None:
    rows = await client.rows("Groups", select="Id,Name,IsDefault", expand="Members($select=Number)")
    assert rows[1] == {"Id": 1, "Name": "Sales", "IsDefault": False, "Members": [{"Number": "101"}]}


@pytest.mark.parametrize(("version", "extensions"), [("20.0.8.1109", False), ("20.0.10.51", True)])
async def test_the_system_status_counts(pbx: SimulatedPbx, client: Client, version: str, extensions: bool) -> None:
    pbx.version = version
    pbx.change("101", registered=False)
    pbx.exchange.ring("0301234567", "101")
    _, body = await client.get("/xapi/v1/SystemStatus")
    assert (body["Version"], body["CallsActive"], body["MaxSimCalls"]) == (version, 1, 16)
    assert (body["ExtensionsRegistered"], body["ExtensionsTotal"], body["TrunksRegistered"]) == (2, 3, 1)
    assert body["LicenseKey"]
    assert ("UserExtensions" in body) is extensions
    _, selected = await client.get("/xapi/v1/SystemStatus", **{"$select": "CallsActive"})
    assert {name for name in selected if not name.startswith("@")} == {"CallsActive"}


async def test_defs_is_an_entity_with_the_version_in_a_header(client: Client) -> None:
    status, body = await client.get("/xapi/v1/Defs", **{"$select": "Id"})
    assert (status, body["Id"], client.headers["X-3CX-Version"]) == (200, 0, "20.0.8.1109")
    assert "value" not in body
    _, zones = await client.get("/xapi/v1/Defs/TimeZones")
    assert zones["value"][0]["IanaName"] == "Europe/Berlin"


async def test_lists_are_ordered_by_several_properties(pbx: SimulatedPbx, client: Client) -> None:
    pbx.change("100", profile="Away")
    pbx.change("102", profile=None)
    rows = await client.rows("Users", select="Number", orderby="currentprofilename desc, Number asc")
    assert [row["Number"] for row in rows] == ["100", "101", "102"]  # null is the smallest
    rows = await client.rows("Users", select="Number", orderby="CurrentProfileName")
    assert [row["Number"] for row in rows] == ["102", "101", "100"]
    assert "Syntax error" in await client.refused(USERS, orderby="Number downwards")


async def test_names_may_be_written_in_any_case_and_come_back_as_they_are_spelt(client: Client) -> None:
    rows = await client.rows("Users", select="number , DISPLAYNAME", filter="startsWith(number,'101')")
    assert rows == [{"Number": "101", "DisplayName": "Bruno O'Brien"}]


async def test_types_are_compared_as_types(pbx: SimulatedPbx, client: Client) -> None:
    number = pbx.users["101"].id
    assert [row["Number"] for row in await client.rows("Users", filter=f"Id eq {number}")] == ["101"]
    message = await client.refused(USERS, filter=f"Id eq '{number}'")
    assert "Found operand types 'Edm.Int32' and 'Edm.String' for operator kind 'Equal'." in message
    pbx.change("102", profile=None)
    found = await client.rows("Users", select="Number", filter="contains(CurrentProfileName,'a') eq false")
    assert [row["Number"] for row in found] == ["102"]
    pbx.exchange.ring("0301234567", "101")
    assert await client.rows("ActiveCalls", filter="LastChangeStatus gt 2020-01-01T00:00:00.1234567Z")
    assert not await client.rows("ActiveCalls", filter="EstablishedAt gt 2020-01-01T00:00:00Z")  # null


async def test_a_pbx_without_a_search_binder_ignores_search_in_silence(pbx: SimulatedPbx, client: Client) -> None:
    assert len(await client.rows("Users", search='"Ada"')) == 1
    pbx.odata.searchable = False
    assert len(await client.rows("Users", search='"Ada"')) == len(await client.rows("Users", search="101")) == 3


@pytest.mark.parametrize("form", ["absolute", "relative"])
async def test_long_pages_may_be_continued_by_a_link(pbx: SimulatedPbx, client: Client, form: str) -> None:
    pbx.odata.page_size = 2
    assert "@odata.nextLink" not in (await client.get(USERS, **{"$select": "Number"}))[1]
    pbx.odata.next_link = "absolute" if form == "absolute" else "relative"
    _, body = await client.get(USERS, **{"$select": "Number", "$count": "true", "$top": "3"})
    link = body["@odata.nextLink"]
    assert (link.startswith(client.url), link.startswith("/xapi/v1/Users?")) == (form == "absolute", form == "relative")
    assert body["@odata.count"] == 3
    _, rest = await client.get(link.removeprefix(client.url))
    assert rest["value"] == [{"Number": "102"}]
    assert "@odata.nextLink" not in rest


@pytest.mark.parametrize(
    ("right", "path", "status"),
    [
        ("may_read_numbers", "Queues", 403),
        ("may_read_numbers", "Trunks", 403),
        ("may_read_numbers", "RingGroups", 403),
        ("may_read_system", "SystemStatus", 403),
        ("may_read_departments", "Groups", 401),
        ("may_read_calls", "ActiveCalls", 403),
        ("may_read_users", "Users(Number='101')", 403),
    ],
)
async def test_a_missing_right_denies_its_entities(
    pbx: SimulatedPbx, client: Client, right: str, path: str, status: int
) -> None:
    setattr(pbx, right, False)
    found, body = await client.get(f"/xapi/v1/{path}")
    assert (found, set(body)) == (status, {"error"})
