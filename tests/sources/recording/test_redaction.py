"""Redaction: nothing personal survives, and everything keeps its shape."""

import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sources.threecx.recording import vocabulary
from bridge.sources.threecx.recording.pseudonyms import Pseudonyms
from bridge.sources.threecx.recording.redaction import HIDDEN, Redactor

KEY = b"a key for tests, and for nothing else"
FIXED = vocabulary.VALUES | vocabulary.WORDS

letters = st.characters(categories=["Lu", "Ll", "Lo"])
words = st.text(letters, min_size=5, max_size=12).filter(lambda word: word.casefold() not in FIXED)
names = st.lists(words, min_size=1, max_size=3).map(" ".join)
numbers = st.text(string.digits, min_size=3, max_size=15).filter(lambda digits: digits.strip("0") != "")
keys = st.sampled_from(
    ["DN", "Number", "Caller", "Callee", "DisplayName", "LastName", "party_caller_id", "party_dn", "Name", "device_id"]
) | st.from_regex(r"[A-Za-z_]{1,12}", fullmatch=True).filter(
    lambda key: not vocabulary.SECRET_KEY.search(key) and not vocabulary.WORD_KEY.search(key)
)
sides = st.builds("{} {} ({})".format, numbers, names, numbers)
values = names | numbers | sides | numbers.map(lambda digits: int("1" + digits)) | numbers.map("+{}".format)
rows = st.dictionaries(keys, values, min_size=1, max_size=6)


def shape(text: str) -> str:
    """Letters as A, digits as 9."""
    return re.sub(r"[^\W\d_]+", "A", re.sub(r"\d", "9", text))


