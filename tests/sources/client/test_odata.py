import re
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sources.threecx.client.odata import PAGE, Walk, narrows, query_string, search_phrase
from bridge.sources.threecx.settings import QueryOptions

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("search", "sent"),
    [
        ("sales", "sales"),
        ("Müller", "Müller"),
        ("sales team", '"sales team"'),
        ("Müller & Söhne", '"Müller & Söhne"'),
        ("101", '"101"'),
        ("+49", '"+49"'),
        ("O'Brien", '"O\'Brien"'),
        ("a-b", '"a-b"'),
        ("AND", '"AND"'),
        ("OR", '"OR"'),
        ("NOT", '"NOT"'),
        ("android", "android"),
        ("NOT sales", '"NOT sales"'),
        ('the "A" team', r'"the \"A\" team"'),
        (r"a\b", r'"a\\b"'),
        ('"', r'"\""'),
        ("\N{DESERET CAPITAL LETTER LONG I}", '"\N{DESERET CAPITAL LETTER LONG I}"'),
        ('"sales team"', '"sales team"'),
        ('"sales team" OR "boss"', '"sales team" OR "boss"'),
        (r'"the \"A\" team"', r'"the \"A\" team"'),
    ],
)
def test_what_is_no_plain_word_is_quoted_and_what_is_quoted_stays(search: str, sent: str) -> None:
    assert search_phrase(search) == sent


@given(text)
def test_every_search_is_a_word_of_letters_or_one_quoted_phrase(search: str) -> None:
    phrase = search_phrase(search)
    if phrase != search:
        assert re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', phrase, re.DOTALL)
        assert re.sub(r'\\(["\\])', r"\1", phrase[1:-1]) == search
    else:
        assert search.isalpha() or search[0] == search[-1] == '"'


def test_a_query_is_encoded_byte_by_byte() -> None:
    options = QueryOptions(search="a b", filter="Name eq 'O''Brien & Söhne + #1'", count=True)
    assert query_string(top=100, skip=0, options=options) == (
        "$top=100&$skip=0&$search=%22a%20b%22"
        "&$filter=Name%20eq%20%27O%27%27Brien%20%26%20S%C3%B6hne%20%2B%20%231%27&$count=true"
    )


@given(text, text)
def test_whatever_is_asked_arrives_as_it_was_meant(search: str, odata_filter: str) -> None:
    query = query_string(top=1, skip=2, options=QueryOptions(search=search, filter=odata_filter, count=False))
    assert query.isascii()
    assert parse_qsl(query, keep_blank_values=True) == [
        ("$top", "1"),
        ("$skip", "2"),
        ("$search", search_phrase(search)),
        ("$filter", odata_filter),
    ]


@pytest.mark.parametrize(
    ("options", "narrow"),
    [
        (QueryOptions(), False),
        (QueryOptions(count=False), False),
        (QueryOptions(top=500), True),
        (QueryOptions(skip=1), True),
        (QueryOptions(search="x"), True),
        (QueryOptions(filter="x"), True),
    ],
)
def test_options_that_may_hide_rows_are_known(options: QueryOptions, narrow: bool) -> None:
    assert narrows(options) is narrow


def walked(rows: int, options: QueryOptions, *, page_limit: int = PAGE, counted: bool = False) -> list[tuple[int, int]]:
    """($skip, $top) of every request against a PBX with so many rows."""
    walk, asked = Walk(options), []
    while (query := walk.next_query()) is not None:
        asked.append((int(dict(parse_qsl(query))["$skip"]), int(dict(parse_qsl(query))["$top"])))
        skip, top = asked[-1]
        walk.took(len(range(rows)[skip : skip + min(top, page_limit)]), rows if counted else None)
        assert walk.pages <= 2 + rows
    return asked


def test_pages_are_read_until_one_is_short() -> None:
    assert walked(0, QueryOptions()) == [(0, 100)]
    assert walked(99, QueryOptions()) == [(0, 100)]
    assert walked(100, QueryOptions()) == [(0, 100), (100, 100)]
    assert walked(250, QueryOptions()) == [(0, 100), (100, 100), (200, 100)]


def test_a_large_top_is_split_and_never_exceeded() -> None:
    assert walked(1000, QueryOptions(top=250, skip=10)) == [(10, 100), (110, 100), (210, 50)]
    assert walked(120, QueryOptions(top=250)) == [(0, 100), (100, 100)]


def test_a_pbx_with_smaller_pages_is_read_to_its_own_count() -> None:
    assert walked(120, QueryOptions(), page_limit=50, counted=True) == [(0, 100), (50, 100), (100, 100)]


@given(st.integers(0, 700), st.integers(1, 700), st.integers(0, 300), st.booleans())
def test_a_walk_reads_every_row_it_should_and_ends(rows: int, top: int, skip: int, counted: bool) -> None:
    asked = walked(rows, QueryOptions(top=top, skip=skip), counted=counted)
    read = [row for at, size in asked for row in range(rows)[at : at + size]]
    assert read == list(range(rows)[skip : skip + top])
