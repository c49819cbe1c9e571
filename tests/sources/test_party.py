"""Who the other side is, and that nothing but the PBX's own numbers is in clear where callers are masked."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.domain.certainty import Certainty
from bridge.domain.model import CallStatus, Direction, Leg, MonitorRow
from bridge.domain.privacy import CallerId
from bridge.domain.updates import Calls, Round
from bridge.sources.threecx import parse
from bridge.sources.threecx.directory import Directory, Kind
from bridge.sources.threecx.participants import Participants
from tests.support.clock import FakeClock
from tests.support.world import ACTIVE_CALLS, CALL_CONTROL, MONITOR_STATUS, USERS, World, user

INBOUND, OUTBOUND, INTERNAL = Direction.INBOUND, Direction.OUTBOUND, Direction.INTERNAL
RINGING, DIALING, ON_CALL = CallStatus.RINGING, CallStatus.DIALING, CallStatus.ON_CALL
OWN = {
    "all users": dict.fromkeys(("101", "102", "103", "105"), Kind.USER),
    "Trunks": dict.fromkeys(("10001", "10002", "10007"), Kind.TRUNK),
    "Queues": {"8000": Kind.QUEUE},
    "RingGroups": {"8100": Kind.GROUP},
    "call_control": {"666": Kind.SERVICE, "crmflow": Kind.SERVICE},
}


def directory(*without: str) -> Directory:
    found = Directory()
    for reporter, numbers in OWN.items():
        if reporter not in without:
            found.learn(reporter, numbers)
    return found


def callee(caller: str | None, known: Directory | None = None, *, status: str = "Talking") -> Leg:
    """The call of 101 with this caller."""
    call = parse.active_call({"Id": 1, "Caller": caller, "Callee": "101 Ada Example", "Status": status})
    return dict(call.sides(known or directory()))["101"]


def caller(text: str | None, known: Directory | None = None) -> Leg:
    """The call of 101 to this callee."""
    call = parse.active_call({"Id": 1, "Caller": "101 Ada Example", "Callee": text, "Status": "Routing"})
    return dict(call.sides(known or directory()))["101"]


def seen(leg: Leg) -> tuple[object, ...]:
    return leg.direction, leg.party, leg.internal, leg.name, leg.via


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("103 Cem Example (Sales)", (INTERNAL, "103", True, "Cem Example (Sales)", None)),
        ("103", (INTERNAL, "103", True, None, None)),
        ("8000 Support", (INTERNAL, "8000", True, "Support", "8000")),
        ("8100 - Everybody", (INTERNAL, "8100", True, "Everybody", "8100")),
        ("666 Voicemail", (INTERNAL, "666", True, "Voicemail", None)),
        ("10001 Trunk (0301234567)", (INBOUND, "0301234567", False, None, None)),
        ("10001 SBC, Berlin (old) (+49 30 1234567)", (INBOUND, "+49 30 1234567", False, None, None)),
        ("10001 Trunk ()", (INBOUND, None, False, None, None)),
        ("10002 Provider", (INBOUND, None, False, None, None)),
        ("10001 Trunk (anonymous)", (INBOUND, None, False, None, None)),
        ("10005 Unlisted (0301234567)", (INBOUND, "0301234567", False, None, None)),
        ("+49301234567 Ada (Acme GmbH)", (INBOUND, "+49301234567", False, "Ada (Acme GmbH)", None)),
        ("0301234567", (INBOUND, "0301234567", False, None, None)),
        ("+49 Anna", (INBOUND, "+49", False, "Anna", None)),
        ("112 Somebody (Berlin)", (INBOUND, "112", False, "Somebody (Berlin)", None)),
        ("sip:anna@example.com Anna", (INBOUND, "sip:anna@example.com", False, "Anna", None)),
        ("MakeCall", (None, None, False, None, None)),
        ("ROUTER", (None, None, False, None, None)),
        ("VoiceMail of 200 John Doe", (None, None, False, "VoiceMail of 200 John Doe", None)),
        ("Conference 700", (None, None, False, "Conference 700", None)),
        ("SP0 Shared Parking 0", (None, None, False, "SP0 Shared Parking 0", None)),
        (None, (None, None, False, None, None)),
    ],
)
def test_a_side_of_an_active_call(text: str | None, expected: tuple[object, ...]) -> None:
    assert seen(callee(text)) == expected
    outbound = (OUTBOUND if expected[0] is INBOUND else expected[0], *expected[1:])
    assert seen(caller(text)) == outbound


@pytest.mark.parametrize("text", ["MakeCall", "ROUTER", "Conference 700", None])
def test_a_placeholder_is_the_least_certain(text: str | None) -> None:
    assert caller(text).certainty is Certainty.PLACEHOLDER
    assert caller("10001 Trunk ()").certainty is Certainty.PARSED


@pytest.mark.parametrize(
    ("text", "party"),
    [("10003 Trunk (0301234567)", "0301234567"), ("10003 Trunk ()", None), ("10003 Provider", None), ("112", "112")],
)
def test_without_the_right_to_read_trunks_short_unknown_numbers_are_outside(text: str, party: str | None) -> None:
    assert seen(callee(text, directory("Trunks"))) == (INBOUND, party, False, None, None)


def test_before_the_pbx_s_numbers_are_known_a_short_one_proves_nothing() -> None:
    assert seen(callee("103 Cem Example", Directory())) == (None, "103", False, "Cem Example", None)
    assert seen(callee("0301234567", Directory())) == (INBOUND, "0301234567", False, None, None)


def participant(fields: Mapping[str, object]) -> Leg:
    """The call of 101 with this participant."""
    found = parse.participant(json.dumps({"id": 7, "callid": 1, "dn": "101"} | dict(fields)).encode())
    return found.leg("101", directory())


OUTBOUND_LEG = {"status": "Dialing", "party_dn": "", "party_caller_id": "101", "party_dn_type": "None"}
TYPED_LEG = {
    "status": "Dialing",
    "party_dn": "10007",
    "party_caller_id": "0301234567",
    "party_dn_type": "Wexternalline",
}
OWN_LEG = {"originated_by_dn": "101", "originated_by_type": "Wextension"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (OUTBOUND_LEG, (DIALING, None, None, False, Certainty.PLACEHOLDER)),
        (TYPED_LEG, (DIALING, OUTBOUND, "0301234567", False, Certainty.TYPED)),
        (TYPED_LEG | {"status": "Connected"}, (ON_CALL, None, "0301234567", False, Certainty.TYPED)),
        (TYPED_LEG | {"status": "Ringing"}, (RINGING, INBOUND, "0301234567", False, Certainty.TYPED)),
        (TYPED_LEG | {"status": "Ringing"} | OWN_LEG, (DIALING, OUTBOUND, "0301234567", False, Certainty.TYPED)),
        (TYPED_LEG | {"status": "Connected"} | OWN_LEG, (ON_CALL, OUTBOUND, "0301234567", False, Certainty.TYPED)),
        (
            TYPED_LEG | {"status": "Ringing", "party_caller_id": "anonymous"},
            (RINGING, INBOUND, None, False, Certainty.TYPED),
        ),
        (TYPED_LEG | {"status": "Ringing", "party_caller_id": ""}, (RINGING, INBOUND, None, False, Certainty.TYPED)),
        (
            TYPED_LEG | {"party_dn": "0301234567", "party_caller_id": "", "party_dn_type": "ExternalLine"},
            (DIALING, OUTBOUND, "0301234567", False, Certainty.TYPED),
        ),
        (
            {"status": "Connected", "party_dn": "+49301234567", "party_dn_type": "None"},
            (ON_CALL, None, "+49301234567", False, Certainty.PARSED),
        ),
        (
            {"status": "Ringing", "party_dn": "0301234567", "party_dn_type": "Wextension"},
            (RINGING, INBOUND, "0301234567", False, Certainty.PARSED),
        ),
        (
            {"status": "Ringing", "party_dn": "Anna", "party_dn_type": "Wextension"},
            (RINGING, None, None, False, Certainty.PLACEHOLDER),
        ),
        (
            {"status": "Ringing", "party_dn": "ROUTER", "party_dn_type": "Wroutepoint"},
            (RINGING, None, None, False, Certainty.PLACEHOLDER),
        ),
        (
            {"status": "Ringing", "party_dn": "crmflow", "party_dn_type": "Wroutepoint"},
            (RINGING, INTERNAL, "crmflow", True, Certainty.TYPED),
        ),
        (
            {"status": "Ringing", "party_dn": "102", "party_dn_type": "None"},
            (RINGING, INTERNAL, "102", True, Certainty.PARSED),
        ),
        (
            {"status": "Ringing", "party_dn": "102", "party_dn_type": "Extension"} | OWN_LEG,
            (DIALING, INTERNAL, "102", True, Certainty.TYPED),
        ),
        (
            {"status": "Ringing", "party_dn": "777777", "party_dn_type": "EXTENSION"},
            (RINGING, INTERNAL, "777777", True, Certainty.TYPED),
        ),
        (
            {"status": "Ringing", "party_dn": "777", "party_dn_type": "None"},
            (RINGING, INBOUND, "777", False, Certainty.PARSED),
        ),
        (
            {"status": "Ringing", "party_dn": "10007", "party_caller_id": "0301234567", "party_dn_type": "None"},
            (RINGING, INBOUND, "0301234567", False, Certainty.PARSED),
        ),
    ],
)
def test_a_participant(fields: dict[str, object], expected: tuple[object, ...]) -> None:
    leg = participant(fields)
    assert (leg.status, leg.direction, leg.party, leg.internal, leg.certainty) == expected


@pytest.mark.parametrize(
    ("fields", "via"),
    [
        ({"on_behalf_of_dn": "8000", "on_behalf_of_type": "Wqueue"}, "8000"),
        ({"referred_by_dn": "8100", "referred_by_type": "None"}, "8100"),
        ({"originated_by_dn": "8200", "originated_by_type": "RingGroup"}, "8200"),
        ({"originated_by_dn": "0301234567", "originated_by_type": "Wqueue"}, None),
        ({"originated_by_dn": "0301234567", "originated_by_type": "Wivr"}, None),
        ({"originated_by_dn": "Anna", "originated_by_type": "Wqueue"}, None),
        ({"originated_by_dn": "102", "originated_by_type": "Wqueue"}, None),
        ({"party_dn": "8000", "party_dn_type": "Wqueue"}, "8000"),
    ],
)
def test_via_is_a_queue_or_ring_group_of_the_pbx_and_nothing_else(fields: dict[str, object], via: str | None) -> None:
    assert participant({"status": "Ringing"} | fields).via == via


def test_siblings_in_a_call_tell_the_one_who_picks_up_who_is_calling() -> None:
    participants = Participants(directory())

    def says(dn: str, number: int, **fields: object) -> None:
        body = json.dumps({"id": number, "callid": 1} | fields).encode()
        participants.store((dn, number), parse.participant(body))

    says("102", 1, **(TYPED_LEG | {"status": "Ringing"}))
    says("101", 2, status="Connected", party_dn="", party_dn_type="None")
    (leg,) = participants.legs("101")
    assert (leg.status, *seen(leg)) == (ON_CALL, INBOUND, "0301234567", False, None, None)
    says("105", 3, **(TYPED_LEG | {"status": "Connected"}))
    (leg,) = participants.legs("105")
    assert (leg.direction, leg.certainty) == (INBOUND, Certainty.TYPED)


def test_the_caller_in_a_call_is_the_other_side_of_the_one_who_picks_up() -> None:
    participants = Participants(directory())

    def says(dn: str, number: int, **fields: object) -> None:
        body = json.dumps({"id": number, "callid": 1} | fields).encode()
        participants.store((dn, number), parse.participant(body))

    says("101", 1, status="Connected", party_dn="", party_dn_type="None")
    assert seen(participants.legs("101")[0]) == (None, None, False, None, None)
    says("103", 3, status="Ringing", party_dn="102", party_dn_type="Wextension")
    says("102", 2, status="Dialing", party_dn="103", party_dn_type="Wextension")
    assert participants.in_doubt("102") == {"101"}
    assert seen(participants.legs("101")[0]) == (INTERNAL, "102", True, None, None)
    assert participants.in_doubt("102") == set()
    participants.store(("101", 1), None)
    assert participants.legs("101") == ()


def test_only_extensions_of_the_snapshot_are_users() -> None:
    types: dict[str, str | None] = {
        "101": "Wextension", "800": "Wqueue", "801": "Wivr", "802": "Wringgroup", "10001": "Wexternalline",
        "crmflow": "Wroutepoint", "103": "Extension", "104": None,
    }  # fmt: skip
    rows: list[dict[str, object]] = [{"dn": dn, "type": kind, "participants": []} for dn, kind in types.items()]
    found = parse.snapshot(json.dumps(rows).encode())
    assert [each.dn for each in found.extensions] == ["101", "103"]
    assert found.numbers == {
        "101": Kind.USER, "800": Kind.QUEUE, "801": Kind.SERVICE, "802": Kind.GROUP, "10001": Kind.TRUNK,
        "crmflow": Kind.SERVICE, "103": Kind.USER,
    }  # fmt: skip


SECRETS = ("0301234567", "+49301234567", "+49", "4711888", "777", "Anna", "anna@example.com", "sip:4930555@example.com")
OTHERS = ("101", "102", "10001", "8000", "ROUTER", "MakeCall", "", "anonymous", "None")
TYPES = ("Wextension", "Extension", "Wexternalline", "externalline", "Wqueue", "Wringgroup", "Wivr", "Wroutepoint")
words = st.sampled_from(SECRETS + OTHERS)
strings = st.lists(words | words.map(lambda word: f"({word})"), min_size=1, max_size=4).map(" ".join)
types = st.sampled_from((*TYPES, "None", "Wspecialmenu", "Wsomething", ""))
PARTICIPANT = st.fixed_dictionaries(
    {"status": st.sampled_from(["Dialing", "Ringing", "Connected"])}
    | dict.fromkeys(("party_dn", "party_caller_id", "party_caller_name", "party_did"), words | strings)
    | dict.fromkeys(("originated_by_dn", "referred_by_dn", "on_behalf_of_dn"), words)
    | dict.fromkeys(("party_dn_type", "originated_by_type", "referred_by_type", "on_behalf_of_type"), types)
)
ROW = st.dictionaries(st.sampled_from(["Caller", "Callee", "PartyName", "Phone", "ConnectedTo"]), words | strings)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=400)
@given(strings, strings, PARTICIPANT, ROW, st.sets(st.sampled_from(sorted(OWN))))
def test_nothing_but_the_pbx_s_own_numbers_is_in_clear(
    clock: FakeClock, one: str, other: str, fields: Mapping[str, Any], row: Mapping[str, Any], without: set[str]
) -> None:
    """Of party strings, participants and monitor rows, in no payload about a user."""
    known = directory(*without)
    world = World(clock, sources=(MONITOR_STATUS, USERS, ACTIVE_CALLS, CALL_CONTROL), caller_id=CallerId.MASKED)
    world.users(user("101"))
    world.polled()
    world.snapshot({"101"})
    body = json.dumps({"id": 7, "callid": 1} | dict(fields)).encode()
    world.pushed("101", parse.participant(body).leg("101", known))
    world.pushed("101")
    world.lost()
    clock.turn(30)
    for call in ({"Caller": one, "Callee": "101 Ada"}, {"Caller": "101 Ada", "Callee": other}):
        sides = dict(parse.active_call({"Id": 5, "Status": "Talking"} | call).sides(known))
        world.engine.apply(Calls(ACTIVE_CALLS, {"101": (sides["101"],)}, None, clock.now, 20.0))
    monitored: dict[str, Any] = {"101": parse.monitor_row({"DN": "101"} | dict(row), CallerId.MASKED, known)}
    assert isinstance(monitored["101"], MonitorRow)
    world.engine.apply(Round(MONITOR_STATUS, monitored, complete=True, total=None, good_for=20.0))
    not_internal = {"None", "", "Wsomething", "Wexternalline", "externalline"}
    typed_internal = {value for key, value in fields.items() if key.endswith("_type")} - not_internal
    payloads = [payload for topic, payload in world.wire.retained.items() if "/users/101" in topic]
    for payload in [*payloads, *(payload for _, payload in world.wire.events)]:
        for secret in ("301234", "+49", "4711", "30555", "Anna", "anna", "example.com"):
            assert secret not in payload, payload
        assert '"777"' not in payload or typed_internal, payload
