"""A request to read everything again, limited in rate: each costs the PBX a round of every source."""

from collections.abc import Callable, Sequence


class Refresh:
    """Carries out `actions` at most once per `interval` seconds; requests in between are merged into one."""

    def __init__(self, monotonic: Callable[[], float], interval: float, actions: Sequence[Callable[[], None]]) -> None:
        self._monotonic = monotonic
        self._interval = interval
        self._actions = actions
        self._last = float("-inf")
        self._is_due = False

    def request(self) -> None:
        """Refresh now, or at a later `tick` if the last refresh was a moment ago."""
        now = self._monotonic()
        self._is_due = now < self._last + self._interval
        if self._is_due:
            return
        self._last = now
        for action in self._actions:
            action()

    def tick(self) -> None:
        """Carry out what had to wait. To be called about once per interval."""
        if self._is_due:
            self.request()
