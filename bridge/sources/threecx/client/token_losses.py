"""Recognises another program that logs in with the same API client: each login of either ends the other's token.

Both then log in as often as they send requests, and neither gets far. A PBX that restarts ends tokens too, but not
several times within minutes.
"""

import logging

from bridge.domain.clock import Clock
from bridge.log import RepeatedFailure

MOST_LOGINS = 4
"""Logins a minute while tokens are lost."""

_PAUSE = 60.0 / MOST_LOGINS
_SOON = 600.0
"""A token of 60 minutes that was refused within so many seconds was lost soon after it was granted."""
_TOO_MANY = 3
"""So many tokens in a row lost soon are no coincidence."""

_logger = logging.getLogger(__name__)


class TokenLosses:
    """Counts tokens that were refused soon after they were granted, and spaces out the logins that follow."""

    def __init__(self, client_id: str, clock: Clock) -> None:
        self._clock = clock
        self._granted_at = float("-inf")
        self._losses = 0
        self._repeated = RepeatedFailure(_logger)
        self._message = (
            f"another program logs in with client_id {client_id!r}, and each login ends the other's token: give each "
            "program its own API client (Integrations > API in the 3CX admin console); until then this bridge logs in "
            f"at most {MOST_LOGINS} times a minute"
        )

    @property
    def problem(self) -> str | None:
        """What is wrong, and what to do; None unless tokens are lost again and again."""
        if self._losses < _TOO_MANY or self._clock.monotonic() - self._granted_at > _SOON:
            return None
        return self._message

    def wait(self) -> float:
        """Seconds before the next login."""
        if self.problem is None:
            return 0.0
        return max(0.0, self._granted_at + _PAUSE - self._clock.monotonic())

    def granted(self) -> None:
        """A login was accepted."""
        now = self._clock.monotonic()
        if now - self._granted_at > _SOON:  # the token before was not lost soon
            self._losses = 0
            self._repeated.recovered("no other program logs in with this bridge's API client any more")
        self._granted_at = now

    def lost(self, age: float) -> None:
        """A token that was granted `age` seconds ago was refused, where the next one was accepted."""
        self._losses = self._losses + 1 if age < _SOON else 0
        if self._losses >= _TOO_MANY:
            self._repeated.failed(self._message)
