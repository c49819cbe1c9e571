"""Reading a collection page by page, cheaply: most pages come back unchanged."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.errors import SourceProtocolError
from bridge.log import Recurring
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.odata import MAX_PAGES, Walk
from bridge.sources.threecx.settings import QueryOptions

T = TypeVar("T")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """Everything that was read in one go."""

    items: Sequence[T]
    ended: bool
    """Whether the short last page was reached."""
    total: int | None
    """`@odata.count`, where the PBX gave one."""
    pages: int
    """Between two pages a row can slip from one to the other unseen."""


@dataclass(frozen=True, slots=True)
class _Page(Generic[T]):
    digest: bytes
    """Of the page's text: the same text holds the same items."""
    items: tuple[T, ...]
    length: int
    """How many rows the PBX sent, odd ones included."""
    total: int | None


class Collection(Generic[T]):
    """One collection of XAPI, such as Users. Unchanged pages give the very objects of the last reading."""

    def __init__(
        self, name: str, get: Callable[[str], Awaitable[bytes]], item: Callable[[object], T], key: Callable[[T], object]
    ) -> None:
        self._name = name
        self._get = get
        self._item = item
        self._key = key
        self._pages: list[_Page[T]] = []
        self._odd = Recurring(_logger)

    def forget(self) -> None:
        """Parse every page anew next time."""
        self._pages.clear()

    async def read(self, options: QueryOptions, select: Sequence[str] = ()) -> Reading[T]:
        """All pages that the options let through; what two pages both hold counts once."""
        walk = Walk(options, select)
        found: dict[object, T] = {}
        total: int | None = None
        while (query := walk.next_query()) is not None:
            if walk.pages == MAX_PAGES:
                raise SourceProtocolError(f"{self._name} did not end after {MAX_PAGES} pages")
            page = self._page(walk.pages, await self._get(query))
            total = page.total
            known = len(found)
            found.update((self._key(item), item) for item in page.items)
            walk.took(page.length, total)
            if page.items and len(found) == known and not walk.ended:
                raise SourceProtocolError(f"{self._name} gives the same page again: $skip is ignored")
        del self._pages[walk.pages :]
        return Reading(tuple(found.values()), walk.ended, total, walk.pages)

    def _page(self, number: int, body: bytes) -> _Page[T]:
        digest = hashlib.blake2b(body, digest_size=16).digest()
        if number < len(self._pages) and self._pages[number].digest == digest:
            return self._pages[number]
        parsed = parse.page(body)
        page = _Page(digest, tuple(self._items(parsed.rows)), len(parsed.rows), parsed.total)
        self._pages[number : number + 1] = [page]
        return page

    def _items(self, raw_rows: list[object]) -> Iterator[T]:
        for raw in raw_rows:
            try:
                yield self._item(raw)
            except (SourceProtocolError, RecursionError, ValueError) as error:
                self._odd.failed(f"{self._name} gave {error}; it is left out")
