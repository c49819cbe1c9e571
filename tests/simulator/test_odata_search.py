import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.odata_search import parse
from bridge.simulator.odata_types import QueryError

WORDS = st.sampled_from(["ada", "AND", "OR", "NOT", "(", ")", '"a b"', "101", '"', "\\"])


@given(st.text(min_size=1))
def test_a_quoted_phrase_means_itself(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert parse(f'"{escaped}"')({"Name": f"x{text}y"})


@given(st.text() | st.lists(WORDS).map(" ".join))
def test_any_text_is_a_search_or_refused(text: str) -> None:
    try:
        predicate = parse(text)
    except QueryError:
        return
    assert predicate({"Name": "ada", "Id": 1}) in {True, False}


@pytest.mark.parametrize("text", ["NOT " * 1000 + "a", "(" * 1000])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="recursion limit"):
        parse(text)
