"""3CX's configuration API (XAPI v1): a method for each request that the bridge sends.

Source: official OpenAPI files of 20.0.4 to 20.0.10.
"""

import asyncio
from collections.abc import Mapping

from bridge.errors import SourceMissing, SourcePermissionError, SourceQueryError, SourceUnavailable
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.client.http import Answer

_ROOT = "/xapi/v1"
MONITOR_STATUS = f"{_ROOT}/Users/Pbx.GetMonitorStatus()"
_VERSION_HEADER = "X-3CX-Version"
_AT_ONCE = 2
"""Requests at a time: few, so that polling does not overload a slow PBX; two, so that no slow list delays the other."""


class Xapi:
    """Authorised requests; every failure is a SourceError whose class says what to do."""

    def __init__(self, client: AuthorisedClient, pbx_url: str = "") -> None:
        """`pbx_url` is the address that `client` sends requests to."""
        self._client = client
        self._pbx_url = pbx_url
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self.pbx_version: str | None = None
        """The build, from the header of the latest answer, such as `20.0.8.1109`."""

    def url(self, collection: str) -> str:
        """The address of a collection, such as `Users`."""
        return f"{self._pbx_url}{_ROOT}/{collection}"

    async def monitor_status(self, query: str) -> bytes:
        """One page of GetMonitorStatus() (3CX 20.0.4 to 20.0.8) as JSON text."""
        return (await self._get(MONITOR_STATUS, query)).body

    async def users(self, query: str) -> bytes:
        """One page of Users as JSON text. Without `$select` it would hold passwords."""
        return (await self._get(f"{_ROOT}/Users", query)).body

    async def departments(self, query: str) -> bytes:
        """One page of Groups, as XAPI calls departments, as JSON text."""
        return (await self._get(f"{_ROOT}/Groups", query)).body

    async def numbers(self, collection: str, query: str) -> bytes:
        """One page of Trunks, Queues, RingGroups or Users as JSON text, for their numbers alone."""
        return (await self._request("GET", f"{_ROOT}/{collection}", query, right=f"{_ROOT} numbers")).body

    async def queues(self, query: str) -> bytes:
        """One page of Queues with their agents as JSON text."""
        query = f"{query}&$expand={parse.QUEUE_RELATION}"
        return (await self._request("GET", f"{_ROOT}/Queues", query, right=f"{_ROOT}/Queues with agents")).body

    async def system_status(self) -> bytes:
        """SystemStatus as JSON text. Without `$select` it would hold the licence key and addresses."""
        return (await self._get(f"{_ROOT}/SystemStatus", f"$select={','.join(parse.SYSTEM_FIELDS)}")).body

    async def active_calls(self, query: str) -> bytes:
        """One page of ActiveCalls as JSON text."""
        return (await self._get(f"{_ROOT}/ActiveCalls", query)).body

    async def system_parameters(self) -> bytes:
        """GetSystemParameters() as JSON text: among other things the names of the custom profiles."""
        return (await self._get(f"{_ROOT}/Defs/Pbx.GetSystemParameters()")).body

    async def version(self) -> str | None:
        """The PBX's build, by the cheapest request; None: the answer does not name it."""
        await self._get(f"{_ROOT}/Defs", "$select=Id")
        return self.pbx_version

    async def update_user(self, user_id: int, changes: Mapping[str, object]) -> None:
        """Write fields of a user. HTTP 204 does not prove that the PBX changed them: read them back."""
        await self._request("PATCH", f"{_ROOT}/Users({user_id})", json=changes, right=f"PATCH {_ROOT}/Users")

    async def _get(self, path: str, query: str = "") -> Answer:
        return await self._request("GET", path, query, right=path)

    async def _request(
        self, method: str, path: str, query: str = "", *, right: str, json: Mapping[str, object] | None = None
    ) -> Answer:
        async with self._turn:
            answer = await self._client.request(method, path, query, json=json, right=right)
        self.pbx_version = answer.headers.get(_VERSION_HEADER, self.pbx_version)
        return _checked(path.removeprefix(_ROOT), answer)


def _checked(name: str, answer: Answer) -> Answer:
    said = parse.error_message(answer.body)
    match answer.status:
        case 200 if answer.is_json:
            return answer
        case 204:
            return answer
        case 200:
            raise SourceUnavailable(f"{name}: the answer is a web page instead of JSON; is pbx.url the PBX itself?")
        case 400:
            message = said or "HTTP 400 without a reason"
            raise SourceQueryError(f"{name}: the PBX rejected the request: {message}", pbx_message=message)
        case 401 | 403:
            raise SourcePermissionError(
                f"{name}: the PBX refuses this API client (HTTP {answer.status}{f', {said}' if said else ''}): tick "
                "'3CX Configuration API Access' and give it a role that may read users and calls"
            )
        case 404:
            raise SourceMissing(f"{name} does not exist here (HTTP 404)")
        case _:
            raise SourceUnavailable(f"{name}: unexpected HTTP {answer.status}{f' ({said})' if said else ''}")
