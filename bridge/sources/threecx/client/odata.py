"""OData query options: encoding, quoting of $search, and the order of pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bridge.sources.threecx.settings import QueryOptions

PAGE = 100
"""The largest $top that 3CX accepts; a larger one is HTTP 400 (seen on 20.0.9)."""

MAX_PAGES = 1000
"""A limit for a PBX that never sends a short last page: 100,000 rows."""


_OPERATORS = {"AND", "OR", "NOT"}
_LAST_OF_BMP = 0xFFFF


def search_phrase(search: str) -> str:
    """The text of `search` as OData's $search takes it: one phrase, quoted unless it is a plain word.

    A text in double quotes is left as it is. Source (SearchLexer of odata.net, whose error texts 3CX sends): an
    unquoted word may hold letters only, so `101`, `O'Brien` and `a-b` are syntax errors, and AND, OR and NOT are
    operators; within quotes a backslash escapes quotes and itself. The lexer reads UTF-16, and knows no letter beyond
    U+FFFF.
    """
    if len(search) > 1 and search[0] == search[-1] == '"':
        return search
    if search.isalpha() and search.upper() not in _OPERATORS and ord(max(search)) <= _LAST_OF_BMP:
        return search
    escaped = search.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def query_string(*, top: int, skip: int, options: QueryOptions, select: Sequence[str] = ()) -> str:
    """The query of one page. Every byte outside the unreserved set is percent-encoded; a blank is %20, never +."""
    pairs: list[tuple[str, str]] = [("$top", str(top)), ("$skip", str(skip))]
    if options.search is not None:
        pairs.append(("$search", search_phrase(options.search)))
    if options.filter is not None:
        pairs.append(("$filter", options.filter))
    if options.count:
        pairs.append(("$count", "true"))
    if options.orderby is not None:
        pairs.append(("$orderby", options.orderby))
    if select:
        pairs.append(("$select", ",".join(select)))
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)


def narrows(options: QueryOptions) -> bool:
    """Whether these options may hide rows, so that a missing row does not prove that the user does not exist."""
    return bool(options.top is not None or options.skip or options.search is not None or options.filter is not None)


@dataclass(slots=True)
class Walk:
    """The progress of one round: which page to request next, and whether the last one has been read."""

    options: QueryOptions
    select: Sequence[str] = ()
    read: int = 0
    pages: int = 0
    ended: bool = False

    def next_query(self) -> str | None:
        """The query of the next page; None: there is no more."""
        size = self._next_size()
        if self.ended or size == 0:
            return None
        return query_string(top=size, skip=self.options.skip + self.read, options=self.options, select=self.select)

    def took(self, rows: int, total: int | None) -> None:
        """The page just requested had `rows` rows; `total` is its `@odata.count`.

        A page with fewer rows than requested is the last one, unless the PBX counts more rows than it has sent so far.
        """
        short = rows < self._next_size()
        self.read += rows
        self.pages += 1
        more = total is not None and self.options.skip + self.read < total
        self.ended = rows == 0 or (short and not more)

    def _next_size(self) -> int:
        return PAGE if self.options.top is None else min(PAGE, self.options.top - self.read)
