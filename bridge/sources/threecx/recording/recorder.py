"""Makes recordings of one PBX, beside the sources that read it."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from bridge.domain.clock import Clock
from bridge.errors import BridgeError, SourceError
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.recording.recording import MOST_BYTES, Recording
from bridge.sources.threecx.recording.redaction import Redactor

_FIRST_PAGE = "$top=100&$skip=0"
_CALL_CONTROL = ("/callcontrol", "")
_EXTRAS = (
    ("/xapi/v1/Defs", "$select=Id"),
    ("/xapi/v1/Defs/Pbx.GetSystemParameters()", ""),
    ("/xapi/v1/Groups", f"{_FIRST_PAGE}&$orderby=Id&$select=Id,Name"),
    ("/xapi/v1/Queues", f"{_FIRST_PAGE}&$orderby=Number&$select=Id,Number,Name"),
    ("/xapi/v1/RingGroups", f"{_FIRST_PAGE}&$orderby=Number&$select=Id,Number,Name"),
    ("/xapi/v1/Trunks", f"{_FIRST_PAGE}&$orderby=Number&$select=Id,Number,IsOnline"),
    (
        "/xapi/v1/SystemStatus",
        "$select=Version,CallsActive,MaxSimCalls,ExtensionsRegistered,ExtensionsTotal,TrunksRegistered,TrunksTotal",
    ),
)
"""What is read once, beside what the sources read. No field of these is a secret; whole rows would have some."""

_logger = logging.getLogger(__name__)


class Recorder:
    """Records what the sources are told, one recording at a time."""

    def __init__(
        self,
        client: AuthorisedClient,
        refresh: Callable[[], None],
        secret_texts: Iterable[str],
        clock: Clock,
        *,
        pushes: bool,
    ) -> None:
        """`refresh` has all sources read again soon, so that a recording begins with everything.

        `pushes`: whether a source uses Call Control, so that what it begins with has to be recorded at once.
        """
        self._extras = (_CALL_CONTROL, *_EXTRAS) if pushes else _EXTRAS
        self._client = client
        self._refresh = refresh
        self._secrets = tuple(secret_texts)
        self._clock = clock

    @property
    def busy(self) -> bool:
        """Whether a recording is being made."""
        return self._client.point.current is not None

    async def record(self, seconds: float, path: Path, most_bytes: int = MOST_BYTES) -> int:
        """Record for `seconds`, or until `most_bytes` are reached, and write `path`; also when it is cancelled.

        Returns the number of lines. Raises BridgeError where the PBX lets nobody in, without a file then, or where the
        file cannot be written.
        """
        if self.busy:
            raise BridgeError("a recording is being made already")
        redactor = Redactor(secrets.token_bytes(32), self._secrets)
        recording = Recording(redactor, self._clock.monotonic, self._clock.wall(), most_bytes)
        self._client.point.current = recording
        reading_already = self._client.answered_at > float("-inf")
        try:
            await self._client.login()
            if reading_already:
                self._refresh()
            end = await self._until_the_end(recording, seconds)
        except asyncio.CancelledError:
            try:
                recording.write(path, "interrupted")
            except BridgeError as error:  # must not take the place of the cancellation
                _logger.warning("%s", error)
            raise
        finally:
            self._client.point.current = None
        recording.write(path, end)
        return recording.lines

    async def _until_the_end(self, recording: Recording, seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                for path, query in self._extras:
                    await self._read(path, query)
                await recording.full.wait()
        except TimeoutError:
            return "time"
        return "size"

    async def _read(self, path: str, query: str) -> None:
        """Request this; that it is refused or missing here is an answer to record like any other."""
        try:
            await self._client.request("GET", path, query, right=path)
        except SourceError as error:
            _logger.debug("recording %s: %s", path, error)
