"""The simulated PBX behaves as a real one does, seen over HTTP."""

import base64
import json
import random
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from bridge.simulator import SimulatedPbx
from bridge.simulator.life import live, settle
from tests.support.clock import FakeClock

MONITOR_STATUS = "/xapi/v1/Users/Pbx.GetMonitorStatus()"


class Client:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.token = ""

    async def login(self, secret: str = "simulated-key", **form: str) -> tuple[int, dict[str, object]]:
        fields = {"client_id": "busylights", "client_secret": secret, "grant_type": "client_credentials"} | form
        async with self._session.post(f"{self._url}/connect/token", data=fields) as response:
            body = await response.json()
            self.token = body.get("access_token", self.token)
            return response.status, body

    async def get(
        self, path: str = MONITOR_STATUS, query: str = ""
    ) -> tuple[int, dict[str, object], Mapping[str, str]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        target = URL(f"{self._url}{path}?{query}", encoded=True)
        async with self._session.get(target, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else {}, response.headers

    async def found(self, query: str) -> list[str]:
        status, body, _ = await self.get(query=query)
        assert status == 200, body
        rows = body["value"]
        assert isinstance(rows, list)
        return [row["DN"] for row in rows]

    async def refusal(self, query: str) -> str:
        status, body, _ = await self.get(query=query)
        assert status == 400
        error = body["error"]
        assert isinstance(error, dict)
        assert set(error) == {"code", "message", "target", "details", "innerError"}
        return str(error["message"])


@pytest_asyncio.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, url)


@pytest.mark.parametrize(("version", "expires_in"), [("20.0.8.1109", 60), ("20.0.9.995", 3600), ("20.0.10", 3600)])
async def test_expires_in_has_the_unit_of_the_version(
    pbx: SimulatedPbx, client: Client, version: str, expires_in: int
) -> None:
    pbx.version = version
    status, body = await client.login()
    assert (status, body["expires_in"], body["token_type"]) == (200, expires_in, "Bearer")
    payload = client.token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims["exp"] - claims["iat"] == 3600


async def test_a_new_token_ends_the_one_before(client: Client) -> None:
    await client.login()
    old = client.token
    await client.login()
    assert (await client.get())[0] == 200
    client.token = old
    assert (await client.get())[0] == 401


async def test_a_token_ends_after_an_hour(clock: FakeClock) -> None:
    pbx = SimulatedPbx(clock=clock.clock.wall)
    async with pbx.serve() as url, aiohttp.ClientSession() as session:
        client = Client(session, url)
        await client.login()
        clock.turn(3599)
        assert (await client.get())[0] == 200
        clock.turn(1)
        assert (await client.get())[0] == 401


async def test_wrong_logins_are_refused_and_more_than_three_block_the_address(
    pbx: SimulatedPbx, client: Client
) -> None:
    for _ in range(4):
        status, body = await client.login("wrong")
        assert (status, body["error"]) == (401, "invalid_client")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.login()
    assert (pbx.tokens.refused, pbx.tokens.granted) == (4, 0)


async def test_other_grants_are_not_supported(client: Client) -> None:
    assert await client.login(grant_type="password") == (400, {"error": "unsupported_grant_type"})


async def test_the_version_is_in_the_header_of_one_cheap_answer(client: Client) -> None:
    await client.login()
    status, _, headers = await client.get("/xapi/v1/Defs", "$select=Id")
    assert (status, headers["X-3CX-Version"]) == (200, "20.0.8.1109")
    assert "X-3CX-Version" not in (await client.get())[2]


@pytest.mark.parametrize(("version", "status"), [("20.0.3", 404), ("20.0.4", 200), ("20.0.8.9", 200), ("20.0.9", 404)])
async def test_monitor_status_is_there_from_20_0_4_to_20_0_8(
    pbx: SimulatedPbx, client: Client, version: str, status: int
) -> None:
    pbx.version = version
    await client.login()
    assert (await client.get())[0] == status


async def test_rows_are_official_or_extended(pbx: SimulatedPbx, client: Client) -> None:
    await client.login()
    _, body, _ = await client.get(query="$top=1&$count=true")
    assert body["@odata.count"] == 3
    assert body["value"] == [{"DN": "100", "Expiration": 0, "State": "Available", "Name": "Ada Example"}]
    pbx.rows = "official"
    pbx.add_user("103")
    _, body, _ = await client.get(query="$skip=3")
    assert "@odata.count" not in body
    assert body["value"] == [{"DN": "103", "Expiration": 0}]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["100", "101", "102"]),
        ("$top=2", ["100", "101"]),
        ("$top=0", []),
        ("$skip=1&$top=1", ["101"]),
        ("top=1", ["100"]),
        ("Filter=DN%20eq%20'101'&skip=0", ["101"]),
        ("mine=1", ["100", "101", "102"]),
        ("$filter=DN%20eq%20'101'", ["101"]),
        ("$filter=State%20eq%20'Away'", ["102"]),
        ("$filter=Name%20eq%20'Bruno%20O''Brien'", ["101"]),
        ("$filter=not%20startswith(DN,'10')%20or%20contains(tolower(Name),'m%C3%BCller')", ["102"]),
        ("$filter=(DN%20eq%20'100'%20or%20DN%20eq%20'101')%20and%20State%20ne%20'Away'", ["100", "101"]),
        ("$filter=DN%20in%20('100','102')", ["100", "102"]),
        ("$filter=Expiration%20ge%200%20and%20length(DN)%20eq%203", ["100", "101", "102"]),
        ("$filter=Expiration%20gt%20null", []),
        ("$filter=CONTAINS(name,'Bruno')%20OR%20dn%20EQ%20'100'", ["100", "101"]),
        ("$filter=contains(Name,null)", []),
        ("$filter=not%20contains(Name,null)", ["100", "101", "102"]),
        ("$search=ada", ["100"]),
        ("$search=%22101%22", ["101"]),
        ("$search=%22AND%22", []),
        ("$search=(ada%20OR%20bruno)%20NOT%20bruno", ["100"]),
        ("$search=%22ada%20example%22", ["100"]),
        ("$search=%22example%20ada%22", []),
        ("$search=example%20ada", ["100"]),
        ("$search=ada%20OR%20bruno", ["100", "101"]),
        ("$search=NOT%20ada", ["101", "102"]),
        ("$search=m%C3%BCller%20AND%20chlo%C3%A9", ["102"]),
    ],
)
async def test_options_do_what_odata_says(pbx: SimulatedPbx, client: Client, query: str, found: list[str]) -> None:
    pbx.set_state("102", "Away")
    await client.login()
    assert await client.found(query) == found


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "$top=500",
            "The limit of '100' for Top query has been exceeded. The value from the incoming request is '500'.",
        ),
        ("$top=-1", "Invalid value '-1' for $top"),
        ("$skip=x", "Invalid value 'x' for $skip"),
        ("$select=DN", "'$select' is not supported"),
        ("$filter=Nope%20eq%201", "Could not find a property named 'Nope' on type 'Pbx.MonitoringState'."),
        ("$filter=DN%20eq", "Syntax error at position 5 in 'DN eq'."),
        ("$filter=DN%20eq%20'1", "Syntax error at position 5"),
        ("$filter=DN%20eq%20'1'%20)", "Syntax error at position 10"),
        ("$filter=contains(DN)", "No function signature for the function with name 'contains'"),
        ("$filter=substringof(DN,'1')", "An unknown function with name 'substringof'"),
        ("$filter=contains(DN,'1'", "')' expected"),
        ("$filter=" + "(" * 50 + "true" + ")" * 50, "The recursion limit has been exceeded."),
        ("$search=%22a", "There is an unterminated string literal at position 2 in '\"a'."),
        ("$search=a%20OR", "Expression expected at position 4 in 'a OR'."),
        ("$search=NOT", "Expression expected at position 3 in 'NOT'."),
        ("$search=101", "Syntax error: character '1' is not valid at position 0 in '101'."),
        ("$search=O'Brien", "Syntax error: character ''' is not valid at position 1 in 'O'Brien'."),
        ("$search=a%20b-c", "Syntax error: character '-' is not valid at position 3 in 'a b-c'."),
        ("$search=(ada", "')' or operator expected at position 4 in '(ada'."),
        ("$search=%22a%5Cb%22", "Invalid escape sequence '\\b' found at position 3 in '\"a\\b\"'."),
        ("$search=%22%22", "An identifier was expected at position 0."),
        ("$filter=Expiration%20eq%20'0'", "'Edm.Int32' and 'Edm.String' for operator kind 'Equal'."),
        ("$filter=contains(Expiration,'0')", "No function signature for the function with name 'contains'"),
        ("$filter=not%20DN", "Found operand type 'Edm.String' for operator kind 'Not'."),
        ("$filter=DN%20and%20true", "'Edm.String' and 'Edm.Boolean' for operator kind 'And'."),
        ("$filter=DN", "The $filter expression must evaluate to a single boolean value."),
        ("$count=maybe", "Invalid value 'maybe' for $count"),
    ],
)
async def test_invalid_options_are_refused_with_an_odata_error(client: Client, query: str, message: str) -> None:
    await client.login()
    assert message in await client.refusal(query)


