"""The source `users`: polls Users for names, profiles, queue login and registration."""

import logging
import re
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress

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
from bridge.sources.threecx.odata import narrows
from bridge.sources.threecx.paging import Collection, Reading
from bridge.sources.threecx.poll import Poll, Tools, explain_query, good_for
from bridge.sources.threecx.settings import QueryOptions, UsersSourceSettings

NAME = "users"
KEY = f"sources.{NAME}"

_UNKNOWN_PROPERTY = re.compile(r"property named '(\w+)'")

_NOT_FOR_US = (SourceMissing, SourcePermissionError, SourceQueryError, SourceProtocolError)
"""Answers to questions that a bridge can do without."""
_UNSEEN = "unseen"
_DEPARTMENTS_APART = 600.0
_ALL_BY_ID = QueryOptions(count=False, orderby="Id")

_logger = logging.getLogger(__name__)


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
        self._departments: AbstractSet[int] = frozenset()
        """The ids of those that are known; none where this client may not read them."""
        self._departments_asked = float("-inf")
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
        reading = await self._read_known_fields()
        rows = {row.dn: row for row in reading.items}
        await self._look_for_new_departments(reading.items)
        complete = reading.ended and bool(rows) and not narrows(query)
        return Round(NAME, rows, complete, reading.total, good_for(self._settings.interval))

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
        """The first round, or the PBX was upgraded: all fields are tried again, labels and departments are read."""
        self._fields = list(parse.USER_FIELDS)
        build = self._tools.xapi.pbx_version
        with suppress(*_NOT_FOR_US):
            build = build or await self._tools.xapi.version()
        with suppress(SourceUnavailable):  # else asked for again in the next round
            with suppress(*_NOT_FOR_US):
                self._tell(Labels(parse.profile_labels(await self._tools.xapi.system_parameters())))
            await self._read_departments()
            self._build = build

    async def _read_departments(self) -> None:
        self._departments_asked = self._tools.clock.monotonic()
        collection = Collection("Groups", self._tools.xapi.departments, parse.department, lambda row: row[0])
        with suppress(*_NOT_FOR_US):
            names = dict((await collection.read(_ALL_BY_ID, parse.DEPARTMENT_FIELDS)).items)
            self._departments = names.keys()
            self._tell(Departments({number: name for number, name in names.items() if name is not None}))

    async def _look_for_new_departments(self, rows: Iterable[UserRow]) -> None:
        """Somebody is in a department that was not there when they were read."""
        pause_is_over = self._tools.clock.monotonic() - self._departments_asked >= _DEPARTMENTS_APART
        if pause_is_over and self._departments and {row.department for row in rows} - {None} - self._departments:
            with suppress(SourceUnavailable):
                await self._read_departments()

    def _explain(self, error: SourceError) -> str:
        if isinstance(error, SourceQueryError):
            return explain_query(error, KEY, self._settings.query, self._tools)
        return str(error)
