"""OData query options: encoding, quoting of $search, and the order of pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from bridge.sources.threecx.settings import QueryOptions

PAGE = 100
"""The largest $top that 3CX accepts; a larger one is HTTP 400 (seen on 20.0.9)."""

MAX_PAGES = 1000
"""A limit for a PBX that never sends a short last page: 100,000 rows."""

_LONGEST_QUERY = 4096


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


def continuation(link: object, url: str) -> str | None:
    """The query of `@odata.nextLink`, which may be relative; None where it does not lead on in the collection at `url`.

    Only its query is ever used, at the collection's own address: no other server is sent the token. A link that leads
    elsewhere, such as to the name of a PBX behind a proxy, still says that there is more.
    """
    if not isinstance(link, str):
        return None
    try:
        here, there = urlsplit(url), urlsplit(urljoin(url, link))
        same = (_origin(here), unquote(here.path)) == (_origin(there), unquote(there.path))
    except ValueError:
        return None
    query = quote(there.query, safe="$&=%,;:@/?!'()*+~-._")
    return query if same and query and len(query) <= _LONGEST_QUERY else None


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


@dataclass(slots=True)
class Walk:
    """The progress of one round: which page to request next, and whether the last one has been read."""

    options: QueryOptions
    select: Sequence[str] = ()
    read: int = 0
    pages: int = 0
    ended: bool = False
    _stuck: bool = False
    """The PBX says that there is more, and sends nothing."""
    _link: str | None = None
    """The query of the next page, as the PBX gave it."""

    def next_query(self) -> str | None:
        """The query of the next page; None: there is no more, or it cannot be had."""
        size = self._next_size()
        if self.ended or self._stuck or size <= 0:
            return None
        if self._link is not None:
            return self._link
        return query_string(top=size, skip=self.options.skip + self.read, options=self.options, select=self.select)

    def took(self, rows: int, total: int | None, *, more: bool = False, link: str | None = None) -> None:
        """The page just requested had `rows` rows; `total` is its `@odata.count`.

        A page with fewer rows than requested is the last one, unless the PBX says that there is `more`, be it by a
        `link` that can be followed or not, or counts more rows than it has sent so far.
        """
        short = rows < self._next_size()
        self.read += rows
        self.pages += 1
        self._link = link
        self._stuck = more and rows == 0
        counted = total is not None and self.options.skip + self.read < total
        self.ended = not more and (rows == 0 or (short and not counted))

    def _next_size(self) -> int:
        return PAGE if self.options.top is None else min(PAGE, self.options.top - self.read)
