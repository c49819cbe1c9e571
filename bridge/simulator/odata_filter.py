"""OData `$filter` as a PBX evaluates it: parsed into a predicate over rows, or refused with OData's kind of message.

Grammar: OData 4.01, part 2 (URL conventions), as much of it as lists of users are filtered by. As in Microsoft's
library, which 3CX uses, functions, operators and properties may be written in any case, and types are checked while
parsing.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.simulator.odata_types import EntityType, QueryError, Row, edm_name

Value = Callable[[Row], Any]

MAX_DEPTH = 40

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<name>[^\W\d]\w*(?:\.\w+)*)
      | (?P<sign>[(),])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)

_COMPARISONS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "eq": ("Equal", operator.eq),
    "ne": ("NotEqual", operator.ne),
    "gt": ("GreaterThan", operator.gt),
    "ge": ("GreaterThanOrEqual", operator.ge),
    "lt": ("LessThan", operator.lt),
    "le": ("LessThanOrEqual", operator.le),
}
_ORDERED = frozenset({"gt", "ge", "lt", "le"})
_CONSTANTS: dict[str, object] = {"true": True, "false": False, "null": None}
_NUMBERS = frozenset({int, float})
_NULL = type(None)


@dataclass(frozen=True, slots=True)
class _Function:
    arguments: int
    gives: type
    apply: Callable[..., object]
    of_null: object = None


_FUNCTIONS: Mapping[str, _Function] = {
    "contains": _Function(2, bool, lambda text, part: part in text, of_null=False),
    "startswith": _Function(2, bool, lambda text, part: text.startswith(part), of_null=False),
    "endswith": _Function(2, bool, lambda text, part: text.endswith(part), of_null=False),
    "indexof": _Function(2, int, lambda text, part: text.find(part)),
    "concat": _Function(2, str, operator.add),
    "tolower": _Function(1, str, lambda text: text.lower()),
    "toupper": _Function(1, str, lambda text: text.upper()),
    "trim": _Function(1, str, lambda text: text.strip()),
    "length": _Function(1, int, len),
}
"""All of them take strings."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class _Typed:
    kind: type
    value: Value


def parse(text: str, entity: EntityType) -> Callable[[Row], bool]:
    """The predicate for `text` over rows of `entity`; QueryError where it is refused."""
    parser = _Parser(text, entity)
    predicate = parser.either(0)
    parser.expect_end()
    if predicate.kind not in {bool, _NULL}:
        raise QueryError("The $filter expression must evaluate to a single boolean value.")
    return lambda row: predicate.value(row) is True


