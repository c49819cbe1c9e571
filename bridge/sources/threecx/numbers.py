"""Reads which numbers are the PBX's own: trunks, queues and ring groups, and users where no source lists them all.

They change seldom. Where the API client may not read a list, or the build has none, the bridge does without it.
"""

import asyncio
import logging
from functools import partial

from bridge.errors import (
    SourceMissing,
    SourcePermissionError,
    SourceProtocolError,
    SourceQueryError,
    SourceUnavailable,
)
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.paging import Collection
from bridge.sources.threecx.directory import Kind
from bridge.sources.threecx.parse.party import TRUNKS
from bridge.sources.threecx.settings import QueryOptions
from bridge.sources.threecx.tools import Tools

ALL_USERS = "all users"
"""Under this name the directory is given the numbers of users by a source that lists them all."""
_USERS = "Users"

_LISTS = {TRUNKS: Kind.TRUNK, "Queues": Kind.QUEUE, "RingGroups": Kind.GROUP, _USERS: Kind.USER}
_FIELDS = (parse.NUMBER_FIELD,)
_BY_NUMBER = QueryOptions(count=False, orderby=parse.NUMBER_FIELD)
_NOT_AVAILABLE = (SourceMissing, SourcePermissionError, SourceQueryError, SourceProtocolError)

_logger = logging.getLogger(__name__)


async def read_numbers(tools: Tools) -> None:
    """Read the lists that are due, before a round of a source, with a short time-out in all.

    Raises SourceAuthError where the PBX refuses the login; other failures only put the reading off.
    """
    directory, timing, now = tools.directory, tools.timing, tools.clock.monotonic()
    # A source of users has a moment to report them all: it does not where its options hide some, or it is off.
    directory.due.setdefault(_USERS, now + timing.extras_retry)
    lists = [name for name in _LISTS if name != _USERS or not directory.reported(ALL_USERS)]
    due = [name for name in lists if directory.due.get(name, now) <= now]
    if not due:
        return
    for name in due:
        directory.due[name] = now + timing.extras_retry
    # A login must not be cut off by the time-out: the PBX counts it all the same, and limits failed ones.
    await tools.client.login()
    try:
        async with asyncio.timeout(timing.extras_timeout):
            for name in due:
                await _read(tools, name)
                directory.due[name] = now + timing.extras_interval
    except (SourceUnavailable, TimeoutError) as error:
        _logger.debug("numbers of the PBX: %s", str(error) or "no answer in time")


async def _read(tools: Tools, name: str) -> None:
    try:
        get = partial(tools.xapi.numbers, name)
        collection = Collection(name, get, parse.number, str, tools.xapi.url(name))
        reading = await collection.read(_BY_NUMBER, _FIELDS)
    except _NOT_AVAILABLE as error:
        _logger.debug("%s: done without: %s", name, error)
        return
    tools.directory.learn(name, dict.fromkeys(reading.items, _LISTS[name]), complete=reading.complete)
