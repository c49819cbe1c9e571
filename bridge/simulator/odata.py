"""OData query options of a collection or an entity, with the limits and the error texts of XAPI."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from bridge.simulator import odata_filter, odata_search
from bridge.simulator.odata_shape import shape
from bridge.simulator.odata_types import EntityType, QueryError, Row, edm_name

PAGE_LIMIT = 100
"""Larger $top values are refused (seen on real PBXs of 2026)."""

_OPTIONS = ("top", "skip", "search", "filter", "count", "select", "orderby", "expand")
SHAPING = frozenset({"select", "expand"})
"""The options of a single entity."""
PAGING = frozenset({"top", "skip", "search", "filter", "count"})
"""The options of a function that returns a collection."""
LISTING = PAGING | SHAPING | {"orderby"}


@dataclass(slots=True)
class Habits:
    """What differs between builds, or is not documented."""

    searchable: bool = True
    """False: no search binder is registered, and the library ignores `$search` in silence."""
    page_size: int = PAGE_LIMIT
    """The most rows of one answer."""
    next_link: Literal["none", "absolute", "relative"] = "none"
    """How an answer that ends before the last row asked for refers to the next one; the spec shows none."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What a path serves: the type of its rows, and the query options it supports."""

    entity: EntityType
    options: frozenset[str] = LISTING
    ordered: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """All rows by the property that they are sorted by already, which saves sorting thousands again."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the request went, for the links in its answer."""

    origin: str
    path: str
    context: str
    """What stands behind `$metadata#`."""


def options(query: Mapping[str, str], supported: frozenset[str]) -> dict[str, str]:
    """The query options by name without `$`, in small letters; `$` may be missing. Other names are the caller's own."""
    found = {}
    for name, value in query.items():
        bare = name.strip().lower().removeprefix("$")
        if name.startswith("$") and bare not in supported:
            raise QueryError(f"The query parameter '{name}' is not supported.", prefix="")
        if bare in supported:
            found[bare] = value
        elif bare in _OPTIONS:
            raise QueryError(f"The query parameter '{name}' is not supported.", prefix="")
    return found


def entity_answer(row: Row, query: Mapping[str, str], entity: EntityType, context: str) -> dict[str, Any]:
    """A single entity under the query options."""
    asked = options(query, SHAPING)
    shown = shape(entity, asked.get("select"), asked.get("expand")).show(row)
    return {"@odata.context": context, **shown}


def answer(
    rows: Sequence[Row], query: Mapping[str, str], collection: Collection, address: Address, habits: Habits
) -> dict[str, Any]:
    """The envelope for `rows` under the query options."""
    asked = options(query, collection.options)
    top, skip = _number(asked, "top"), _number(asked, "skip") or 0
    if top is not None and top > PAGE_LIMIT:
        raise QueryError(
            f"The limit of '{PAGE_LIMIT}' for Top query has been exceeded. "
            f"The value from the incoming request is '{top}'."
        )
    shown = shape(collection.entity, asked.get("select"), asked.get("expand"))
    found = _ordered(_matching(rows, asked, collection.entity, habits), asked, collection)
    wanted = found[skip:] if top is None else found[skip : skip + top]
    page = wanted[: habits.page_size]
    names = asked.get("select")
    context = address.context + (f"({names.replace(' ', '')})" if names else "")
    envelope: dict[str, Any] = {"@odata.context": f"{address.origin}/xapi/v1/$metadata#{context}"}
    if _counted(asked):
        envelope["@odata.count"] = len(found)
    envelope["value"] = page if shown.plain else [shown.show(row) for row in page]
    if habits.next_link != "none" and len(page) < len(wanted):
        left = {} if top is None else {"$top": str(top - len(page))}
        following = {f"${name}": value for name, value in asked.items()} | left | {"$skip": str(skip + len(page))}
        link = f"{address.path}?{urlencode(following, safe='$,')}"
        envelope["@odata.nextLink"] = address.origin + link if habits.next_link == "absolute" else link
    return envelope


def _counted(asked: Mapping[str, str]) -> bool:
    text = asked.get("count", "false").strip().lower()
    if text not in {"true", "false"}:
        raise QueryError(
            f"Invalid value '{asked['count']}' for $count query option found. Valid values are 'true' or 'false'.",
            prefix="",
        )
    return text == "true"


def _ordered(rows: Sequence[Row], asked: Mapping[str, str], collection: Collection) -> Sequence[Row]:
    terms = [_order_term(term, collection.entity) for term in asked.get("orderby", "").split(",") if term.strip()]
    if not terms or (len(terms) == 1 and not terms[0][1] and rows is collection.ordered.get(terms[0][0])):
        return rows
    for name, descending in reversed(terms):
        rows = sorted(rows, key=_sort_key(name, collection.entity), reverse=descending)
    return rows


def _order_term(term: str, entity: EntityType) -> tuple[str, bool]:
    name, _, direction = term.strip().partition(" ")
    direction = direction.strip().lower()
    if direction not in {"", "asc", "desc"}:
        raise QueryError(f"Syntax error at position {len(name) + 1 + len(direction)} in '{term.strip()}'.")
    spelt = entity.property(name)
    if entity.properties[spelt] is list:
        raise QueryError(
            f"The $orderby expression must evaluate to a single value of primitive type, not {edm_name(list)}."
        )
    return spelt, direction == "desc"


def _sort_key(name: str, entity: EntityType) -> Callable[[Row], tuple[bool, Any]]:
    is_time = entity.properties[name] is datetime

    def key(row: Row) -> tuple[bool, Any]:
        value: Any = entity.value(row, name)
        if is_time:
            value = odata_filter.instant(value)
        return value is not None, 0 if value is None else value  # null is the smallest, as in .NET

    return key


def _matching(rows: Sequence[Row], asked: Mapping[str, str], entity: EntityType, habits: Habits) -> Sequence[Row]:
    predicates: list[Callable[[Row], bool]] = []
    if "filter" in asked:
        predicates.append(odata_filter.parse(asked["filter"], entity))
    if "search" in asked and habits.searchable:
        predicates.append(odata_search.parse(asked["search"]))
    if not predicates:
        return rows
    return [row for row in rows if all(predicate(row) for predicate in predicates)]


def _number(asked: Mapping[str, str], name: str) -> int | None:
    text = asked.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}", text):
        raise QueryError(
            f"Invalid value '{text}' for ${name} query option found. "
            f"The ${name} query option requires a non-negative integer value.",
            prefix="",
        )
    return int(text)
