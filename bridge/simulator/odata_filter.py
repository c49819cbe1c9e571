"""OData `$filter` as a PBX evaluates it: parsed into a predicate over rows, or refused with OData's kind of message.

Grammar: OData 4.01, part 2 (URL conventions), as much of it as lists of users are filtered by.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, object]
Value = Callable[[Row], object]

MAX_DEPTH = 40

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<name>[^\W\d]\w*(?:\.\w+)*)
      | (?P<sign>[(),])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_CONSTANTS: dict[str, object] = {"true": True, "false": False, "null": None}
_FUNCTIONS: dict[str, tuple[int, Callable[..., object]]] = {
    "contains": (2, lambda text, part: part in text),
    "startswith": (2, lambda text, part: text.startswith(part)),
    "endswith": (2, lambda text, part: text.endswith(part)),
    "tolower": (1, lambda text: text.lower()),
    "toupper": (1, lambda text: text.upper()),
    "length": (1, len),
}


class FilterError(Exception):
    """The filter is refused; the text is what the PBX would say."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse(text: str, properties: Mapping[str, type], type_name: str) -> Callable[[Row], bool]:
    """The predicate for `text`, over rows of `type_name` with these properties; FilterError where it is refused."""
    parser = _Parser(text, properties, type_name)
    predicate = parser.either(0)
    parser.expect_end()
    return lambda row: predicate(row) is True


class _Parser:
    """Recursive descent: either > both > negation > comparison > operand."""

    def __init__(self, text: str, properties: Mapping[str, type], type_name: str) -> None:
        self._text = text
        self._properties = properties
        self._type_name = type_name
        self._position = 0
        self._next = self._token()

    def either(self, depth: int) -> Value:
        left = self._both(depth)
        while self._takes("name", "or"):
            left = _logical(left, self._both(depth), any)
        return left

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise self._error(f"Syntax error at position {self._next.position} in '{self._text}'.")

    def _both(self, depth: int) -> Value:
        left = self._negation(depth)
        while self._takes("name", "and"):
            left = _logical(left, self._negation(depth), all)
        return left

    def _negation(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise self._error("The recursion limit has been exceeded.")
        if self._takes("name", "not"):
            inner = self._negation(depth + 1)
            return lambda row: not inner(row)
        return self._comparison(depth)

    def _comparison(self, depth: int) -> Value:
        left = self._operand(depth)
        if self._next.kind == "name" and self._next.text in _COMPARISONS:
            compare = _COMPARISONS[self._advance().text]
            return _comparing(compare, left, self._operand(depth))
        if self._takes("name", "in"):
            choices = self._arguments(depth)
            return lambda row: any(left(row) == choice(row) for choice in choices)
        return left

    def _operand(self, depth: int) -> Value:
        token = self._advance()
        match token.kind:
            case "text":
                return _constant(token.text[1:-1].replace("''", "'"))
            case "number":
                return _constant(float(token.text) if "." in token.text else int(token.text))
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
        raise self._error(f"Syntax error at position {token.position} in '{self._text}'.")

    def _call(self, name: str, depth: int) -> Value:
        if name not in _FUNCTIONS:
            raise self._error(f"An unknown function with name '{name}' was found.")
        count, function = _FUNCTIONS[name]
        arguments = self._arguments(depth)
        if len(arguments) != count:
            raise self._error(f"No function signature for the function with name '{name}' matches the arguments.")
        return _applying(function, arguments)

    def _arguments(self, depth: int) -> list[Value]:
        self._must_take("(")
        arguments = [self.either(depth + 1)]
        while self._takes("sign", ","):
            arguments.append(self.either(depth + 1))
        self._must_take(")")
        return arguments

    def _property(self, name: str) -> Value:
        if name not in self._properties:
            raise self._error(f"Could not find a property named '{name}' on type '{self._type_name}'.")
        return lambda row: row[name]

    def _takes(self, kind: str, text: str) -> bool:
        if self._next.kind == kind and self._next.text == text:
            self._advance()
            return True
        return False

    def _must_take(self, sign: str) -> None:
        if not self._takes("sign", sign):
            raise self._error(f"'{sign}' expected at position {self._next.position} in '{self._text}'.")

    def _advance(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = self._token()
        return token

    def _token(self) -> _Token:
        match = _TOKEN.match(self._text, self._position)
        if match is None or match.lastgroup is None:
            raise self._error(f"Syntax error at position {self._position} in '{self._text}'.")
        self._position = match.end()
        return _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))

    def _error(self, message: str) -> FilterError:
        return FilterError(f"The query specified in the URI is not valid. {message}")


def _constant(value: object) -> Value:
    return lambda _: value


def _logical(left: Value, right: Value, combine: Callable[[list[object]], bool]) -> Value:
    return lambda row: combine([left(row), right(row)])


def _comparing(compare: Callable[[Any, Any], bool], left: Value, right: Value) -> Value:
    def compared(row: Row) -> bool:
        try:
            return compare(left(row), right(row))
        except TypeError:  # null, or text against a number: neither less nor more
            return False

    return compared


def _applying(function: Callable[..., object], arguments: list[Value]) -> Value:
    def applied(row: Row) -> object:
        try:
            return function(*(argument(row) for argument in arguments))
        except (TypeError, AttributeError):  # a function of null is null
            return None

    return applied
