"""OData `$select` and `$expand`: which properties of a row an answer shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bridge.simulator.odata_types import EntityType, QueryError, Row, rows_of, whole


@dataclass(frozen=True, slots=True)
class Shape:
    """The properties of a row to show; None: all of them."""

    entity: EntityType
    names: tuple[str, ...] | None = None
    expanded: Mapping[str, "Shape"] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether rows are shown as they are, as those of functions are."""
        hidden = self.entity.navigation or self.entity.defaults
        return self.names is None and not self.expanded and not hidden

    def show(self, row: Row) -> dict[str, object]:
        """The row in this shape."""
        if self.names is None:
            shown = whole(row, self.entity)
        else:
            shown = {name: self.entity.value(row, name) for name in self.names}
        for name, shape in self.expanded.items():
            shown[name] = [shape.show(each) for each in rows_of(row, name)]
        return shown


def shape(entity: EntityType, select: str | None, expand: str | None) -> Shape:
    """The shape under these options; QueryError names what the type does not have."""
    names = None if select is None else _selected(entity, select)
    expanded = dict(_expanded(entity, expand)) if expand else {}
    return Shape(entity, names, expanded)


def _selected(entity: EntityType, select: str) -> tuple[str, ...] | None:
    names = [name.strip() for name in select.split(",")]
    if "*" in names or names == [""]:
        return None
    related = {name.casefold() for name in entity.navigation}
    return tuple(dict.fromkeys(entity.property(name) for name in names if name.casefold() not in related))


def _expanded(entity: EntityType, expand: str) -> Iterator[tuple[str, Shape]]:
    for item in _parts(expand, ","):
        name, bracket, rest = item.partition("(")
        if bracket and not rest.endswith(")"):
            raise QueryError(f"Syntax error at position {len(expand)} in '{expand}'.")
        relation = entity.relation(name.strip())
        options = dict(_option(each) for each in _parts(rest[:-1], ";")) if bracket else {}
        yield relation, shape(entity.navigation[relation], options.get("select"), options.get("expand"))


def _option(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower().removeprefix("$"), value


def _parts(text: str, separator: str) -> list[str]:
    """Split outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
