"""OData query options of a collection, with the limits and the error texts of XAPI."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.simulator.odata_filter import FilterError, Row, parse

PAGE_LIMIT = 100
"""Larger $top values are refused (seen on real PBXs of 2026)."""

_SEARCH_TOKEN = re.compile(r'\s*(?:"([^"]+)"|([^\s"]+))')


class QueryError(Exception):
    """HTTP 400 with this message."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What a path serves: the OData type of its rows, their properties, and the query options it supports."""

    type_name: str
    properties: Mapping[str, type]
    options: frozenset[str]
    ordered: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """All rows by the property that they are sorted by already, which saves sorting thousands again."""


def answer(rows: Sequence[Row], query: Mapping[str, str], collection: Collection, context: str) -> dict[str, Any]:
    """The envelope for `rows` under the query options; names without `$` are ignored, as the PBX does."""
    unknown = [name for name in query if name.startswith("$") and name not in collection.options]
    if unknown:
        raise QueryError(f"The query parameter '{unknown[0]}' is not supported.")
    top, skip = _number(query, "$top", PAGE_LIMIT), _number(query, "$skip", 0)
    if top > PAGE_LIMIT:
        raise QueryError(
            "The query specified in the URI is not valid. "
            f"The limit of '{PAGE_LIMIT}' for Top query has been exceeded. "
            f"The value from the incoming request is '{top}'."
        )
    found = _matching(rows, query, collection)
    envelope: dict[str, Any] = {"@odata.context": context}
    if query.get("$count", "").lower() == "true":
        envelope["@odata.count"] = len(found)
    envelope["value"] = _selected(_ordered(found, query, collection)[skip : skip + top], query, collection)
    return envelope


def _ordered(rows: Sequence[Row], query: Mapping[str, str], collection: Collection) -> Sequence[Row]:
    if "$orderby" not in query:
        return rows
    name, _, direction = query["$orderby"].partition(" ")
    _must_be_known(name, collection)
    if rows is collection.ordered.get(name) and direction != "desc":
        return rows
    return sorted(rows, key=lambda row: (row[name] is None, row[name]), reverse=direction == "desc")


def _selected(rows: Sequence[Row], query: Mapping[str, str], collection: Collection) -> Sequence[Row]:
    if "$select" not in query:
        return rows
    names = query["$select"].split(",")
    for name in names:
        _must_be_known(name, collection)
    return [{name: row[name] for name in names} for row in rows]


def _must_be_known(name: str, collection: Collection) -> None:
    if name not in collection.properties:
        raise QueryError(
            "The query specified in the URI is not valid. "
            f"Could not find a property named '{name}' on type '{collection.type_name}'."
        )


def _matching(rows: Sequence[Row], query: Mapping[str, str], collection: Collection) -> Sequence[Row]:
    predicates: list[Callable[[Row], bool]] = []
    try:
        if "$filter" in query:
            predicates.append(parse(query["$filter"], collection.properties, collection.type_name))
    except FilterError as error:
        raise QueryError(str(error)) from None
    if "$search" in query:
        predicates.append(_search(query["$search"]))
    if not predicates:
        return rows
    return [row for row in rows if all(predicate(row) for predicate in predicates)]


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text):
        raise QueryError(f"Invalid value '{text}' for {name} query option found. A non-negative integer is required.")
    return int(text)


def _search(text: str) -> Callable[[Row], bool]:
    """All words are required; "phrases" match literally; OR separates alternatives; NOT excludes the next term."""
    alternatives: list[list[tuple[str, bool]]] = [[]]
    negated, position = False, 0
    while position < len(text.rstrip()):
        token = _SEARCH_TOKEN.match(text, position)
        if token is None:
            raise QueryError(f"The $search expression '{text}' has a syntax error at position {position}.")
        position = token.end()
        match token[2]:
            case "OR":
                alternatives.append([])
            case "AND":
                continue
            case "NOT":
                negated = True
            case word:
                alternatives[-1].append(((token[1] or word).casefold(), not negated))
                negated = False
    if not all(alternatives) or negated:
        raise QueryError(f"The $search expression '{text}' is incomplete.")
    return lambda row: _found(row.values(), alternatives)


def _found(values: Iterable[object], alternatives: list[list[tuple[str, bool]]]) -> bool:
    texts = [str(value).casefold() for value in values]
    return any(all(any(term in text for text in texts) is wanted for term, wanted in terms) for terms in alternatives)
