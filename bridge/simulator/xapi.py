"""XAPI of the simulated PBX: which path gives which rows, and what is refused."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from bridge.simulator import entities, entity_rows
from bridge.simulator.odata import LISTING, PAGING, Address, Collection, answer, entity_answer, options
from bridge.simulator.odata_types import EntityType, QueryError, Row, rows_of
from bridge.simulator.state import PbxState

ROOT = "/xapi/v1"
MONITOR_STATUS = f"{ROOT}/Users/Pbx.GetMonitorStatus()"

_PATH = re.compile(rf"{ROOT}/(?P<set>\w+)(?:\((?P<key>[^/]*)\))?(?:/(?P<relation>\w+))?")
_KEY = re.compile(r"(?:(?P<name>\w+)=)?(?:(?P<number>\d{1,10})|'(?P<text>(?:[^']|'')*)')")
_MONITOR_STATUS_BUILDS = ((20, 0, 4), (20, 0, 8))
"""First and last build that has GetMonitorStatus()."""
_WRITABLE = {"QueueStatus": "queue", "CurrentProfileName": "profile"}


@dataclass(frozen=True, slots=True)
class _Set:
    """An entity set, or a singleton."""

    entity: Callable[[tuple[int, ...]], EntityType]
    rows: Callable[[PbxState], Sequence[Row]]
    may: Callable[[PbxState], bool]
    denied: int = 403
    single: bool = False
    headers: Callable[[PbxState], Mapping[str, str]] = lambda _: {}


def _always(entity: EntityType) -> Callable[[tuple[int, ...]], EntityType]:
    return lambda _: entity


def _may_read_numbers(pbx: PbxState) -> bool:
    return pbx.may_read_numbers


_SETS: Mapping[str, _Set] = {
    "Users": _Set(entities.user, lambda pbx: pbx.user_rows(), lambda pbx: pbx.may_read_users),
    "ActiveCalls": _Set(
        _always(entities.ACTIVE_CALL), lambda pbx: pbx.exchange.active_calls(), lambda pbx: pbx.may_read_calls
    ),
    "Groups": _Set(  # 401 for a role too low, as seen by others
        _always(entities.GROUP), entity_rows.groups, lambda pbx: pbx.may_read_departments, denied=401
    ),
    "Queues": _Set(_always(entities.QUEUE), entity_rows.queues, _may_read_numbers),
    "RingGroups": _Set(_always(entities.RING_GROUP), entity_rows.ring_groups, _may_read_numbers),
    "Trunks": _Set(_always(entities.TRUNK), entity_rows.trunks, _may_read_numbers),
    "SystemStatus": _Set(
        entities.system_status,
        lambda pbx: [entity_rows.system_status(pbx)],
        lambda pbx: pbx.may_read_system,
        single=True,
    ),
    "Defs": _Set(
        _always(entities.DEFS),
        lambda pbx: [entity_rows.defs(pbx)],
        lambda _: True,
        single=True,
        headers=lambda pbx: {"X-3CX-Version": pbx.version},
    ),
}


class Xapi:
    """Answers requests below `/xapi/v1`, once they are authorised."""

    def __init__(self, pbx: PbxState) -> None:
        self._pbx = pbx

    def get(self, request: web.Request) -> web.Response:
        """The answer to a GET."""
        try:
            if request.path == MONITOR_STATUS:
                return self._monitor_status(request)
            if request.path == f"{ROOT}/Defs/Pbx.GetSystemParameters()":
                return web.json_response(
                    {"@odata.context": _context(request, "Pbx.SystemParameters")}
                    | dict(entity_rows.system_parameters(self._pbx))
                )
            match = _PATH.fullmatch(request.path)
            if match is None or match["set"] not in _SETS:
                return not_found(request)
            return self._entities(request, match)
        except QueryError as refusal:
            return error(400, str(refusal))

    async def patch(self, request: web.Request) -> web.Response:
        """Change a user."""
        match = _PATH.fullmatch(request.path)
        if match is None or match["set"] != "Users" or not match["key"]:
            return not_found(request)
        row = _by_key(self._pbx.user_rows(), match["key"])
        if row is None:
            return not_found(request)
        try:
            changes = json.loads(await request.read())
            fields = {_WRITABLE[name]: value for name, value in changes.items()}
        except (ValueError, KeyError, AttributeError):
            return error(400, "The request body is not valid.")
        if fields.get("queue", "LoggedIn") not in {"LoggedIn", "LoggedOut"}:
            return error(400, "QueueStatus:\nWARNINGS.XAPI.INVALID", target="QueueStatus")
        if self._pbx.ignores_profiles:
            fields.pop("profile", None)
        self._pbx.change(str(row["Number"]), **fields)
        return web.Response(status=204)

    def _monitor_status(self, request: web.Request) -> web.Response:
        first, last = _MONITOR_STATUS_BUILDS
        if not first <= self._pbx.build <= last:
            return not_found(request)
        if not self._pbx.may_read_users:
            return denied(403)
        official = self._pbx.rows == "official"
        entity = entities.MONITORING_STATE if official else entities.EXTENDED_MONITORING_STATE
        return self._list(
            request, self._pbx.monitor_rows(), Collection(entity, PAGING), "Collection(Pbx.MonitoringState)"
        )

    def _entities(self, request: web.Request, match: re.Match[str]) -> web.Response:
        name, key, relation = match["set"], match["key"], match["relation"]
        found = _SETS[name]
        if not found.may(self._pbx):
            return denied(found.denied)
        entity, rows = found.entity(self._pbx.build), found.rows(self._pbx)
        if key is None and not found.single:
            return not_found(request) if relation else self._set(request, name, entity, rows)
        row = rows[0] if found.single else _by_key(rows, key)
        if row is None or (found.single and key is not None) or relation not in {None, *entity.navigation}:
            return not_found(request)
        if name == "Users":
            row = entity_rows.user_with_relations(self._pbx, row)
        if relation is not None:
            context = f"{name}({row['Id']})/{relation}"
            return self._list(request, rows_of(row, relation), Collection(entity.navigation[relation]), context)
        context = name if found.single else f"{name}/$entity"
        body = entity_answer(row, request.query, entity, _context(request, context))
        return web.json_response(body, headers=dict(found.headers(self._pbx)))

    def _set(self, request: web.Request, name: str, entity: EntityType, rows: Sequence[Row]) -> web.Response:
        if name != "Users":
            return self._list(request, rows, Collection(entity), name)
        if "expand" in options(request.query, LISTING):
            rows = [entity_rows.user_with_relations(self._pbx, row) for row in rows]
        return self._list(request, rows, Collection(entity, LISTING, {"Number": rows}), name)

    def _list(self, request: web.Request, rows: Sequence[Row], collection: Collection, context: str) -> web.Response:
        address = Address(str(request.url.origin()), request.path, context)
        return web.json_response(answer(rows, request.query, collection, address, self._pbx.odata))


def error(status: int, message: str, *, target: str | None = None) -> web.Response:
    """An error in the form of the official OpenAPI files."""
    details = [] if target is None else [{"code": "", "message": message, "target": target}]
    return web.json_response(
        {"error": {"code": "", "message": message, "target": None, "details": details, "innerError": {}}},
        status=status,
    )


def denied(status: int) -> web.Response:
    """401 or 403 for a client whose role lacks the right."""
    if status == HTTPStatus.UNAUTHORIZED:
        return unauthorised()
    return error(status, "The role of this client does not allow this")


def unauthorised() -> web.Response:
    """401, also for a token that is not valid."""
    response = error(401, "Unauthorized")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def not_found(request: web.Request) -> web.Response:
    """404 for a path or key that there is not."""
    return error(404, f"No HTTP resource was found that matches the request URI '{request.path}'.")


def _context(request: web.Request, what: str) -> str:
    return f"{request.url.origin()}{ROOT}/$metadata#{what}"


def _by_key(rows: Sequence[Row], key: str) -> Row | None:
    """The row with this key: an Id, `Id=…` or `Number='…'`."""
    match = _KEY.fullmatch(key)
    if match is None or match["name"] not in {None, "Id", "Number"}:
        return None
    if match["name"] == "Number":
        wanted: object = None if match["text"] is None else match["text"].replace("''", "'")
        return next((row for row in rows if row.get("Number") == wanted), None)
    return next((row for row in rows if match["number"] and row["Id"] == int(match["number"])), None)
