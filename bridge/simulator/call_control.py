"""Call Control of the simulated PBX: the DNs that the API client may monitor, with their devices and participants."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from bridge.simulator.call_rows import device_id
from bridge.simulator.calls import Kind
from bridge.simulator.state import PbxState

_PATH = re.compile(r"/callcontrol(?:/(?P<dn>[^/]+)(?:/(?P<part>participants|devices)(?:/(?P<id>[^/]+))?)?)?/?")
_USER_AGENT = "3CX Mobile Client"

Body = Mapping[str, object] | list[Mapping[str, object]] | None


class CallControl:
    """Looks paths up, for HTTP and for requests over the websocket alike."""

    def __init__(self, pbx: PbxState) -> None:
        self._pbx = pbx

    def get(self, path: str) -> tuple[int, Body]:
        """HTTP status and body of a path such as `/callcontrol/101/participants/8107`."""
        if not self._pbx.may_control_calls:
            return HTTPStatus.FORBIDDEN, None
        match = _PATH.fullmatch(path)
        if match is None:
            return HTTPStatus.NOT_FOUND, None
        if match["dn"] is None:
            return HTTPStatus.OK, [self._entry(dn, kind) for dn, kind in self._listed()]
        kind = self._kind(match["dn"])
        if kind is None:
            return HTTPStatus.FORBIDDEN, None
        return self._part(match["dn"], kind, match["part"], match["id"])

    def _part(self, dn: str, kind: Kind, part: str | None, wanted: str | None) -> tuple[int, Body]:
        if part is None:
            return HTTPStatus.OK, self._entry(dn, kind)
        if part == "participants":
            return _rows(self._pbx.exchange.participants(dn), "id", wanted)
        return _rows(self._devices(dn), "device_id", wanted)

    def _kind(self, dn: str) -> Kind | None:
        """What this DN is; None where the client may not see it."""
        if dn == self._pbx.client_id:
            return Kind.ROUTE_POINT
        return self._pbx.numbers.kind(dn) if self._pbx.is_peer(dn) else None

    def _listed(self) -> Iterator[tuple[str, Kind]]:
        """The client's own route point, the extensions and, where the PBX lists them, other DNs."""
        yield self._pbx.client_id, Kind.ROUTE_POINT
        for dn in self._pbx.users:
            if self._pbx.is_peer(dn):
                yield dn, Kind.EXTENSION
        for dn, kind in self._pbx.numbers.services():
            if self._pbx.is_peer(dn):
                yield dn, kind

    def _entry(self, dn: str, kind: Kind) -> dict[str, object]:
        return {
            "dn": dn,
            "type": kind,
            "devices": self._devices(dn),
            "participants": self._pbx.exchange.participants(dn),
        }

    def _devices(self, dn: str) -> list[dict[str, object]]:
        user = self._pbx.users.get(dn)
        if user is None or not user.registered:
            return []
        return [
            {"dn": dn, "device_id": device_id(dn, number), "user_agent": _USER_AGENT} for number in range(user.devices)
        ]


def _rows(rows: list[dict[str, object]], key: str, wanted: str | None) -> tuple[int, Body]:
    """All rows, or the one whose key is `wanted`."""
    if wanted is None:
        return HTTPStatus.OK, list(rows)
    found = next((row for row in rows if str(row[key]) == wanted), None)
    return (HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK), found
