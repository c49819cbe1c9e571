"""Reports whether the process is well: to systemd by notifications, to a health check by the heartbeat file.

Both happen only while all is well, so what counts as well decides which failures they detect:

- A call that blocks the event loop stops every task, and with them the one here: no notification is sent any more. With
  systemd, the SIGABRT that follows leaves a traceback of the blocked call in the journal.
- A task that ends by an error ends its TaskGroup and with it the process. Nothing has to watch for that.
- A task that waits for something that never comes looks like an idle one. Only the loop itself knows how long its next
  step may take, so each says so at every step (Pulse), and while one is overdue no notification is sent. Side jobs that
  no state depends on are left out: health reports, Home Assistant's birth message, metrics.

A PBX or a broker that is down, slow or refuses the login is none of these: the loops go on trying, and are on time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Protocol, Self

from bridge.domain.clock import Clock
from bridge.log import RepeatedFailure
from bridge.runtime.heartbeat import Heartbeat
from bridge.runtime.sd_notify import Notify
from bridge.runtime.timing import USUAL, Timing

_logger = logging.getLogger(__name__)


class Pulse:
    """Which loops are on time. Each loop says at every step by when its next one is due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        """By loop, on the monotonic clock."""

    def expect(self, loop: str, within: float) -> None:
        """`loop` has made a step; if the next does not follow within so many seconds, it is stuck."""
        self._due[loop] = self._clock.monotonic() + within

    def late(self) -> Iterator[str]:
        """The loops whose next step is overdue."""
        now = self._clock.monotonic()
        return (loop for loop, due in self._due.items() if due < now)


class Watched(Protocol):
    """Loops that should be on time."""

    def late(self) -> Iterator[str]:
        """Those that are not."""


class Supervision:
    """Notifies systemd and writes the heartbeat file, for one process and all bridges that reloads bring.

    A context manager: on exit the heartbeat file is removed.
    """

    def __init__(self, environ: Mapping[str, str], clock: Clock | None = None, timing: Timing = USUAL) -> None:
        self._environ = environ
        self._clock = clock or Clock()
        self._timing = timing
        self._notify = Notify(environ)
        self._heartbeat: Heartbeat | None = None
        self._unwritten = RepeatedFailure(_logger)
        self._stuck = RepeatedFailure(_logger)
        self._status: str | None = None
        self._reload_rejected = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._heartbeat is not None:
            self._heartbeat.remove()

    def reloading(self) -> None:
        """The configuration is about to be read again. Ends with `attend` of the next bridge, or `reload_rejected`."""
        self._notify.reloading()

    def reload_rejected(self) -> None:
        """The new configuration is invalid and the running one stays; the status says so until one is accepted."""
        self._reload_rejected = True
        self._notify.ready()

    def stopping(self) -> None:
        """The process is about to end."""
        self._notify.stopping()

    def reloaded(self) -> None:
        """The new configuration is in use, though no bridge was replaced."""
        self._reload_rejected = False
        self._notify.ready()

    async def attend(
        self,
        name: str,
        pulse: Watched,
        status: Callable[[], str],
        broken: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Report that the bridge of the PBX `name` is ready, then that it is well for as long as no loop is late.

        To be started after all the loops, so that they run by then. `status` gives the status line, `broken` what is
        wrong with single bridges of a process that is well.
        """
        self._take_file(name)
        self._reload_rejected = False
        self._notify.ready()
        # systemd's advice (sd_watchdog_enabled(3)): notify at half of the interval.
        half = float("inf") if self._notify.watchdog is None else self._notify.watchdog / 2
        notified = written = float("-inf")
        late: set[str] = set()
        while True:
            before, late = late, set(pulse.late())
            stuck = sorted(before & late)  # late twice: after a sleep of the whole machine every loop is late once
            self._report(status(), stuck)
            now = self._clock.monotonic()
            if now - notified >= half and not stuck:
                self._notify.alive()
                notified = now
            if now - written >= self._timing.heartbeat_interval and not stuck:
                self._write(broken())
                written = now
            await asyncio.sleep(min(self._timing.tick, self._timing.heartbeat_interval, half / 2))

    def _take_file(self, name: str) -> None:
        """Choose the file; a reload may have changed the name."""
        file = Heartbeat(name, self._environ)
        if self._heartbeat is not None and self._heartbeat.path != file.path:
            self._heartbeat.remove()
        self._heartbeat = file

    def _report(self, status: str, stuck: list[str]) -> None:
        if stuck:
            named = ", ".join(stuck)
            self._stuck.failed(f"stuck: {named}; the watchdog is no longer notified", logging.ERROR)
            status = f"stuck: {named}; {status}"
        else:
            self._stuck.recovered("no loop is stuck any more, the watchdog is notified again")
        if self._reload_rejected:
            status = f"{status}; the last reload was refused, see the log"
        if status != self._status:
            self._status = status
            self._notify.status(status)

    def _write(self, broken: Mapping[str, str]) -> None:
        if self._heartbeat is None:
            return
        try:
            self._heartbeat.write(broken)
        except OSError as error:
            self._unwritten.failed(f"cannot write the heartbeat, '3cx2mqtt health' cannot see this bridge: {error}")
        else:
            self._unwritten.recovered(f"the heartbeat is written to {self._heartbeat.path} again")
