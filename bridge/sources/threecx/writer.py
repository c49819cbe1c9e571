"""Writing to the PBX: profile and queue login of a user, and whether the PBX really did it.

Facts (others' reports): the queue login can be written; a new profile is accepted with 204 by all builds and ignored by
some. So what the PBX says afterwards is what counts.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from bridge.domain.model import Command, UserRow
from bridge.errors import BridgeError, SourceError, SourceProtocolError
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.odata import query_string
from bridge.sources.threecx.client.xapi import Xapi
from bridge.sources.threecx.settings import QueryOptions

READ_BACK = (1.0, 2.0)
"""Seconds to wait before looking for the change, one time after the other."""
_MOST_WAITING = 100

_logger = logging.getLogger(__name__)


class Writer:
    """Carries out commands one after the other."""

    def __init__(self, xapi: Xapi, row: Callable[[str], UserRow | None], changed: Callable[[], None]) -> None:
        """`row` tells what is known about a user; `changed` has everybody's state read anew."""
        self._xapi = xapi
        self._row = row
        self._changed = changed
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(_MOST_WAITING)
        self._told: set[str] = set()
        """What the PBX is known to ignore."""

    def submit(self, command: Command) -> None:
        """Carry it out soon."""
        try:
            self._waiting.put_nowait(command)
        except asyncio.QueueFull:
            raise BridgeError(f"{_MOST_WAITING} commands are waiting already") from None

    async def run(self) -> None:
        """Work for ever; what is not done in the end is told."""
        while True:
            command = await self._waiting.get()
            try:
                await self._carry_out(command)
            except asyncio.CancelledError:
                self._tell_undone(command)
                raise
            except SourceError as error:
                _logger.warning("could not change the user %s: %s", command.dn, error)
            except Exception:  # whatever it was, the next command is another one
                _logger.exception("changing the user %s failed in a way that should not happen", command.dn)

    def _tell_undone(self, command: Command) -> None:
        undone = [command]
        while not self._waiting.empty():
            undone.append(self._waiting.get_nowait())
        for each in undone:
            _logger.warning("the user %s may not have been changed: the bridge ends, or is reloaded", each.dn)

    async def _carry_out(self, command: Command) -> None:
        row = self._row(command.dn)
        if row is None or row.id is None:
            raise SourceProtocolError("the source `users` knows no Id for it")
        await self._xapi.update_user(row.id, parse.user_changes(command.profile, command.queue))
        try:
            left = await self._look(command)
        except SourceError as error:
            _logger.warning("the PBX accepted a change of the user %s; whether it was made: %s", command.dn, error)
            return
        finally:
            self._changed()
        for what in left:
            level = logging.DEBUG if what in self._told else logging.WARNING
            self._told.add(what)
            _logger.log(level, "the PBX accepted a new %s for the user %s and did not change it", what, command.dn)
        if not left:
            _logger.info("changed the user %s: %s", command.dn, command.profile or command.queue)

    async def _look(self, command: Command) -> list[str]:
        """What the PBX has not changed, although it was given time."""
        left: list[str] = []
        for pause in READ_BACK:
            await asyncio.sleep(pause)
            left = _left_undone(command, await self._read_back(command.dn))
            if not left:
                break
        return left

    async def _read_back(self, dn: str) -> UserRow | None:
        one = QueryOptions(filter="Number eq '{}'".format(dn.replace("'", "''")), count=False)
        page = parse.page(await self._xapi.users(query_string(top=1, skip=0, options=one, select=parse.CHANGEABLE)))
        with suppress(IndexError):
            return parse.user_row(page.rows[0])
        return None


def _left_undone(command: Command, row: UserRow | None) -> list[str]:
    left = []
    if command.profile is not None and (row is None or row.profile != command.profile):
        left.append("profile")
    if command.queue is not None and (row is None or row.queue is not command.queue):
        left.append("queue")
    return left
