"""Writes a user's profile and queue login to the PBX, and checks whether the PBX really changed them.

Users of the XAPI report that the queue login can be written, and that all builds accept a new profile with 204 while
some ignore it. So a command counts as done only when the PBX reports the new value.
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
from bridge.sources.threecx.timing import USUAL, ThreecxTiming

MAX_WAITING = 100
_ENDING = "the bridge is stopping or reloading its configuration; send the command again"

_logger = logging.getLogger(__name__)


class Writer:
    """Carries out commands one at a time. Each is carried out, or refused by an error, or reported by a warning."""

    def __init__(
        self,
        xapi: Xapi,
        row: Callable[[str], UserRow | None],
        changed: Callable[[], None],
        timing: ThreecxTiming = USUAL,
    ) -> None:
        """`row` returns what Users last said about a DN; `changed` has all sources read the PBX soon."""
        self._xapi = xapi
        self._row = row
        self._changed = changed
        self._timing = timing
        self._waiting: asyncio.Queue[_Submitted] = asyncio.Queue(MAX_WAITING)
        self._ignored: set[str] = set()
        """The fields that this PBX is known to accept and ignore: reported once, as it is a property of the build."""
        self._closed = False

    def submit(self, command: Command) -> asyncio.Future[str | None]:
        """Queue a command; raises BridgeError where too many are waiting, or after the end of `run`.

        The future gets None once the PBX reports the new values, or else what happened, for people.
        """
        if self._closed:
            raise BridgeError(_not_changed(command, _ENDING))
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((command, outcome))
        except asyncio.QueueFull:
            raise BridgeError(_not_changed(command, f"{MAX_WAITING} commands are waiting already")) from None
        return outcome

    async def run(self) -> None:
        """Carry out commands until cancelled; then report those that were not carried out."""
        try:
            while True:
                await self._handle(await self._waiting.get())
        finally:
            self._close()

    def _close(self) -> None:
        """Refuse commands from now on, and report those that are waiting."""
        self._closed = True
        while not self._waiting.empty():
            command, outcome = self._waiting.get_nowait()
            _failed(outcome, _not_changed(command, _ENDING))

    async def _handle(self, submitted: "_Submitted") -> None:
        command, outcome = submitted
        dn, wanted = command.dn, _wanted(command)
        try:
            if (unchanged := await self._carry_out(command)) is not None:
                _end(outcome, unchanged)
                return
        except asyncio.CancelledError:  # the request may or may not have reached the PBX
            _failed(outcome, f"the user {dn} may not have been changed ({wanted}): {_ENDING}")
            raise
        except SourceError as error:
            _failed(outcome, f"could not change the user {dn} ({wanted}): {error}")
        except Exception:  # a fault in one command must not stop those after it
            problem = f"could not change the user {dn} ({wanted}): internal error, please report it"
            _logger.exception("%s", problem)
            _end(outcome, problem)
        else:
            _logger.info("changed the user %s (%s)", dn, wanted)
            _end(outcome, None)

    async def _carry_out(self, command: Command) -> str | None:
        """Why it is not certain that the PBX made the change, which is logged; None: it did."""
        row = self._row(command.dn)
        if row is None or row.id is None:
            raise SourceProtocolError("the source `users` has not reported an Id of this user")
        await self._xapi.update_user(row.id, parse.user_changes(command.profile, command.queue))
        try:
            unchanged = await self._verify(command)
        except SourceError as error:
            unread = (
                f"the PBX accepted a change of the user {command.dn} ({_wanted(command)}), "
                f"but whether it made the change could not be read: {error}"
            )
            _logger.warning("%s", unread)
            return unread
        finally:
            self._changed()
        problems = []
        for field in unchanged:
            problem = f"the PBX accepted a new {field} for the user {command.dn} but did not change it"
            level = logging.DEBUG if field in self._ignored else logging.WARNING
            self._ignored.add(field)
            _logger.log(level, "%s", problem)
            problems.append(problem)
        return "; ".join(problems) or None

    async def _verify(self, command: Command) -> list[str]:
        """The fields that the PBX has not changed, although it was given time."""
        unchanged: list[str] = []
        for pause in self._timing.read_back:
            await asyncio.sleep(pause)
            unchanged = _unchanged(command, await self._read_back(command.dn))
            if not unchanged:
                break
        return unchanged

    async def _read_back(self, dn: str) -> UserRow | None:
        one = QueryOptions(filter="Number eq '{}'".format(dn.replace("'", "''")), count=False)
        page = parse.page(await self._xapi.users(query_string(top=1, skip=0, options=one, select=parse.CHANGEABLE)))
        with suppress(IndexError):
            return parse.user_row(page.rows[0])
        return None


_Submitted = tuple[Command, asyncio.Future[str | None]]
"""A command, and the future for its outcome."""


def _failed(outcome: asyncio.Future[str | None], problem: str) -> None:
    _logger.warning("%s", problem)
    _end(outcome, problem)


def _end(outcome: asyncio.Future[str | None], problem: str | None) -> None:
    if not outcome.done():  # whoever waited for it may have gone
        outcome.set_result(problem)


def _wanted(command: Command) -> str:
    """What a command asks for, for messages: `profile: Away, queue: logged_in`."""
    fields = {"profile": command.profile, "queue": command.queue}
    return ", ".join(f"{field}: {value}" for field, value in fields.items() if value is not None)


def _not_changed(command: Command, why: str) -> str:
    return f"the user {command.dn} was not changed ({_wanted(command)}): {why}"


def _unchanged(command: Command, row: UserRow | None) -> list[str]:
    unchanged = []
    if command.profile is not None and (row is None or row.profile != command.profile):
        unchanged.append("profile")
    if command.queue is not None and (row is None or row.queue is not command.queue):
        unchanged.append("queue")
    return unchanged
