"""The connection as a lease: for how long a client may believe that the broker still holds its client id."""

import time
from collections.abc import Callable

PINGS = 3
"""Pings in a keep-alive, so that one lost ping is no loss."""


def boottime() -> float:
    """Seconds that go on while the machine sleeps; `time.monotonic` stands still meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """Lasts one keep-alive from what was received last.

    A broker publishes the will, and lets another client in, one and a half keep-alives after it last heard from a
    client (MQTT 5, 3.1.2.10). Whoever gives up after one is always earlier.
    """

    def __init__(self, keepalive: float, now: Callable[[], float] = boottime) -> None:
        self._keepalive = keepalive
        self._now = now
        self._looked = self._heard = self._pinged = now()

    @property
    def holds(self) -> bool:
        """Whether the broker has been heard within one keep-alive."""
        return self._now() - self._heard < self._keepalive

    def begin(self) -> None:
        """The network connection stands; how long that took does not count."""
        self._looked = self._heard = self._pinged = self._now()

    def shorten(self, keepalive: float | None) -> None:
        """The broker goes by a keep-alive of its own (MQTT 5, 3.1.2.10), so the lease does too; None: it does not."""
        if keepalive:
            self._keepalive = min(self._keepalive, float(keepalive))

    def look(self) -> None:
        """Note that the loop runs. To be called about once a second."""
        self._looked = self._now()

    def received(self) -> None:
        """Something was read.

        It may have waited in the socket for as long as the process stood still, so it counts from the last `look`.
        """
        self._heard = max(self._heard, self._looked)

    def ping_due(self) -> bool:
        """Whether to send a ping now; it then counts as sent."""
        now = self._now()
        if now - self._pinged < self._keepalive / PINGS:
            return False
        self._pinged = now
        return True
