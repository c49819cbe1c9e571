"""How long to wait after a failure, and how loudly to report it: both follow from the class of the error."""

import logging
import random

from bridge.aio import Backoff
from bridge.errors import (
    SourceAuthError,
    SourceError,
    SourceMissing,
    SourcePermissionError,
    SourceQueryError,
    SourceUnavailable,
)
from bridge.sources.threecx.timing import ThreecxTiming


class Pauses:
    """The pause after each failure; pauses grow until an attempt succeeds."""

    def __init__(self, first: float, most: float, rng: random.Random, timing: ThreecxTiming) -> None:
        """From `first` to `most` seconds after failures that pass by themselves; for others see ThreecxTiming."""
        self._passing = Backoff(first, most, rng)
        self._lasting = tuple(
            (kind, Backoff(timing.first_recheck, longest, rng))
            for kind, longest in (
                (SourceMissing, timing.recheck_missing),
                (SourcePermissionError, timing.recheck_permission),
                (SourceQueryError, timing.recheck_query),
            )
        )

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._passing.reset()
        for _, backoff in self._lasting:
            backoff.reset()

    def after(self, error: SourceError) -> float:
        """Seconds to wait before the next attempt."""
        if isinstance(error, SourceAuthError):
            return error.retry_in
        for kind, backoff in self._lasting:
            if isinstance(error, kind):
                return backoff.next()
        wanted = error.retry_in if isinstance(error, SourceUnavailable) else None
        return max(self._passing.next(), wanted or 0.0)


def least_pause(error: SourceError) -> float:
    """Seconds for which not even a refresh may send a request: Retry-After, where the PBX itself sent it.

    A proxy that answers in place of a PBX that is down sends it too, but knows nothing about when the PBX is back.
    """
    return error.retry_in or 0.0 if isinstance(error, SourceUnavailable) and error.answered else 0.0


def level_of(error: SourceError) -> int:
    """The log level: a warning for what may pass by itself, an error for what an administrator has to fix."""
    return logging.WARNING if isinstance(error, SourceUnavailable) else logging.ERROR
