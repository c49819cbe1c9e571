"""Shapes show the forms of what a PBX sends, and no name or number of it."""

import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sources.threecx.parse import shapes as known
from bridge.sources.threecx.parse.shapes import (
    Shape,
    ShapeKind,
    active_call_shapes,
    close_shapes,
    event_shapes,
    extension_shapes,
    masked,
    monitor_shapes,
    participant_shapes,
    user_shapes,
)
from bridge.sources.threecx.shapes import MOST, Shapes

WORDS = known._VOCABULARY | known._PLACES | {word for words in known._WORDS.values() for word in words}


def of(kind: ShapeKind, *found: Shape) -> list[tuple[str, bool]]:
    return [(shape.text, shape.known) for shape in found if shape.kind is kind]


@pytest.mark.parametrize(
    ("text", "shape", "is_known"),
    [
        ("101 Ada Example", "999 A A", True),
        ("103 Cem Example (Sales)", "999 A A (A)", True),
        ("10001 SIP-Trunk (0301234567)", "99999 A-A (9999999999)", True),
        ("10001 Trunk ()", "99999 A ()", True),
        ("10001 Trunk (anonymous)", "99999 A (anonymous)", True),
        ("+49301234567 Ada (Acme GmbH)", "+99999999999 A (A A)", True),
        ("8003 - Support", "9999 - A", True),
        ("ROUTER", "ROUTER", True),
        ("MakeCall", "MakeCall", True),
        ("VoiceMail of 200 John Doe", "VoiceMail A 999 A A", True),
        ("Conference 700", "Conference 999", True),
        ("", "(empty)", True),
        (None, "(none)", True),
        ("O'Brien, Zoë", "A'A, A", False),
        ("Ｊｏｓé ٣٤ ½\N{TELEPHONE RECEIVER}\x00", "A 99 9?", False),
        (["101"], "(list)", False),
    ],
)
def test_a_side_of_a_call_keeps_its_form_alone(text: object, shape: str, is_known: bool) -> None:
    assert of(ShapeKind.CALLER, *active_call_shapes({"Caller": text})) == [(shape, is_known)]


def test_words_of_enumerations_stay_and_others_keep_known_parts() -> None:
    for status, shape in (
        ("Talking", ("Talking", True)),
        ("ROUTING", ("ROUTING", True)),
        ("ParkedByAda", ("ParkedA", False)),
        ("OnHold", ("OnHold", False)),
        (None, ("(none)", False)),
        (7, ("9", False)),
    ):
        assert of(ShapeKind.CALL_STATUS, *active_call_shapes({"Status": status})) == [shape]
    for profile, shape in (
        ("Custom 1", ("Custom 1", True)),
        ("Out of office", ("Out of office", True)),
        ("Lunch with Ada 3", ("A A A 9", False)),
        (None, ("(none)", True)),
    ):
        assert of(ShapeKind.PROFILE, *user_shapes({"CurrentProfileName": profile})) == [shape]


def test_keys_that_no_document_names_are_shapes() -> None:
    row = {"Id": 1, "CallerDevice": "x", "ada_phone": 1, "101": None}
    assert sorted(of(ShapeKind.UNKNOWN_KEY, *active_call_shapes(row))) == [
        ("ActiveCall.999", False),
        ("ActiveCall.A_phone", False),
        ("ActiveCall.CallerDevice", False),
    ]
    assert of(ShapeKind.UNKNOWN_KEY, *monitor_shapes({"DN": "101", "Expiration": 0, "State": "Busy"})) == [
        ("MonitoringState.State", False)
    ]


