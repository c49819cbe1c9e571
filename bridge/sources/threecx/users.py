"""The source `users`: polls Users for names, profiles, queue login and registration."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from bridge.domain.model import Departments, Labels, Round, UserRow
from bridge.errors import (
    SourceError,
    SourceMissing,
    SourcePermissionError,
    SourceProtocolError,
    SourceQueryError,
    SourceUnavailable,
)
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.odata import narrows
from bridge.sources.threecx.client.paging import Collection, Reading
from bridge.sources.threecx.poll import Poll, Tools, explain_query, good_for
from bridge.sources.threecx.settings import QueryOptions, UsersSourceSettings

NAME = "users"
KEY = f"sources.{NAME}"

_UNKNOWN_PROPERTY = re.compile(r"property named '(\w+)'")

_NOT_FOR_US = (SourceMissing, SourcePermissionError, SourceQueryError, SourceProtocolError)
"""Answers to questions that a bridge can do without."""
_UNSEEN = "unseen"
_ASIDES_APART = 600.0
_ASIDE_AGAIN = 15.0
"""Seconds after which to ask again what nobody could answer."""
_PATIENCE = 3.0
"""Seconds that an aside may take."""
_ALL_BY_ID = QueryOptions(count=False, orderby="Id")

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Aside:
    """What is worth reading beside the users, now and then, and nothing that anybody waits for."""

    read: Callable[[], Awaitable[Labels | Departments]]
    due: float = float("-inf")
    """When to read it (monotonic)."""


class Users:
    """Reads what XAPI knows about users; only fields without secrets are asked for."""

    name = NAME

    def __init__(self, tools: Tools, settings: UsersSourceSettings) -> None:
        self._tools = tools
        self._settings = settings
        self._rows: Collection[UserRow] = Collection("Users", tools.xapi.users, parse.user_row, lambda row: row.dn)
        self._poll = Poll(NAME, settings.interval, tools, self._read, self._explain)
        self._fields = list(parse.USER_FIELDS)
        self._build: str | None = _UNSEEN
        self._asides = (_Aside(self._labels), _Aside(self._departments))
        self._tell: Callable[[Labels | Departments], None] = lambda _: None

    def refresh(self) -> None:
        """Start the next round now."""
        self._poll.wake()

    async def run(self, report: Report) -> None:
        """Poll for ever and report every round, finished or failed."""
        self._tell = report
        await self._poll.run(report)

    async def _read(self) -> Round:
        query = self._settings.query
        if self._build != self._tools.xapi.pbx_version:
            await self._another_build()
        for aside in self._asides:
            await self._read_aside(aside)
        reading = await self._read_known_fields()
        rows = {row.dn: row for row in reading.items}
        if not rows and not narrows(query):
            raise SourceProtocolError(
                "Users came back empty, and so are not believed: may the role of this API client see any user?"
            )
        complete = reading.ended and not narrows(query)
        return Round(NAME, rows, complete, reading.total, good_for(self._settings.interval))

    async def _read_aside(self, aside: "_Aside") -> None:
        """Ahead of the round, so that new users are published with it; but never for long, nor in vain each time."""
        now = self._tools.clock.monotonic()
        if now < aside.due:
            return
        aside.due = now + _ASIDES_APART
        await self._tools.xapi.login()  # which must not be broken off: the PBX counts it all the same
        try:
            async with asyncio.timeout(_PATIENCE):
                self._tell(await aside.read())
        except _NOT_FOR_US:
            aside.due = float("inf")  # until the build is another one
        except SourceUnavailable as error:
            aside.due = now + max(_ASIDE_AGAIN, error.retry_in or 0.0)
        except TimeoutError:
            aside.due = now + _ASIDE_AGAIN

    async def _read_known_fields(self) -> Reading[UserRow]:
        """Builds differ: one unknown name in $select fails the whole request, so it is left out from then on."""
        while True:
            try:
                return await self._rows.read(self._settings.query, self._fields)
            except SourceQueryError as error:
                named = _UNKNOWN_PROPERTY.search(error.pbx_message)
                if named is None or named[1] not in self._fields or named[1] == parse.USER_KEY:
                    raise
                self._fields.remove(named[1])
                _logger.info("this 3CX does not know the field %s of users; it is done without", named[1])

    async def _another_build(self) -> None:
        """The first round, or the PBX was upgraded: all fields are tried again, and what is read seldom is due."""
        self._fields = list(parse.USER_FIELDS)
        build = self._tools.xapi.pbx_version
        with suppress(*_NOT_FOR_US):
            build = build or await self._tools.xapi.version()
        self._build = build
        for aside in self._asides:
            aside.due = float("-inf")

    async def _labels(self) -> Labels:
        return Labels(parse.profile_labels(await self._tools.xapi.system_parameters()))

    async def _departments(self) -> Departments:
        collection = Collection("Groups", self._tools.xapi.departments, parse.department, lambda row: row[0])
        reading = await collection.read(_ALL_BY_ID, parse.DEPARTMENT_FIELDS)
        return Departments({number: name for number, name in reading.items if name is not None})

    def _explain(self, error: SourceError) -> str:
        if isinstance(error, SourceQueryError):
            return explain_query(error, KEY, self._settings.query, self._tools)
        return str(error)
