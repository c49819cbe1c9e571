"""The source `users`: polls Users for names, profiles, queue login and registration."""

import logging
import re
from collections.abc import Callable
from contextlib import suppress

from bridge.domain.model import Labels, Round, UserRow
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
from bridge.sources.threecx.settings import UsersSourceSettings

NAME = "users"
KEY = f"sources.{NAME}"

_UNKNOWN_PROPERTY = re.compile(r"property named '(\w+)'")

_NOT_FOR_US = (SourceMissing, SourcePermissionError, SourceQueryError, SourceProtocolError)
"""Answers to questions that a bridge can do without."""
_UNSEEN = "unseen"

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
        self._tell: Callable[[Labels], None] = lambda _: None

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
        """The first round, or the PBX was upgraded: all fields are tried again, and labels are read."""
        self._fields = list(parse.USER_FIELDS)
        build = self._tools.xapi.pbx_version
        with suppress(*_NOT_FOR_US):
            build = build or await self._tools.xapi.version()
        try:
            self._tell(Labels(parse.profile_labels(await self._tools.xapi.system_parameters())))
        except SourceUnavailable:
            return  # asked for again in the next round
        except _NOT_FOR_US:
            pass
        self._build = build

    def _explain(self, error: SourceError) -> str:
        if isinstance(error, SourceQueryError):
            return explain_query(error, KEY, self._settings.query, self._tools)
        return str(error)
