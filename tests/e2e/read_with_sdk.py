"""Reads a PBX with 3CX's XAPI through the Python SDK of PyPI; run by the SDK's own environment.

Arguments: URL, client id, client secret. Prints one JSON object.
"""

import json
import sys
from typing import Any

from threecx import ODataQuery, ThreeCXClient  # type: ignore[import-not-found]  # in an environment of its own
from threecx.exceptions import NotFoundError, ValidationError  # type: ignore[import-not-found]  # the same


def main(url: str, client_id: str, client_secret: str) -> None:
    with ThreeCXClient(url, client_id, client_secret) as client:
        sys.stdout.write(json.dumps(read(client), ensure_ascii=False))


def read(client: ThreeCXClient) -> dict[str, Any]:
    by_number = client.users.get_by_number("101")
    status = client.system.get_status()
    queue = client.queues.get_by_number("8000")
    two = ODataQuery().select("Number").order_by("Number").top(2).count()
    return {
        "users": [(each.number, each.full_name, each.queue_status.value) for each in client.users.list()],
        "all users": [each.number for each in client.users.iterate(ODataQuery().select("Number").order_by("Number"))],
        "profiles": [each.current_profile_name for each in client.users.list()],
        "two users": client.get("/Users", two.to_params()),
        "user": (client.users.get(by_number.id).number, by_number.display_name, by_number.ai_agent),
        "groups of a user": [each.name for each in client.users.get_groups(by_number.id)],
        "forwarding": [each.name for each in client.users.get_forwarding_profiles(by_number.id)],
        "filtered": [each.number for each in client.users.list(ODataQuery().filter("contains(LastName,'O''B')"))],
        "searched": [each.number for each in client.users.list(ODataQuery().search('"101"'))],
        "calls": [
            (each.caller, each.callee, each.status, each.established_at is not None)
            for each in client.active_calls.list(ODataQuery().order_by("Id"))
        ],
        "departments": [(each.id, each.name) for each in client.groups.list()],
        "members": [each["Number"] for each in client.groups.get_members(1)],
        "queue": (queue.number, queue.name, [each.number for each in client.queues.get_agents(queue.id)]),
        "ring groups": [
            (each.number, each.name, [member.number for member in each.members])
            for each in client.ring_groups.list(ODataQuery().expand("Members"))
        ],
        "trunks": [(each.number, each.is_online) for each in client.trunks.list_trunks()],
        "status": (status.version, status.calls_active, status.extensions_total, status.user_extensions),
        "parameters": client.defs.get_system_parameters()["Version"],
        "time zones": len(client.defs.list_timezones()),
        "refusals": refusals(client),
    }


def refusals(client: ThreeCXClient) -> list[str]:
    found = []
    for query in (ODataQuery().top(500), ODataQuery().select("Nothing"), ODataQuery().search("101")):
        try:
            client.users.list(query)
        except ValidationError as error:
            found.append(str(error))
    try:
        client.users.get(9999)
    except NotFoundError as error:
        found.append(type(error).__name__)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
