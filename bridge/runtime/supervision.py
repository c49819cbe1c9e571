"""Tells whoever looks after this process how it does: systemd by datagrams, a health check by a file.

Both hear that all is well only while it is, so what can go wrong decides what is looked at:

- A call that blocks the event loop stops every task, the one here with them: nothing is fed any more. With systemd the
  SIGABRT that follows leaves a traceback of the blocked call in the journal.
- A task that ends, by whatever error, ends its TaskGroup and with it the process. Nobody has to watch for that.
- A task that awaits what will never come looks like one that has nothing to do. Only the loop itself knows the longest
  that it may take, so each says at every step by when the next one is due (Pulse), and one that is late stops the beat.
  Not so the side jobs that no state depends on: health reports, Home Assistant's birth, metrics.

A PBX or a broker that is down, slow or refuses the login is none of these: the loops go on trying, and are on time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from bridge.domain.clock import Clock
from bridge.log import Recurring
from bridge.runtime import heartbeat
from bridge.runtime.heartbeat import Heartbeat
from bridge.runtime.sd_notify import Notify

_TICK = 1.0

_logger = logging.getLogger(__name__)


class Pulse:
    """Which loops are on time. Each says at every step by when the next one is due, as it knows what it waits for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        """By loop, on the monotonic clock."""

    def expect(self, loop: str, within: float) -> None:
        """`loop` has made a step; the next comes within so many seconds, or it is stuck."""
        self._due[loop] = self._clock.monotonic() + within

    def late(self) -> Iterator[str]:
        """The loops that are not on time."""
        now = self._clock.monotonic()
        return (loop for loop, due in self._due.items() if due < now)


class Supervision:
    """What one process tells, over all lives of its bridge. A context manager: its end takes the heartbeat away."""

    def __init__(self, environ: Mapping[str, str], clock: Clock | None = None) -> None:
        self._environ = environ
        self._clock = clock or Clock()
        self._notify = Notify(environ)
        self._heartbeat: Heartbeat | None = None
        self._unwritten = Recurring(_logger)
        self._stuck = Recurring(_logger)
        self._status: str | None = None
        self._reload_refused = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._heartbeat is not None:
            self._heartbeat.remove()

    def reloading(self) -> None:
        """The configuration is about to be read again; `attend` of the next life ends that, or `stays`."""
        self._notify.reloading()

    def stays(self) -> None:
        """The configuration was no good, all goes on as before; the status says so until one is accepted."""
        self._reload_refused = True
        self._notify.ready()

    def stopping(self) -> None:
        """The end has begun."""
        self._notify.stopping()

    async def attend(self, name: str, pulse: Pulse, status: Callable[[], str]) -> None:
        """Say that it is ready, then beat for as long as no loop is late; `name` is the PBX's.

        To be started after all the loops, so that they run by then. `status` tells in one line how it stands.
        """
        self._take_file(name)
        self._reload_refused = False
        self._notify.ready()
        half = None if self._notify.watchdog is None else self._notify.watchdog / 2
        fed = written = float("-inf")
        late: set[str] = set()
        while True:
            before, late = late, set(pulse.late())
            stuck = sorted(before & late)  # after a sleep of the whole machine everybody is late once
            self._tell(status(), stuck)
            now = self._clock.monotonic()
            if half is not None and now - fed >= half and not stuck:
                self._notify.alive()
                fed = now
            if now - written >= heartbeat.INTERVAL and not stuck:
                self._write()
                written = now
            await asyncio.sleep(min(_TICK, heartbeat.INTERVAL, _TICK if half is None else half / 2))

    def _take_file(self, name: str) -> None:
        """A reload may have changed the name."""
        file = Heartbeat(name, self._environ)
        if self._heartbeat is not None and self._heartbeat.path != file.path:
            self._heartbeat.remove()
        self._heartbeat = file

    def _tell(self, status: str, stuck: list[str]) -> None:
        if stuck:
            named = ", ".join(stuck)
            self._stuck.failed(f"stuck: {named}; this process says no more that it is well", logging.ERROR)
            status = f"stuck: {named}; {status}"
        else:
            self._stuck.recovered("nothing is stuck any more")
        if self._reload_refused:
            status = f"{status}; the last reload was refused, the log says why"
        if status != self._status:
            self._status = status
            self._notify.status(status)

    def _write(self) -> None:
        if self._heartbeat is None:
            return
        try:
            self._heartbeat.beat()
        except OSError as error:
            self._unwritten.failed(f"no heartbeat can be written, '3cx2mqtt health' will not know this bridge: {error}")
        else:
            self._unwritten.recovered(f"the heartbeat is written to {self._heartbeat.path} again")
