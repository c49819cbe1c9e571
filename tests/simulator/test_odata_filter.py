import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.odata_filter import parse
from bridge.simulator.odata_types import EntityType, QueryError

TYPE = EntityType("T", {"DN": str, "Expiration": int})
WORDS = st.sampled_from(
    ["DN", "Expiration", "eq", "and", "or", "not", "in", "(", ")", ",", "'x'", "1", "null", "contains("]
)


@given(st.text())
def test_a_quoted_string_means_itself(text: str) -> None:
    literal = text.replace("'", "''")
    assert parse(f"DN eq '{literal}'", TYPE)({"DN": text, "Expiration": 0})


@given(st.text() | st.lists(WORDS).map(" ".join))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        predicate = parse(text, TYPE)
    except QueryError:
        return
    assert predicate({"DN": "x", "Expiration": 1}) in {True, False}


@pytest.mark.parametrize("text", ["not " * 1000 + "true", "(" * 1000, "contains(" * 1000])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        parse(text, TYPE)
