import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.dn import why_unpublishable


@pytest.mark.parametrize("dn", ["101", "0100", "sptest", "Köln", "a b", "*61", "$SYS", "电话", "x" * 64])
def test_ordinary_numbers_and_names_can_be_published(dn: str) -> None:
    assert why_unpublishable(dn) is None


@pytest.mark.parametrize(
    ("dn", "reason"),
    [
        ("", "it is empty"),
        ("1+1", "'+' has a meaning of its own in MQTT topics"),
        ("1#", "'#' has a meaning of its own in MQTT topics"),
        ("a/b", "'/' has a meaning of its own in MQTT topics"),
        ("a\x00", "it holds a control character or a non-character"),
        ("a\n", "it holds a control character or a non-character"),
        ("a\x85", "it holds a control character or a non-character"),
        ("a\ufdd0", "it holds a control character or a non-character"),
        ("a\U0001ffff", "it holds a control character or a non-character"),
        ("a\ud800", "it holds half a surrogate pair"),
        ("ä" * 33, "it is longer than 64 bytes"),
    ],
)
def test_what_a_topic_cannot_hold_is_refused(dn: str, reason: str) -> None:
    assert why_unpublishable(dn) == reason


@given(st.text())
def test_what_is_accepted_is_one_topic_level_of_bounded_utf_8(dn: str) -> None:
    if why_unpublishable(dn) is None:
        assert 0 < len(dn.encode()) <= 64
        assert not set(dn) & set("+#/\0")
