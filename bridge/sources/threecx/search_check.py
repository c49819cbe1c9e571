"""Whether the PBX honours `$search`: one that has no binder for it ignores it in silence, and answers with all rows.

Source: Microsoft.AspNetCore.OData, whose error texts 3CX sends, applies $search only where a search binder is
registered, and raises no error where none is.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping

from bridge.errors import SourceError, SourceUnavailable
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.odata import query_string, search_phrase
from bridge.sources.threecx.readers import monitor_status, users
from bridge.sources.threecx.settings import QueryOptions, SourceSettings
from bridge.sources.threecx.tools import Tools

_NOBODY = "qzxqjwkvqxzjq"
"""A word that no name or number contains: a PBX that finds rows with it does not search."""

_logger = logging.getLogger(__name__)


class SearchCheck:
    """Compares the totals with and without `search`, once after the start, of each source that has one."""

    def __init__(self, tools: Tools, sources: Mapping[str, SourceSettings]) -> None:
        """`sources`: the settings of all sources, by name."""
        self._tools = tools
        readers = {
            users.NAME: (tools.xapi.users, (parse.USER_KEY,)),
            monitor_status.NAME: (tools.xapi.monitor_status, ()),
        }
        self._left = {
            name: (settings.query, *readers[name])
            for name, settings in sources.items()
            if name in readers and settings.on and settings.query.search is not None
        }
        self.problems: dict[str, str] = {}
        """By source: what is wrong, with the option's place."""

    async def run(self) -> bool:
        """At most three requests for each source; whether all sources are checked. If not, the PBX was unavailable."""
        for name, (options, get, select) in list(self._left.items()):
            try:
                problem = await self._problem(options, get, select)
            except SourceUnavailable:
                continue
            except SourceError as error:  # the source itself meets the same error, and reports it
                _logger.debug("%s: $search cannot be checked: %s", name, error)
                problem = None
            del self._left[name]
            if problem is not None:
                key = f"sources.{name}.search"
                self.problems[name] = f"{self._tools.place(key)} {key}: {problem}"
                _logger.warning("%s", self.problems[name])
        return not self._left

    async def _problem(
        self, options: QueryOptions, get: Callable[[str], Awaitable[bytes]], select: tuple[str, ...]
    ) -> str | None:
        async def total(search: str | None) -> int | None:
            asked = QueryOptions(search=search, filter=options.filter, count=True)
            return parse.page(await get(query_string(top=1, skip=0, options=asked, select=select))).total

        with_search, without = await total(options.search), await total(None)
        if not with_search or with_search != without:
            return None
        # All rows may match. If they match a word that nobody has as well, the PBX does not look at it.
        if await total(_NOBODY) != without:
            return None
        found = f"{search_phrase(options.search or '')} selects {with_search} of {without} users"
        return f"the PBX ignores $search: {found}; use filter"