def test_call_control_has_types_words_and_codes() -> None:
    participant = {"id": 1, "status": "Ringing", "party_dn": "0301234567", "party_dn_type": "Wexternalline"}
    body = json.dumps([{"dn": "101", "type": "Wextension", "participants": [participant]}]).encode()
    found = list(extension_shapes(body))
    assert of(ShapeKind.DN_TYPE, *found) == [("Wextension", True)]
    assert of(ShapeKind.PARTICIPANT_STATUS, *found) == [("Ringing", True)]
    assert of(ShapeKind.PARTY_TYPE, *found) == [("Wexternalline", True)] + [("(none)", True)] * 3
    assert list(participant_shapes(json.dumps(participant).encode())) == [
        shape for shape in found if shape.kind is not ShapeKind.DN_TYPE
    ]
    event = {"sequence": 1, "event": {"event_type": 9, "entity": "/callcontrol/101", "attached_data": None}}
    assert list(event_shapes(json.dumps(event))) == [Shape(ShapeKind.EVENT_TYPE, "9", known=False)]
    assert list(close_shapes(1012)) == [Shape(ShapeKind.CLOSE_CODE, "1012", known=True)]
    assert list(close_shapes(4999)) == [Shape(ShapeKind.CLOSE_CODE, "9999", known=False)]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
KEYS = sorted({key for keys in known._KEYS.values() for key in keys} | {"event", "participants"})
rows = st.dictionaries(st.sampled_from(KEYS) | st.text(), anything)


SEGMENTS = re.compile(f"(?:A|(?i:{'|'.join(sorted(WORDS, key=len, reverse=True))}))+")


def holds_known_words_alone(text: str) -> None:
    """Letters are `A` or known words, digits are 9 or part of a known word; all of it is ASCII but for the end."""
    text = text.rstrip("…")
    assert text.isascii()
    assert text.isprintable()
    if text.casefold() in WORDS or text in {"(none)", "(empty)", "(list)", "(object)", "(fraction)", "(true or false)"}:
        return
    assert set(re.findall("[0-9]", text)) <= {"9"}
    for run in re.findall("[A-Za-z]+", text if len(text) < 64 else text.rpartition(" ")[0]):
        assert SEGMENTS.fullmatch(run), run


@given(rows)
def test_nothing_of_what_came_in_survives_but_known_words(row: dict[str, object]) -> None:
    body = json.dumps([row, {"participants": [row]}]).encode()
    text = json.dumps({"event": row} | row)
    for shape in (
        *user_shapes(row),
        *monitor_shapes(row),
        *active_call_shapes(row),
        *extension_shapes(body),
        *participant_shapes(body),
        *event_shapes(text),
    ):
        holds_known_words_alone(shape.text.partition(".")[2] if shape.kind is ShapeKind.UNKNOWN_KEY else shape.text)


@given(st.text())
def test_no_letter_and_no_digit_survives_without_a_vocabulary(text: str) -> None:
    assert set(masked(text)) <= {"A", "9", "…", "?"} | {chr(code) for code in range(32, 127) if not chr(code).isalnum()}


@given(st.binary() | st.text().map(str.encode))
def test_what_is_no_json_has_no_shapes_and_raises_nothing(body: bytes) -> None:
    for shapes in (extension_shapes(body), participant_shapes(body), event_shapes(body.decode("utf-8", "replace"))):
        list(shapes)
    values: list[object] = [None, [], "x", 1]
    for raw in values:
        assert not [*user_shapes(raw), *monitor_shapes(raw), *active_call_shapes(raw)]


def test_shapes_are_counted_bounded_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    shapes, changes = Shapes(), 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    shapes.changed = changed
    for _ in range(3):
        shapes.note(active_call_shapes({"Caller": "101 Ada", "Callee": "ROUTER", "Status": "Sleeping"}))
    assert changes == 1
    assert shapes.counts() == {"call_status": {"A": 3}, "caller": {"999 A": 3}, "callee": {"ROUTER": 3}}
    assert shapes.seen() == {"call_status": ("A",), "caller": ("999 A",), "callee": ("ROUTER",)}
    (line,) = caplog.messages
    assert line.startswith(
        "3CX sent a call status that this version does not know (A): please report it with the archive"
    )
    shapes.note(Shape(ShapeKind.CALLEE, "9" * length, known=True) for length in range(1, 2 * MOST))
    assert len(shapes.seen()["callee"]) == MOST
