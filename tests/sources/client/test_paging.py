"""Pages that the PBX makes shorter than asked for, and where the link to the next one may lead."""

import json
from collections.abc import Mapping

import pytest

from bridge.sources.threecx import parse
from bridge.sources.threecx.client.odata import continuation
from bridge.sources.threecx.client.paging import Collection, Reading
from bridge.sources.threecx.settings import QueryOptions

URL = "https://pbx.example.com:5001/xapi/v1/Users"


async def read(pages: Mapping[str, object], options: QueryOptions | None = None) -> tuple[Reading[str], list[str]]:
    """What is read from pages by their `$skip`, and the queries that were sent."""
    asked: list[str] = []

    async def get(query: str) -> bytes:
        asked.append(query)
        return json.dumps(pages[dict(pair.split("=", 1) for pair in query.split("&"))["$skip"]]).encode()

    collection = Collection("Users", get, parse.number, str, URL)
    return await collection.read(options or QueryOptions(count=False)), asked


def page(*numbers: str, link: object = None) -> dict[str, object]:
    found: dict[str, object] = {"value": [{"Number": number} for number in numbers]}
    return found if link is None else found | {"@odata.nextLink": link}


@pytest.mark.parametrize(
    "link",
    [
        f"{URL}?$skip=2&$select=Number",
        "/xapi/v1/Users?$skip=2&$select=Number",
        "Users?$skip=2&$select=Number",
        "?$skip=2&$select=Number",
    ],
)
async def test_a_link_to_the_next_page_is_followed(link: str) -> None:
    found, asked = await read({"0": page("1", "2", link=link), "2": page("3")})
    assert (found.items, found.complete) == (("1", "2", "3"), True)
    assert asked[1] == "$skip=2&$select=Number"


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example.com:5001/xapi/v1/Users?$skip=2",
        "https://pbx.example.com/xapi/v1/Users?$skip=2",
        "http://pbx.example.com:5001/xapi/v1/Users?$skip=2",
        "//elsewhere.example.com/xapi/v1/Users?$skip=2",
        "/xapi/v1/Trunks?$skip=2",
        "https://[",
        "?",
        7,
    ],
)
async def test_a_link_that_leads_elsewhere_only_says_that_there_is_more(link: object) -> None:
    assert continuation(link, URL) is None
    found, asked = await read({"0": page("1", "2", link=link), "2": page("3")})
    assert (found.items, found.complete) == (("1", "2", "3"), True)
    assert asked[1] == "$top=100&$skip=2"


async def test_a_page_that_never_comes_leaves_the_round_incomplete() -> None:
    empty = page(link=f"{URL}?$skip=2")
    found, asked = await read({"0": page("1", "2", link=f"{URL}?$skip=2"), "2": empty})
    assert (found.items, found.complete, len(asked)) == (("1", "2"), False, 2)


async def test_a_row_that_cannot_be_read_leaves_the_round_incomplete() -> None:
    broken: dict[str, object] = {"value": [{"Number": "1"}, {"Number": None}, 7]}
    found, _ = await read({"0": broken})
    assert (found.items, found.ended, found.complete) == (("1",), True, False)
    assert found.odd == ({"Number": None}, 7)


async def test_top_limits_linked_pages_too() -> None:
    pages = {"0": page("1", "2", link="?$skip=2"), "2": page("3", "4", link="?$skip=4"), "4": page("5")}
    found, asked = await read(pages, QueryOptions(count=False, top=4))
    assert (found.items, len(asked)) == (("1", "2", "3", "4"), 2)
