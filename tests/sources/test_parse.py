import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.model import State
from bridge.errors import SourceProtocolError
from bridge.sources.threecx import parse

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("raw", "dn", "name", "state"),
    [
        ({"DN": "101", "Expiration": 0}, "101", None, None),
        ({"Number": "101", "Name": "Ada"}, "101", "Ada", None),
        ({"Extension": 101}, "101", None, None),
        ({"dn": " 0101 ", "displayname": "Ada"}, "0101", "Ada", None),
        ({"DN": "", "Number": "7"}, "7", None, None),
        ({"DN": "101", "State": "Connected"}, "101", None, State.ON_CALL),
        ({"DN": "101", "Status": "Out of Office"}, "101", None, State.DO_NOT_DISTURB),
        ({"DN": "101", "presence": "on_call"}, "101", None, State.ON_CALL),
        ({"DN": "101", "State": "Lunch"}, "101", None, State.UNKNOWN),
        ({"DN": "101", "State": None}, "101", None, None),
    ],
)
def test_a_row_is_read_wherever_its_dn_stands(
    raw: dict[str, object], dn: str, name: str | None, state: State | None
) -> None:
    row = parse.monitor_row(raw)
    assert (row.dn, row.name, row.state) == (dn, name, state)


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ("Connected Talking Busy OnCall ON_CALL", State.ON_CALL),
        ("Hold Held", State.ON_HOLD),
        ("Ringing", State.RINGING),
        ("Dialing Initiating Routing", State.DIALING),
        ("Available Idle Online Registered", State.AVAILABLE),
        ("Away AWAY", State.AWAY),
        ("DND DoNotDisturb Do_Not_Disturb OutOfOffice", State.DO_NOT_DISTURB),
        ("Offline Unregistered Disconnected", State.OFFLINE),
        ("Transferring 3 connectedd", State.UNKNOWN),
    ],
)
def test_state_words(words: str, state: State) -> None:
    for word in words.split():
        assert parse.monitor_row({"DN": "1", "State": word}).state is state, word


@pytest.mark.parametrize("raw", [7, None, "101", [], {}, {"Name": "Ada"}, {"DN": None}, {"DN": True}, {"DN": []}])
def test_malformed_rows_are_refused(raw: object) -> None:
    with pytest.raises(SourceProtocolError, match="a row"):
        parse.monitor_row(raw)


def test_secrets_and_parties_are_masked_at_any_depth_and_the_rest_stays_as_it_came() -> None:
    raw = {
        "DN": "101",
        "Expiration": 9007199254740993,
        "Mapping": "kept",
        "AuthID": "a",
        "VMPIN": 1234,
        "EmailAddress": "ada@example.com",
        "Caller": "0301234567",
        "CallerName": "Bob",
        "Phones": [{"DeskphonePassword": "x", "SIPID": "y", "Model": "T46", "PhoneToken": {"a": 1}}],
    }
    assert json.loads(parse.monitor_row(raw).json) == {
        "DN": "101",
        "Expiration": 9007199254740993,
        "Mapping": "kept",
        "AuthID": "***",
        "VMPIN": "***",
        "EmailAddress": "***",
        "Caller": "…567",
        "CallerName": None,
        "Phones": [{"DeskphonePassword": "***", "SIPID": "***", "Model": "T46", "PhoneToken": "***"}],
    }


def test_a_long_row_is_cut_to_4_kib_and_says_so() -> None:
    row = json.loads(parse.monitor_row({"DN": "101", "Long": "x" * 5000, "Short": "y"}).json)
    assert row == {"truncated": True, "DN": "101", "Short": "y"}


def looked_at(row: dict[str, object]) -> int:
    """How often the parser asks for keys of the row."""

    class Counting(dict[str, object]):
        asked = 0

        def items(self) -> Iterator[tuple[str, object]]:  # type: ignore[override]  # enough for the parser
            for each in super().items():
                Counting.asked += 1
                yield each

    parse.monitor_row(Counting(row))
    return Counting.asked


def test_the_work_for_a_row_has_a_bound() -> None:
    """A row with 500,000 keys stopped the bridge for good."""
    many: dict[str, object] = {"DN": "101", **{f"k{number}": "x" for number in range(100_000)}}
    assert looked_at(many) < 20_000
    row = json.loads(parse.monitor_row(many).json)
    assert row["truncated"] is True
    assert row["k0"] == "x"


@given(st.dictionaries(st.text(), json_values))
def test_any_object_with_a_dn_becomes_a_bounded_row_of_valid_json(raw: dict[str, object]) -> None:
    row = parse.monitor_row(json.loads(json.dumps(raw | {"DN": "101"}), parse_constant=lambda _: None))
    assert row.dn == "101"
    assert len(row.json.encode("utf-8", "replace")) <= parse.MAX_ROW_BYTES
    assert isinstance(json.loads(row.json), dict)


@given(st.binary())
def test_a_page_of_any_bytes_is_read_or_refused(body: bytes) -> None:
    with suppress(SourceProtocolError):
        parse.page(body)
    parse.error_message(body)


def test_deeply_nested_json_is_refused_and_not_crashed_on() -> None:
    with pytest.raises(SourceProtocolError, match="not JSON"):
        parse.page(b'{"value":' + b"[" * 100_000)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"code":"","message":"Could not\\n find it"}}', "Could not find it"),
        (b'{"error":"invalid_client","error_description":"Wrong"}', "Wrong"),
        (b'{"error":"invalid_client"}', "invalid_client"),
        (b'{"error":{"code":"x"}}', None),
        (b"<html>", None),
        (b"", None),
        (b"[]", None),
    ],
)
def test_the_pbx_s_own_message_is_found(body: bytes, message: str | None) -> None:
    assert parse.error_message(body) == message


def test_the_count_is_taken_when_it_is_a_number() -> None:
    assert parse.page(b'{"value":[],"@odata.count":12}').total == 12
    assert parse.page(b'{"value":[],"@odata.count":"12"}').total is None
    assert parse.page(b'{"value":[]}').total is None


def test_a_party_that_is_an_object_is_masked_too() -> None:
    body = b'{"value":[{"DN":"101","Caller":{"Number":"+49301234567","Name":"Bob"},"Expiration":1e999}]}'
    assert json.loads(parse.monitor_row(parse.page(body).rows[0]).json) == {
        "DN": "101",
        "Caller": {"Number": "…567", "Name": None},
        "Expiration": None,
    }
