r"""OData `$search` with the lexer of Microsoft's library (odata.net, SearchLexer), which 3CX uses.

An unquoted word may hold letters only (Unicode L and Nl): `101`, `O'Brien` and `a-b` are syntax errors. Phrases stand
in double quotes, in which `\\` and `\"` are the only escapes. AND, OR and NOT count in capitals only.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bridge.simulator.odata_types import QueryError, Row

MAX_DEPTH = 40

_KEYWORDS = frozenset({"AND", "OR", "NOT"})
_WORD = re.compile(r".[^\s)]*", re.DOTALL)
_PHRASE_PART = re.compile(r'[^"\\]|\\["\\]')

Predicate = Callable[[list[str]], bool]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """`term`, a keyword, a bracket, or "" at the end."""
    text: str
    position: int


def parse(text: str) -> Callable[[Row], bool]:
    """The predicate for `text`: terms are looked for in all values of a row; QueryError where it is refused."""
    parser = _Parser(text)
    predicate = parser.either(0)
    parser.expect_end()
    return lambda row: predicate([str(value).casefold() for value in _plain(row.values())])


def _plain(values: Iterable[object]) -> list[object]:
    return [value for value in values if isinstance(value, str | int)]


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._next = self._token()

    def either(self, depth: int) -> Predicate:
        if depth > MAX_DEPTH:
            raise QueryError("The recursion limit has been exceeded.")
        alternatives = [self._both(depth)]
        while self._next.kind == "OR":
            self._advance()
            alternatives.append(self._both(depth))
        return lambda texts: any(each(texts) for each in alternatives)

    def expect_end(self) -> None:
        if self._next.kind:
            raise QueryError(f"Syntax error at position {self._next.position} in '{self._text}'.")

    def _both(self, depth: int) -> Predicate:
        terms = [self._unary(depth)]
        while self._next.kind in {"AND", "NOT", "term", "("}:
            if self._next.kind == "AND":
                self._advance()
            terms.append(self._unary(depth))
        return lambda texts: all(each(texts) for each in terms)

    def _unary(self, depth: int) -> Predicate:
        if depth > MAX_DEPTH:
            raise QueryError("The recursion limit has been exceeded.")
        if self._next.kind == "NOT":
            self._advance()
            inner = self._unary(depth + 1)
            return lambda texts: not inner(texts)
        token = self._next
        if token.kind == "term":
            self._advance()
            term = token.text.casefold()
            return lambda texts: any(term in text for text in texts)
        if token.kind == "(":
            self._advance()
            inner = self.either(depth + 1)
            if self._next.kind != ")":
                raise QueryError(f"')' or operator expected at position {self._next.position} in '{self._text}'.")
            self._advance()
            return inner
        raise QueryError(f"Expression expected at position {token.position} in '{self._text}'.")

    def _advance(self) -> None:
        self._next = self._token()

    def _token(self) -> _Token:
        while self._position < len(self._text) and self._text[self._position].isspace():
            self._position += 1
        start = self._position
        if start == len(self._text):
            return _Token("", "", start)
        first = self._text[start]
        if first in "()":
            self._position += 1
            return _Token(first, first, start)
        if first == '"':
            return self._phrase(start)
        word = _WORD.findall(self._text, start)[0]
        self._position = start + len(word)
        if word in _KEYWORDS:
            return _Token(word, word, start)
        for offset, character in enumerate(word):
            if not _is_letter(character):
                position = start + offset
                raise QueryError(
                    f"Syntax error: character '{character}' is not valid at position {position} in '{self._text}'."
                )
        return _Token("term", word, start)

    def _phrase(self, start: int) -> _Token:
        position, parts = start + 1, []
        while (part := _PHRASE_PART.match(self._text, position)) is not None:
            parts.append(part[0][-1])
            position = part.end()
        if position == len(self._text):
            raise QueryError(f"There is an unterminated string literal at position {position} in '{self._text}'.")
        if self._text[position] == "\\":
            escaped = self._text[position + 1 : position + 2]
            raise QueryError(
                f"Invalid escape sequence '\\{escaped}' found at position {position + 1} in '{self._text}'."
            )
        if not parts:
            raise QueryError(f"An identifier was expected at position {start}.")
        self._position = position + 1
        return _Token("term", "".join(parts), start)


def _is_letter(character: str) -> bool:
    category = unicodedata.category(character)
    return category.startswith("L") or category == "Nl"
