"""Reading a collection page by page. Most pages are the same as in the last round, and are not parsed again."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.errors import SourceProtocolError
from bridge.log import RepeatedFailure
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.odata import MAX_PAGES, Walk, continuation
from bridge.sources.threecx.settings import QueryOptions

T = TypeVar("T")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """All items of one round."""

    items: Sequence[T]
    ended: bool
    """Whether the short last page was reached."""
    total: int | None
    """`@odata.count`, where the PBX gave one."""
    pages: int
    """How many pages were read. If there were several, a row may have moved from one to another unseen."""
    odd: Sequence[object] = ()
    """Rows that make no sense, as the PBX sent them."""

    @property
    def complete(self) -> bool:
        """Whether all rows were read and understood, so that what is missing does not exist."""
        return self.ended and not self.odd


@dataclass(frozen=True, slots=True)
class _Page(Generic[T]):
    digest: bytes
    """Of the page's text: the same text has the same items."""
    items: tuple[T, ...]
    odd: tuple[object, ...]
    """Rows that make no sense."""
    total: int | None
    next_link: object


class Collection(Generic[T]):
    """One collection of XAPI, such as Users. The items of unchanged pages are the same objects as in the last round."""

    def __init__(
        self,
        name: str,
        get: Callable[[str], Awaitable[bytes]],
        item: Callable[[object], T],
        key: Callable[[T], object],
        url: str = "",
    ) -> None:
        """`get` requests a page by its query; `url` is the collection's, to which a link to the next page refers."""
        self._url = url
        self._name = name
        self._get = get
        self._item = item
        self._key = key
        self._pages: list[_Page[T]] = []
        self._odd = RepeatedFailure(_logger)

    async def read(self, options: QueryOptions, select: Sequence[str] = ()) -> Reading[T]:
        """All rows that the options select; a row that is on two pages counts once.

        Raises SourceProtocolError for a PBX that never sends a last page, or the same one again and again.
        """
        walk = Walk(options, select)
        found: dict[object, T] = {}
        odd: list[object] = []
        total: int | None = None
        while (query := walk.next_query()) is not None:
            if walk.pages == MAX_PAGES:
                raise SourceProtocolError(f"{self._name} did not end after {MAX_PAGES} pages")
            page = self._page(walk.pages, await self._get(query))
            total = page.total
            known = len(found)
            found.update((self._key(item), item) for item in page.items)
            odd += page.odd
            link = continuation(page.next_link, self._url)
            walk.took(len(page.items) + len(page.odd), total, more=page.next_link is not None, link=link)
            if page.items and len(found) == known and not walk.ended:
                raise SourceProtocolError(f"{self._name} sent the same page again: $skip is ignored")
        del self._pages[walk.pages :]
        return Reading(tuple(found.values()), walk.ended, total, walk.pages, tuple(odd))

    def forget(self) -> None:
        """Parse all pages again, even unchanged ones."""
        self._pages.clear()

    def _page(self, number: int, body: bytes) -> _Page[T]:
        digest = hashlib.blake2b(body, digest_size=16).digest()
        if number < len(self._pages) and self._pages[number].digest == digest:
            return self._pages[number]
        parsed = parse.page(body)
        items: list[T] = []
        odd: list[object] = []
        for raw in parsed.rows:
            try:
                items.append(self._item(raw))
            except (SourceProtocolError, RecursionError, ValueError) as error:
                self._odd.failed(f"{self._name} sent {error}; it is left out")
                odd.append(raw)
        page = _Page(digest, tuple(items), tuple(odd), parsed.total, parsed.next_link)
        self._pages[number : number + 1] = [page]
        return page
