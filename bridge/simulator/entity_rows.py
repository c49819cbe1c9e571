"""Rows of the simulated PBX's entities, made from its state; relations are in them, and shown only by `$expand`."""

from bridge.simulator.call_rows import time_text
from bridge.simulator.odata_types import Row
from bridge.simulator.people import SimulatedUser
from bridge.simulator.state import PbxState

_QUEUE_IDS, _RING_GROUP_IDS, _TRUNK_IDS = 60_000, 61_000, 62_000
"""3CX numbers all DNs in one sequence; these stay clear of the users'."""
_PROFILES = ("Available", "Away", "Out of office", "Custom 1", "Custom 2")
_LICENCE_END = 1_893_456_000.0  # 2030-01-01
_SIMULTANEOUS_CALLS = 16
_EXTENSIONS_PER_CALL = 5
_CODECS = ("G.711 U-law", "G.711 A-law", "G.722", "Opus")


def queues(pbx: PbxState) -> list[Row]:
    """With their agents, whether logged in or not: the PBX keeps no login per queue."""
    agents = [_named(user) | {"SkillGroup": "1"} for user in pbx.numbers.agents()]
    return [
        {"Id": _QUEUE_IDS + place, "Number": dn, "Name": name, "IsRegistered": True, "PollingStrategy": "RingAll"}
        | {"Agents": agents, "Managers": agents[:1]}
        for place, (dn, name) in enumerate(pbx.queues.items())
    ]


def ring_groups(pbx: PbxState) -> list[Row]:
    """With their members."""
    return [
        {
            "Id": _RING_GROUP_IDS + place,
            "Number": dn,
            "Name": group.name,
            "IsRegistered": True,
            "RingStrategy": "RingAll",
            "RingTime": 20,
            "Members": [_named(pbx.users[member]) for member in group.members if member in pbx.users],
        }
        for place, (dn, group) in enumerate(pbx.ring_groups.items())
    ]


def trunks(pbx: PbxState) -> list[Row]:
    """Online, unless one is down."""
    return [
        {
            "Id": _TRUNK_IDS + place,
            "Number": dn,
            "Direction": "Both",
            "EnableInboundCalls": True,
            "EnableOutboundCalls": True,
            "IsOnline": dn not in pbx.numbers.trunks_down,
            "SimultaneousCalls": 10,
            "ExternalNumber": "0301000",
        }
        for place, dn in enumerate(pbx.numbers.trunks)
    ]


def groups(pbx: PbxState) -> list[Row]:
    """The departments, with the users in them."""
    return [
        {
            "Id": number,
            "Number": f"GRP{number:04}",
            "Name": name,
            "IsDefault": number == 0,
            "HasMembers": True,
            "Members": [
                {"Id": user.id, "Number": user.dn, "MemberName": user.name, "Type": "Extension"}
                for user in pbx.users.values()
                if user.department == number
            ],
            "Rights": [{"RoleName": "users", "ShowMyPresence": True}],
        }
        for number, name in pbx.departments.items()
    ]


def user_with_relations(pbx: PbxState, row: Row) -> Row:
    """A row of Users with what `$expand` may show of it."""
    department = row["PrimaryGroupId"]
    name = pbx.departments.get(department, "") if isinstance(department, int) else ""
    return {
        **row,
        "Groups": [
            {"Id": row["Id"], "GroupId": department, "Name": name, "Number": row["Number"], "Type": "Extension"}
            | {"Rights": [{"RoleName": "users", "ShowMyPresence": True}]}
        ],
        "ForwardingProfiles": [
            {"Id": number, "Name": profile, "CustomName": "", "CustomMessage": "", "NoAnswerTimeout": 20}
            for number, profile in enumerate(_PROFILES, 1)
        ],
    }


def system_status(pbx: PbxState) -> Row:
    """With a licence key and addresses, as real ones have: a client must select."""
    registered = sum(user.registered for user in pbx.users.values())
    people = len(pbx.users)
    return {
        "Id": 0,
        "FQDN": "pbx.example.com",
        "Version": pbx.version,
        "Activated": True,
        "LicenseActive": True,
        "LicenseKey": "NEVER-SELECT-ME",
        "ProductCode": "3CXSIMULATED",
        "ExpirationDate": time_text(_LICENCE_END),
        "CurrentLocalIp": "192.0.2.1",
        "AvailableLocalIps": "192.0.2.1",
        "LocalIpValid": True,
        "OS": "Linux",
        "CallsActive": len(pbx.exchange.calls),
        "MaxSimCalls": _SIMULTANEOUS_CALLS,
        "ExtensionsRegistered": registered,
        "ExtensionsTotal": people,
        "UserExtensions": people,
        "MaxUserExtensions": _SIMULTANEOUS_CALLS * _EXTENSIONS_PER_CALL,
        "TrunksRegistered": len(pbx.numbers.trunks.keys() - pbx.numbers.trunks_down),
        "TrunksTotal": len(pbx.numbers.trunks),
        "DiskUsage": 42,
    }


def defs(_pbx: PbxState) -> Row:
    """The lists that the admin console fills its menus from."""
    return {
        "Id": 0,
        "TimeZones": [{"Id": "51", "Name": "(UTC+01:00) Berlin", "IanaName": "Europe/Berlin"}],
        "Codecs": [{"Id": place, "Name": name, "RfcName": name} for place, name in enumerate(_CODECS)],
    }


def system_parameters(pbx: PbxState) -> Row:
    """The answer of GetSystemParameters()."""
    return {
        "Version": pbx.version,
        **pbx.labels,
        "FQDN": "pbx.example.com",
        "IsHosted": False,
        "IsMulticompanyMode": False,
        "HttpsPort": 5001,
        "SipPort": 5060,
    }


def _named(user: SimulatedUser) -> dict[str, object]:
    return {"Id": user.id, "Number": user.dn, "Name": user.name, "Tags": []}