async def test_an_official_build_knows_no_state(pbx: SimulatedPbx, client: Client) -> None:
    pbx.rows = "official"
    await client.login()
    refusal = await client.refusal("$filter=State%20eq%20'Connected'")
    assert refusal.endswith("Could not find a property named 'State' on type 'Pbx.MonitoringState'.")


async def test_rights_keys_and_users_change_while_it_runs(pbx: SimulatedPbx, client: Client) -> None:
    await client.login()
    pbx.remove_user("101")
    assert await client.found("") == ["100", "102"]
    pbx.may_read_users = False
    assert (await client.get())[0] == 403
    pbx.rotate_key("new")
    assert (await client.get())[0] == 401
    assert (await client.login())[0] == 401
    assert (await client.login("new"))[0] == 200
    assert (await client.get("/xapi/v1/Nothing"))[0] == 404


async def test_people_ring_talk_and_come_back() -> None:
    pbx = SimulatedPbx(users=4)
    reported: list[str] = []
    waits = 0

    async def sleep(_seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits > 300:
            raise EOFError

    with pytest.raises(EOFError):
        await live(pbx, rng=random.Random(1), sleep=sleep, report=reported.append)
    assert len(reported) == 300
    for word in (
        "calls",
        "is answered",
        "ends",
        "holds",
        "takes",
        "profile Away",
        "unplugged",
        "plugged in",
        "a program calls",
        "calls 8100",
        "rings outside",
        "picks",
        "voicemail",
    ):
        assert any(word in line for line in reported), word


def test_some_people_have_never_changed_their_profile() -> None:
    pbx = SimulatedPbx(users=8)
    settle(pbx)
    assert [user.profile for user in pbx.users.values()] == ["Available"] * 6 + [None, ""]


def test_large_companies_have_numbers_of_one_length() -> None:
    for count, first in ((900, "100"), (901, "1000"), (9001, "10000")):
        numbers = list(SimulatedPbx(users=count).users)
        assert (numbers[0], len(numbers), len(set(map(len, numbers)))) == (first, count, 1)
