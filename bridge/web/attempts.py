"""Slows down whoever guesses passwords and tokens, per address and in all."""

from collections import OrderedDict
from collections.abc import Callable

_BURST, _PERIOD = 5, 20.0
"""Failures from one address: so many at once, then one in so many seconds."""
_BURST_OF_ALL, _PERIOD_OF_ALL = 50, 1.0
"""The same of all addresses together: an attacker may have many."""
_MOST_ADDRESSES = 1000


class Attempts:
    """Counts failed attempts. Each takes its time to be forgiven; while too many are not, none is even looked at."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._of_all = float("-inf")
        self._of: OrderedDict[str, float] = OrderedDict()
        """By address: when all its failures are forgiven. The one that failed last stands last."""

    def wait(self, address: str) -> float:
        """Seconds until the next attempt from `address` is looked at; 0: it may try."""
        now = self._monotonic()
        own = self._of.get(address, now) - now - (_BURST - 1) * _PERIOD
        of_all = self._of_all - now - (_BURST_OF_ALL - 1) * _PERIOD_OF_ALL
        return max(0.0, own, of_all)

    def failed(self, address: str) -> None:
        """An attempt has failed."""
        now = self._monotonic()
        self._of_all = max(self._of_all, now) + _PERIOD_OF_ALL
        self._of[address] = max(self._of.pop(address, now), now) + _PERIOD
        if len(self._of) > _MOST_ADDRESSES:
            self._of.popitem(last=False)
