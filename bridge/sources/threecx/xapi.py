"""3CX's configuration API (XAPI v1), its calls by name. Only reads.

Source: official OpenAPI files of 20.0.4 to 20.0.10.
"""

from http import HTTPStatus

from bridge.errors import SourceMissing, SourcePermissionError, SourceQueryError, SourceUnavailable
from bridge.sources.threecx import parse
from bridge.sources.threecx.auth import TokenAuth
from bridge.sources.threecx.http import Answer, Http

_ROOT = "/xapi/v1"
MONITOR_STATUS = f"{_ROOT}/Users/Pbx.GetMonitorStatus()"
_VERSION_HEADER = "X-3CX-Version"


class Xapi:
    """Authorised calls; every failure is a SourceError of the class that says what to do."""

    def __init__(self, http: Http, auth: TokenAuth) -> None:
        self._http = http
        self._auth = auth
        self._closed: set[str] = set()
        """Paths that refused a fresh token: a missing right, which no renewal mends."""

    async def monitor_status(self, query: str) -> bytes:
        """One page of GetMonitorStatus() (3CX 20.0.4 to 20.0.8) as JSON text."""
        return (await self._get(MONITOR_STATUS, query)).body

    async def version(self) -> str | None:
        """The PBX's version, such as `20.0.8.1109`, by the cheapest probe; None when it does not tell."""
        answer = await self._get(f"{_ROOT}/Defs", "$select=Id")
        return answer.headers.get(_VERSION_HEADER)

    async def _get(self, path: str, query: str) -> Answer:
        token = await self._auth.token()
        answer = await self._send(path, query, token)
        if answer.status == HTTPStatus.UNAUTHORIZED and path not in self._closed:
            fresh = await self._auth.renew(token)
            answer = await self._send(path, query, fresh)
            if answer.status == HTTPStatus.UNAUTHORIZED:
                self._closed.add(path)
        if answer.status < HTTPStatus.BAD_REQUEST:
            self._closed.discard(path)
        return _checked(path, answer)

    async def _send(self, path: str, query: str, token: str) -> Answer:
        return await self._http.request("GET", f"{path}?{query}", headers={"Authorization": f"Bearer {token}"})


def _checked(path: str, answer: Answer) -> Answer:
    name = path.removeprefix(_ROOT)
    said = parse.error_message(answer.body)
    match answer.status:
        case 200 if answer.is_json:
            return answer
        case 200:
            raise SourceUnavailable(f"{name}: a web page came instead of JSON; is pbx.url the PBX itself?")
        case 400:
            message = said or "HTTP 400 without a reason"
            raise SourceQueryError(f"{name}: the PBX rejected the query: {message}", pbx_message=message)
        case 401 | 403:
            raise SourcePermissionError(
                f"{name}: the PBX refuses this API client (HTTP {answer.status}{f', {said}' if said else ''}): tick "
                "'3CX Configuration API Access' and give it a role that may read users"
            )
        case 404:
            raise SourceMissing(f"{name} is not there (HTTP 404)")
        case _:
            raise SourceUnavailable(f"{name}: unexpected HTTP {answer.status}{f' ({said})' if said else ''}")
