"""The types and names that OData queries are checked against, and how a query is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

Row = Mapping[str, object]

_EDM: Mapping[type, str] = {
    bool: "Edm.Boolean",
    int: "Edm.Int32",
    float: "Edm.Double",
    str: "Edm.String",
    datetime: "Edm.DateTimeOffset",
    list: "Collection",
}


class QueryError(Exception):
    """HTTP 400; the text is what the PBX says, word for word that of Microsoft's OData library."""

    def __init__(self, message: str, *, prefix: str = "The query specified in the URI is not valid. ") -> None:
        super().__init__(prefix + message)


def edm_name(kind: type) -> str:
    """The name of a type in messages."""
    return _EDM.get(kind, "Edm.Untyped")


@dataclass(frozen=True, slots=True)
class EntityType:
    """A type of rows."""

    name: str
    properties: Mapping[str, type]
    navigation: Mapping[str, "EntityType"] = field(default_factory=dict)
    """What `$expand` may name, with the type of its rows."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Values of the properties that rows need not hold; None where there is none."""

    def value(self, row: Row, name: str) -> object:
        """The property of a row."""
        return row[name] if name in row else self.defaults.get(name)

    def property(self, name: str) -> str:
        """The name as the type spells it: any case is understood. QueryError where there is no such property."""
        return self._spelt(name, self.properties)

    def relation(self, name: str) -> str:
        """The same for a navigation property."""
        return self._spelt(name, self.navigation)

    def _spelt(self, name: str, known: Mapping[str, object]) -> str:
        if name in known:
            return name
        folded = name.casefold()
        found = next((each for each in known if each.casefold() == folded), None)
        if found is None:
            raise QueryError(f"Could not find a property named '{name}' on type '{self.name}'.")
        return found


def whole(row: Row, kind: EntityType) -> dict[str, object]:
    """The row with all its properties, and without what only `$expand` shows."""
    return {name: kind.value(row, name) for name in kind.properties}


def rows_of(row: Row, relation: str) -> Sequence[Row]:
    """The rows behind a navigation property."""
    found = row.get(relation)
    return found if isinstance(found, list) else []