def strings(value: Any) -> list[str]:
    """All texts and numbers in it, in order."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [str(value)]


def counted(key: str) -> bool:
    return key.casefold() in vocabulary.COUNTERS or "version" in key.casefold()


@given(st.lists(rows, min_size=1, max_size=4), st.binary(min_size=16, max_size=32))
def test_no_name_and_no_number_survives_and_shapes_are_kept(document: list[dict[str, Any]], key: bytes) -> None:
    document = [{name: value for name, value in row.items() if not counted(name)} for row in document]
    redacted = Redactor(key).value({"value": document})
    assert isinstance(redacted, dict)
    written = "\n".join(strings(redacted)).casefold()
    for before, after in zip(strings(document), strings(redacted["value"]), strict=True):
        assert shape(before) == shape(after)
        for old, new in zip(re.findall(r"\d+", before), re.findall(r"\d+", after), strict=True):
            assert len(old) < 3 or old != new
        for word in re.findall(r"[^\W\d_]{5,}", before):
            assert word.casefold() in FIXED or word.casefold() not in written


@given(st.lists(numbers, max_size=50, unique=True), st.lists(words, max_size=50, unique_by=str.lower))
def test_two_numbers_or_names_stay_two(some: list[str], others: list[str]) -> None:
    pseudonyms = Pseudonyms(KEY)
    assert len({pseudonyms.number(each) for each in some}) == len(some)
    assert len({pseudonyms.word(each).lower() for each in others}) == len(others)


def test_even_where_all_numbers_of_that_length_are_in_use() -> None:
    pseudonyms = Pseudonyms(KEY)
    assert len({pseudonyms.number(str(each)) for each in range(100, 1000)}) >= 899


def test_another_recording_has_other_pseudonyms() -> None:
    assert Redactor(b"one" * 9).text("0301234567 Johannes") != Redactor(b"two" * 9).text("0301234567 Johannes")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("101 Ada Example", r"{101} {Ada} {Example}"),
        ("103 Cem Example (Sales)", r"\d{{3}} [A-Z][a-z]+ {Example} \([A-Z][a-z]+\)"),
        ("10001 SIP-Trunk (0301234567)", r"[1-9]\d{{4}} SIP-Trunk \(0[1-9]\d{{8}}\)"),
        ("10001 Trunk ()", r"\d{{5}} Trunk \(\)"),
        ("10001 Trunk (anonymous)", r"\d{{5}} Trunk \(anonymous\)"),
        ("+49301234567 Ada (Acme GmbH)", r"\+\d{{11}} {Ada} \([A-Z][a-z]+ [A-Z][a-z]*[A-Z][a-z]*\)"),
        ("VoiceMail of 101 Ada Example", r"VoiceMail of {101} {Ada} {Example}"),
        ("Conference 700", r"Conference \d{{3}}"),
        ("ROUTER", "ROUTER"),
        ("MakeCall", "MakeCall"),
        ("SP0 Shared Parking 0", r"[A-Z]+\d Shared Parking 0"),
        ("+49 (30) 12 34-567", r"\+\d\d \(\d\d\) \d\d \d\d-\d\d\d"),
        ("D'Été-O'Brien", r"[A-Z]'[A-Z][a-zäéíøü]+-[A-Z]'[A-Z][a-z]+"),
        ("٣٠١٢٣٤٥", r"[1-9]\d{{6}}"),
        ("sip:101@192.0.2.5:5060;rinstance=c2a7", r"sip:{101}@192\.0\.2\.\d+:\d{{4}};[a-z]+=[a-z]+\d[a-z]+\d"),
    ],
)
def test_texts_of_calls_keep_what_is_fixed(text: str, pattern: str) -> None:
    redactor = Redactor(KEY)
    known = {word: redactor.text(word) for word in ("101", "Ada", "Example")}
    expected = re.sub(r"\{([A-Za-z0-9]+)\}", lambda match: known.get(match[1], match[0]), pattern.replace("{{", "{"))
    found = redactor.text(text)
    assert re.fullmatch(expected.replace("}}", "}"), found), found
    assert redactor.value(text, "Caller") == found


@pytest.mark.parametrize(
    "text",
    [
        "https://pbx.example.com:5001/provisioning/abcdefgh1234",
        "pbx.example.com",
        "203.0.113.77",
        "fe80::21b:63ff:fe84:45e6",
        "fd12::beef",
        "00:15:65:ab:cd:ef",
        "ada.lovelace@example.com",
        "write to Ada <ada.lovelace@example.com>",
        "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3fQ.c2lnbmF0dXJl",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "simulated-key",
    ],
)
def test_addresses_tokens_and_secrets_are_gone(text: str) -> None:
    found = Redactor(KEY, ["simulated-key"]).text(text)
    for part in re.findall(r"[^\W_]{3,}", text):
        assert part in {"https", "write", "192"} or part not in found
    assert "example" not in found
    assert ".113." not in found


@pytest.mark.parametrize(
    "key",
    ["AuthPassword", "AuthID", "SIPID", "VMPIN", "PIN", "EmailAddress", "LicenseKey", "access_token", "dtmf_input"],
)
def test_what_stands_under_a_secret_key_is_hidden(key: str) -> None:
    redactor = Redactor(KEY)
    assert redactor.value({key: "x", "in": {key: 12}}) == {key: HIDDEN, "in": {key: HIDDEN}}
    assert redactor.value({key: {"deeper": ["x"]}}) == {key: HIDDEN}
    assert redactor.value({key: None}) == {key: None}


def test_what_is_no_secret_is_kept() -> None:
    row = {
        "Id": 1234,
        "callid": "900",
        "Status": "NeverSeenBefore",
        "party_dn_type": "Wextension",
        "CurrentProfileName": "Out of office",
        "QueueStatus": "LoggedIn",
        "Tags": ["principal"],
        "Version": "20.0.8.1109",
        "LastChangeStatus": "2026-11-25T22:00:00.1234567Z",
        "@odata.count": 1234,
        "Expiration": 86400,
        "Enabled": True,
        "EstablishedAt": None,
        "party_did": "",
    }
    assert Redactor(KEY).value(row) == row


@pytest.mark.parametrize("number", ["0301234567", 49301234567, "49301234567"])
def test_a_telephone_number_is_no_id(number: object) -> None:
    assert Redactor(KEY).value({"Id": number, "callid": number}) != {"Id": number, "callid": number}


def test_an_expiry_is_kept_in_whatever_unit_it_is() -> None:
    assert Redactor(KEY).value({"Expiration": 638000000000000000}) == {"Expiration": 638000000000000000}


def test_a_number_is_the_same_wherever_it_stands() -> None:
    redactor = Redactor(KEY)
    dn = redactor.text("101")
    assert redactor.value({"DN": 101, "Number": "101"}) == {"DN": int(dn), "Number": dn}
    assert redactor.path("/callcontrol/101/participants/8107") == f"/callcontrol/{dn}/participants/8107"
    assert redactor.value("/callcontrol/101/participants/8107", "entity") == f"/callcontrol/{dn}/participants/8107"
    assert redactor.path("/xapi/v1/Users(Number='101')") == f"/xapi/v1/Users(Number='{dn}')"
    assert redactor.path("/xapi/v1/Users(33)") == "/xapi/v1/Users(33)"
    _, query = redactor.target("/xapi/v1/Users?%24filter=Number%20eq%20%27101%27&%24search=%22101%22&%24top=100")
    assert query == {"$filter": f"Number eq '{dn}'", "$search": f'"{dn}"', "$top": "100"}


def test_a_filter_keeps_operators_and_fields_and_loses_what_is_looked_for() -> None:
    redactor = Redactor(KEY)
    _, query = redactor.target(
        "/xapi/v1/Users?$filter=contains(DisplayName,'o''brien') and not startswith(Number,'HD') or Boss eq 'Johannes'"
    )
    looked_for = r"contains\(DisplayName,'[a-z]''[a-z]+'\) and not startswith\(Number,'[A-Z]+'\)"
    assert re.fullmatch(looked_for + " or [A-Z][a-z]+ eq '[A-Z][a-z]+'", query["$filter"])
    assert "Boss" not in query["$filter"]


def test_messages_of_errors_keep_what_the_bridge_goes_by() -> None:
    redactor = Redactor(KEY)
    message = (
        "The query specified in the URI is not valid. Could not find a property named 'AIAgent' on type 'Pbx.User'."
    )
    assert redactor.value({"error": {"code": "", "message": message}}) == {"error": {"code": "", "message": message}}
    quoted = redactor.value("Could not find a property named 'Johannes' on type 'Pbx.User'.", "message")
    assert re.fullmatch(r"Could not find a property named '[A-Z][a-z]+' on type 'Pbx\.User'\.", str(quoted))


def test_the_pbx_is_called_something_else() -> None:
    redactor = Redactor(KEY)
    context = "https://pbx.example.com:5001/xapi/v1/$metadata#Users(Id,Number)"
    assert redactor.value(context, "@odata.context") == "https://pbx.invalid/xapi/v1/$metadata#Users(Id,Number)"
    link = redactor.value("https://pbx.example.com/xapi/v1/Users?$skip=100&$top=100", "@odata.nextLink")
    assert link == "https://pbx.invalid/xapi/v1/Users?$skip=100&$top=100"


def test_of_headers_only_those_that_matter_are_kept() -> None:
    headers = {
        "Content-Type": "application/json; odata.metadata=minimal; charset=utf-8",
        "Date": "Wed, 25 Nov 2026 22:00:05 GMT",
        "X-3CX-Version": "20.0.8.1109",
        "WWW-Authenticate": 'Basic realm="pbx.example.com"',
        "Retry-After": "30",
        "Server": "nginx at pbx.example.com",
        "Set-Cookie": "session=abc",
    }
    kept = Redactor(KEY).headers(headers)
    assert kept == {
        "Content-Type": "application/json; odata.metadata=minimal; charset=utf-8",
        "Date": "Wed, 25 Nov 2026 22:00:05 GMT",
        "X-3CX-Version": "20.0.8.1109",
        "WWW-Authenticate": "Basic",
        "Retry-After": "30",
    }


def test_keys_that_are_no_names_of_fields_are_redacted_too() -> None:
    found = Redactor(KEY).value({"101": 1, "Ada Lovelace": 1, "ada@example.com": 1, "Id": 1})
    assert isinstance(found, dict)
    assert list(found)[-1] == "Id"
    assert not {"101", "Ada Lovelace", "ada@example.com"} & set(found)
