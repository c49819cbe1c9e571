"""The source `users`: polls Users for names, profiles, queue login and registration."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from bridge.domain.model import UserRow
from bridge.domain.updates import Departments, Labels, Round
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
from bridge.sources.threecx.directory import Kind
from bridge.sources.threecx.numbers import ALL_USERS, read_numbers
from bridge.sources.threecx.parse.shapes import user_shapes
from bridge.sources.threecx.poll import Poll, explain_query
from bridge.sources.threecx.settings import QueryOptions, SourceSettings
from bridge.sources.threecx.tools import Tools

NAME = "users"
KEY = f"sources.{NAME}"

_UNKNOWN_PROPERTY = re.compile(r"property named '(\w+)'")

_NOT_AVAILABLE = (SourceMissing, SourcePermissionError, SourceQueryError, SourceProtocolError)
"""Answers to requests for extras that will be the same until the PBX is another build."""
_NOT_SEEN = "not seen"
"""No build: None is a PBX that does not name its build."""
_ALL_BY_ID = QueryOptions(count=False, orderby="Id")

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Extra:
    """Something that changes seldom and is read before a round of users, at long intervals."""

    read: Callable[[], Awaitable[Labels | Departments]]
    refused: Labels | Departments
    """What is reported where the PBX refuses it, or has no such thing."""
    due: float = float("-inf")
    """When to read it (monotonic seconds)."""
    read_at: float = float("-inf")
    """When it was read last, or failed to be."""


class Users:
    """Reads what XAPI knows about users; only fields without secrets are requested."""

    name = NAME

    def __init__(self, tools: Tools, settings: SourceSettings) -> None:
        self._tools = tools
        self._settings = settings
        self._rows: Collection[UserRow] = Collection(
            "Users",
            tools.xapi.users,
            tools.shapes.noting(parse.user_row, user_shapes),
            lambda row: row.dn,
            tools.xapi.url("Users"),
        )
        self._poll = Poll(NAME, settings.interval, tools, self._read, self._explain)
        self._fields = list(parse.USER_FIELDS)
        self._build: str | None = _NOT_SEEN
        self._names = _Extra(self._departments, Departments(None))
        self._extras = (_Extra(self._labels, Labels({})), self._names)
        self._departments_read: frozenset[int] = frozenset()
        """Ids of the departments that the PBX listed last."""
        self._departments_used: frozenset[int] = frozenset()
        """Ids of the departments in the last round of users."""
        self._report: Callable[[Labels | Departments], None] = lambda _: None

    def refresh(self) -> None:
        """Start the next round now."""
        self._poll.wake()

    async def run(self, report: Report) -> None:
        """Poll until cancelled and report every round, whether it succeeded or failed."""
        self._report = report
        await self._poll.run(report)

    async def _read(self) -> Round:
        query = self._settings.query
        if self._build != self._tools.xapi.pbx_version:
            await self._another_build()
        for extra in self._extras:
            await self._read_extra(extra)
        await read_numbers(self._tools)
        reading = await self._read_known_fields()
        await self._read_new_departments(reading.items)
        rows = {row.dn: row for row in reading.items}
        if not rows and not narrows(query):
            raise SourceProtocolError(
                "Users came back empty, which is taken for a fault: does the role of this API client see any user?"
            )
        complete = reading.complete and not narrows(query)
        self._tools.directory.learn(ALL_USERS if complete else NAME, dict.fromkeys(rows, Kind.USER), complete=complete)
        return Round(NAME, rows, complete, reading.total, self._tools.timing.good_for(self._settings.interval))

    async def _read_extra(self, extra: "_Extra") -> None:
        """Before the round, so that new users are published with it; but with a short time-out."""
        timing, now = self._tools.timing, self._tools.clock.monotonic()
        if now < extra.due:
            return
        extra.due, extra.read_at = now + timing.extras_interval, now
        # A login must not be cut off by the time-out: the PBX counts it all the same, and limits failed ones.
        await self._tools.client.login()
        try:
            async with asyncio.timeout(timing.extras_timeout):
                self._report(await extra.read())
        except _NOT_AVAILABLE:
            extra.due = float("inf")  # until the build is another one
            self._report(extra.refused)
        except SourceUnavailable as error:
            extra.due = now + max(timing.extras_retry, error.retry_in or 0.0)
        except TimeoutError:
            extra.due = now + timing.extras_retry

    async def _read_new_departments(self, rows: Iterable[UserRow]) -> None:
        """A department that appears in a row is read before the round is reported: its users come with its name.

        But not at once again, as the PBX may go on not to list it.
        """
        used = frozenset(row.department for row in rows if row.department is not None)
        new = used - self._departments_used - self._departments_read
        self._departments_used = used
        if new and self._names.due < float("inf"):
            self._names.due = min(self._names.due, self._names.read_at + self._tools.timing.extras_retry)
            await self._read_extra(self._names)

    async def _read_known_fields(self) -> Reading[UserRow]:
        """Builds differ, and one unknown name in $select fails the whole request: such fields are left out."""
        while True:
            try:
                return await self._rows.read(self._settings.query, self._fields)
            except SourceQueryError as error:
                named = _UNKNOWN_PROPERTY.search(error.pbx_message)
                if named is None or named[1] not in self._fields or named[1] == parse.USER_KEY:
                    raise
                self._fields.remove(named[1])
                _logger.info("this 3CX does not know the field %s of users; it is left out", named[1])

    async def _another_build(self) -> None:
        """The first round, or the PBX was upgraded: all fields are tried again, and the extras are due."""
        self._fields = list(parse.USER_FIELDS)
        build = self._tools.xapi.pbx_version
        with suppress(*_NOT_AVAILABLE):
            build = build or await self._tools.xapi.version()
        self._build = build
        for extra in self._extras:
            extra.due = float("-inf")

    async def _labels(self) -> Labels:
        return Labels(parse.profile_labels(await self._tools.xapi.system_parameters()))

    async def _departments(self) -> Departments:
        xapi = self._tools.xapi
        collection = Collection("Groups", xapi.departments, parse.department, lambda row: row[0], xapi.url("Groups"))
        reading = await collection.read(_ALL_BY_ID, parse.DEPARTMENT_FIELDS)
        self._departments_read = frozenset(number for number, _ in reading.items)
        return Departments({number: name for number, name in reading.items if name is not None})

    def _explain(self, error: SourceError) -> str:
        if isinstance(error, SourceQueryError):
            return explain_query(error, KEY, self._settings.query, self._tools)
        return str(error)