class _Parser:
    """Recursive descent: either > both > negation > comparison > operand."""

    def __init__(self, text: str, entity: EntityType) -> None:
        self._text = text
        self._entity = entity
        self._position = 0
        self._next = self._token()

    def either(self, depth: int) -> _Typed:
        left = self._both(depth)
        while self._takes_word("or"):
            left = _logical("Or", left, self._both(depth), any)
        return left

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise self._syntax_error(self._next)

    def _both(self, depth: int) -> _Typed:
        left = self._negation(depth)
        while self._takes_word("and"):
            left = _logical("And", left, self._negation(depth), all)
        return left

    def _negation(self, depth: int) -> _Typed:
        if depth > MAX_DEPTH:
            raise QueryError("The recursion limit has been exceeded.")
        if self._takes_word("not"):
            inner = self._negation(depth + 1)
            if inner.kind not in {bool, _NULL}:
                raise QueryError(
                    "A unary operator with an incompatible type was detected. "
                    f"Found operand type '{edm_name(inner.kind)}' for operator kind 'Not'."
                )
            return _Typed(bool, lambda row: not inner.value(row))
        return self._comparison(depth)

    def _comparison(self, depth: int) -> _Typed:
        left = self._operand(depth)
        word = self._next.text.lower()
        if self._next.kind == "name" and word in _COMPARISONS:
            self._advance()
            return _comparing(word, left, self._operand(depth))
        if self._takes_word("in"):
            choices = [_comparing("eq", left, choice) for choice in self._arguments(depth)]
            return _Typed(bool, lambda row: any(choice.value(row) for choice in choices))
        return left

    def _operand(self, depth: int) -> _Typed:
        token = self._advance()
        match token.kind:
            case "text" | "time" | "number":
                return _constant(_literal(token))
            case "name" if token.text in _CONSTANTS:
                return _constant(_CONSTANTS[token.text])
            case "name" if self._next == _Token("sign", "(", self._next.position):
                return self._call(token.text, depth)
            case "name":
                return self._property(token.text)
            case "sign" if token.text == "(":
                inner = self.either(depth + 1)
                self._must_take(")")
                return inner
        raise self._syntax_error(token)

    def _call(self, name: str, depth: int) -> _Typed:
        function = _FUNCTIONS.get(name.lower())
        if function is None:
            raise QueryError(
                f"An unknown function with name '{name}' was found. This may also be a function import or a key lookup "
                "on a navigation property, which is not allowed."
            )
        arguments = self._arguments(depth)
        if len(arguments) != function.arguments or any(each.kind not in {str, _NULL} for each in arguments):
            raise QueryError(
                f"No function signature for the function with name '{name}' matches the specified arguments."
            )
        return _applying(function, arguments)

    def _arguments(self, depth: int) -> list[_Typed]:
        self._must_take("(")
        arguments = [self.either(depth + 1)]
        while self._takes("sign", ","):
            arguments.append(self.either(depth + 1))
        self._must_take(")")
        return arguments

    def _property(self, name: str) -> _Typed:
        entity = self._entity
        spelt = entity.property(name)
        kind = entity.properties[spelt]
        if kind is datetime:
            return _Typed(kind, lambda row: instant(entity.value(row, spelt)))
        return _Typed(kind, lambda row: entity.value(row, spelt))

    def _takes(self, kind: str, text: str) -> bool:
        if self._next.kind == kind and self._next.text == text:
            self._advance()
            return True
        return False

    def _takes_word(self, word: str) -> bool:
        return self._takes("name", self._next.text if self._next.text.lower() == word else word)

    def _must_take(self, sign: str) -> None:
        if not self._takes("sign", sign):
            raise QueryError(f"'{sign}' expected at position {self._next.position} in '{self._text}'.")

    def _advance(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = self._token()
        return token

    def _token(self) -> _Token:
        match = _TOKEN.match(self._text, self._position)
        if match is None or match.lastgroup is None:
            raise QueryError(f"Syntax error at position {self._position} in '{self._text}'.")
        self._position = match.end()
        return _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))

    def _syntax_error(self, token: _Token) -> QueryError:
        return QueryError(f"Syntax error at position {token.position} in '{self._text}'.")


def instant(value: object) -> datetime | None:
    """A time as .NET writes it, with up to seven decimals; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _literal(token: _Token) -> object:
    if token.kind == "text":
        return token.text[1:-1].replace("''", "'")
    if token.kind == "time":
        return instant(token.text)
    return float(token.text) if "." in token.text else int(token.text)


def _constant(value: object) -> _Typed:
    return _Typed(type(value), lambda _: value)


def _incompatible(left: _Typed, right: _Typed, kind: str) -> QueryError:
    return QueryError(
        "A binary operator with incompatible types was detected. "
        f"Found operand types '{edm_name(left.kind)}' and '{edm_name(right.kind)}' for operator kind '{kind}'."
    )


def _logical(kind: str, left: _Typed, right: _Typed, combine: Callable[[list[object]], bool]) -> _Typed:
    if not {left.kind, right.kind} <= {bool, _NULL}:
        raise _incompatible(left, right, kind)
    return _Typed(bool, lambda row: combine([left.value(row), right.value(row)]))


def _comparing(word: str, left: _Typed, right: _Typed) -> _Typed:
    kind, compare = _COMPARISONS[word]
    kinds = {left.kind, right.kind} - {_NULL}
    if len(kinds) > 1 and not kinds <= _NUMBERS:
        raise _incompatible(left, right, kind)
    if word in _ORDERED and bool in kinds:
        raise _incompatible(left, right, kind)

    def compared(row: Row) -> bool:
        one, other = left.value(row), right.value(row)
        if word in _ORDERED and (one is None or other is None):
            return False  # null is neither less nor more
        return compare(one, other)

    return _Typed(bool, compared)


def _applying(function: _Function, arguments: list[_Typed]) -> _Typed:
    def applied(row: Row) -> object:
        values = [argument.value(row) for argument in arguments]
        return function.of_null if None in values else function.apply(*values)

    return _Typed(function.gives, applied)
