"""How much may be done at once and over time: a token bucket."""

from collections.abc import Callable


class Allowance:
    """A token bucket: `burst` at once, then `rate` a second; a rate of 0 sets no limit."""

    def __init__(self, rate: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._monotonic = monotonic
        self._left = self._burst
        self._then = monotonic()

    @property
    def is_full(self) -> bool:
        """Whether nothing was taken for so long that all of `burst` may go at once."""
        return self._left + (self._monotonic() - self._then) * self._rate >= self._burst

    def wait(self) -> float:
        """Seconds until there is one; 0: now."""
        if self._rate == 0:
            return 0.0
        if self._left < 1:
            now = self._monotonic()
            self._left = min(self._burst, self._left + (now - self._then) * self._rate)
            self._then = now
        return max(0.0, (1 - self._left) / self._rate)

    def take(self) -> float:
        """Take one. 0 when it was granted, else the seconds after which to ask again."""
        wait = self.wait()
        if not wait:
            self._left -= 1
        return wait
