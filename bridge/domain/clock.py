"""The two clocks the bridge reads, passed in as one value so that tests can set the time; and times as text."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` (seconds) measures ages and intervals; `wall` (Unix seconds) gives the times that are published."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


def utc_text(seconds: float) -> str:
    """Unix seconds in the format of all payloads: `2026-11-24T08:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_FORMAT)


def unix_seconds(text: str) -> float:
    """The reverse of `utc_text`; raises ValueError for text in any other format."""
    return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC).timestamp()
