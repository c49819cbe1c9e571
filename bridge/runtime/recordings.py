"""The request `record`: the running bridge, which is logged in anyway, records into its state directory."""

import asyncio
import calendar
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.config import Config
from bridge.domain.clock import Clock
from bridge.errors import BridgeError
from bridge.sources.threecx.client.login_backoff import state_directory
from bridge.sources.threecx.recording import LONGEST, USUAL
from bridge.sources.threecx.recording.recorder import Recorder

PAUSE = 600.0
"""Seconds from the start of one recording to the start of the next."""
_SUFFIX = ".jsonl.gz"
_KEPT = 3
"""So many recordings are kept: the oldest one makes way for a new one."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Wanted:
    seconds: float
    path: Path


class Recordings:
    """Answers the request at once, and makes the recording in a task of its own. Nothing of it goes over MQTT."""

    def __init__(self, config: Config, recorder: Recorder, clock: Clock) -> None:
        self._config = config
        self._recorder = recorder
        self._clock = clock
        self._wanted: _Wanted | None = None
        """What is being recorded, or is about to be."""
        self._asked = asyncio.Event()

    def request(self, request: Mapping[str, object]) -> object:
        """Begin a recording of `for` seconds: {"path": …, "seconds": …, "ends_at": Unix seconds}.

        The file is there once the recording has ended. BridgeError says why there will be none.
        """
        if not self._config.commands.record:
            raise BridgeError("recording is switched off: set commands.record to true")
        seconds = _seconds(request.get("for", USUAL))
        if self._wanted is not None or self._recorder.busy:
            raise BridgeError("a recording is being made already")
        directory = state_directory()
        if directory is None:
            raise BridgeError("there is no directory to record into: set STATE_DIRECTORY or XDG_STATE_HOME")
        now = self._clock.wall()
        last = max((began for began, _ in self._earlier(directory)), default=float("-inf"))
        if 0 <= now - last < PAUSE:
            wait = round(last + PAUSE - now)
            raise BridgeError(f"one recording in {PAUSE / 60:g} minutes: the next one may begin in {wait} s")
        path = directory / f"{self._prefix}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}{_SUFFIX}"
        self._wanted = _Wanted(seconds, path)
        self._asked.set()
        _logger.info("recording what the PBX says for %g s into %s", seconds, path)
        return {"path": str(path.absolute()), "seconds": seconds, "ends_at": round(now + seconds)}

    async def run(self) -> None:
        """Make the recordings that are asked for, until cancelled; one that is being made is written then."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            if self._wanted is None:
                continue
            try:
                self._make_room(self._wanted.path.parent)
                lines = await self._recorder.record(self._wanted.seconds, self._wanted.path)
                _logger.info("recorded %d lines: %s", lines, self._wanted.path)
            except BridgeError as error:
                _logger.warning("nothing was recorded: %s", error)
            finally:
                self._wanted = None

    @property
    def _prefix(self) -> str:
        return f"recording-{self._config.pbx.name}-"

    def _earlier(self, directory: Path) -> list[tuple[float, Path]]:
        """The recordings of this PBX in the directory and when they began: they outlive a restart."""
        found = []
        for path in directory.glob(f"{self._prefix}*{_SUFFIX}"):
            text = path.name.removeprefix(self._prefix).removesuffix(_SUFFIX)
            with suppress(ValueError):  # another PBX, whose name begins like this one's
                found.append((float(_unix(text)), path))
        return sorted(found)

    def _make_room(self, directory: Path) -> None:
        earlier = self._earlier(directory)
        for _, path in earlier[: max(0, len(earlier) - _KEPT + 1)]:
            with suppress(OSError):
                path.unlink()


def _unix(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))


def _seconds(value: object) -> float:
    # bool is a subclass of int in Python, and `true` is no number in JSON.
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= LONGEST:
        return float(value)
    raise BridgeError(f'a recording lasts from 1 to {LONGEST:g} seconds: write {{"for": 120}}, not {value!r}')
