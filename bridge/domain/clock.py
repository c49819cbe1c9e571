"""The two clocks the bridge reads, passed in as one value so that tests can turn the hands."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` (seconds) measures how old news is; `wall` (Unix seconds) dates what is published."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


def utc_text(seconds: float) -> str:
    """Unix seconds as all payloads have them: `2026-11-24T08:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_FORMAT)


def unix_seconds(text: str) -> float:
    """The Unix seconds of a time as `utc_text` writes it; ValueError where it is none."""
    return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC).timestamp()
