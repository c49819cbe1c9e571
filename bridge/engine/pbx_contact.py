"""When the PBX answered last, and what its clock says."""

import logging

from bridge.domain.clock import Clock

_SAME_CLOCK = 2.0
"""Seconds by which the measured difference of the clocks may vary: requests take time, 3CX sends whole seconds."""
_BROKEN_CLOCK = 366 * 86400.0
"""A PBX whose clock is further off than this many seconds has none that is worth following."""

_logger = logging.getLogger(__name__)


class PbxContact:
    """Whether the PBX answers, and the time by its clock, which dates the calls that it reports."""

    def __init__(self, clock: Clock, bound: float) -> None:
        """After `bound` seconds without an answer the PBX counts as offline."""
        self._clock = clock
        self._bound = bound
        self._last_answer: float | None = None
        """In monotonic seconds; None while the PBX is offline."""
        self.last_answer: float | None = None
        """The last one before that too, Unix seconds."""
        self._pbx_ahead = 0.0
        """Seconds by which the PBX's clock is ahead of this machine's."""

    @property
    def online(self) -> bool:
        """Whether the PBX has answered within the bound."""
        return self._last_answer is not None

    def answered(self) -> None:
        """The PBX has given a well-formed answer just now, if only to refuse the request."""
        if self._last_answer is None:
            _logger.info("the PBX answers")
        self._last_answer, self.last_answer = self._clock.monotonic(), self._clock.wall()

    def refused(self) -> None:
        """The PBX refused the login: it counts as offline at once."""
        self._last_answer = None

    def expire(self) -> None:
        """Count the PBX as offline once it has not answered for too long."""
        now = self._clock.monotonic()
        if self._last_answer is not None and now - self._last_answer > self._bound:
            _logger.warning("the PBX has not answered for %.0f s", now - self._last_answer)
            self._last_answer = None

    def set_clock(self, pbx_now: int) -> None:
        """The PBX's clock shows `pbx_now` (Unix seconds)."""
        ahead = pbx_now - self._clock.wall()
        if abs(ahead - self._pbx_ahead) > _SAME_CLOCK and abs(ahead) < _BROKEN_CLOCK:
            self._pbx_ahead = ahead

    def now(self) -> int:
        """Unix seconds by the PBX's clock, as far as it is known."""
        return int(self._clock.wall() + self._pbx_ahead)
