"""A logged-in client of the simulated PBX, for raw requests."""

import json
from typing import Any

import aiohttp

from bridge.simulator import SimulatedPbx


class Client:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url
        self.headers: dict[str, str] = {}
        """Of the last answer."""

    async def login(self, pbx: SimulatedPbx) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": pbx.client_id,
            "client_secret": pbx.client_secret,
        }
        async with self.session.post(f"{self.url}/connect/token", data=form) as answer:
            token = (await answer.json())["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        async with self.session.get(self.url + path, params=query) as answer:
            self.headers = dict(answer.headers)
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def patch(self, path: str, body: object) -> tuple[int, Any]:
        async with self.session.patch(self.url + path, json=body) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def rows(self, entities: str, **query: str) -> list[dict[str, Any]]:
        """The rows of an entity set; the names of the options are written without `$`."""
        status, body = await self.get(f"/xapi/v1/{entities}", **{f"${name}": value for name, value in query.items()})
        assert status == 200, body
        found = body["value"]
        assert isinstance(found, list)
        return found

    async def refused(self, path: str, **query: str) -> str:
        """The message of a 400."""
        status, body = await self.get(path, **{f"${name}": value for name, value in query.items()})
        assert status == 400, body
        return str(body["error"]["message"])
