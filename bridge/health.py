"""Counts what the bridge does, and sums it up for `bridge/health`."""

import os
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bridge.domain.clock import Clock

_KEPT_ROUNDS = 200


@dataclass(slots=True)
class _Polls:
    """The rounds of one source."""

    ok: int = 0
    failed: int = 0
    last_success: float | None = None
    """Unix seconds."""
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_ROUNDS))


class Health:
    """Counters since the start; whoever does something worth counting calls the method of that name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._polls: dict[str, _Polls] = {}
        self._published = 0
        self._connects = 0

    def polled(self, source: str, seconds: float) -> None:
        """A round of `source` was read in so many seconds."""
        polls = self._polls.setdefault(source, _Polls())
        polls.ok += 1
        polls.last_success = self._clock.wall()
        polls.seconds.append(seconds)

    def poll_failed(self, source: str) -> None:
        """A round of `source` failed."""
        self._polls.setdefault(source, _Polls()).failed += 1

    def published(self) -> None:
        """A message went to the broker."""
        self._published += 1

    def connected(self) -> None:
        """The broker accepted a connection."""
        self._connects += 1

    def report(self, users: int) -> dict[str, object]:
        """The payload of `bridge/health`: times in seconds, `memory` (resident) in bytes."""
        return {
            "uptime": int(self._clock.monotonic() - self._started),
            "polls": {source: _summary(polls) for source, polls in self._polls.items()},
            "users": users,
            "published": self._published,
            "reconnects": max(0, self._connects - 1),
            "memory": _resident(),
        }


def _summary(polls: _Polls) -> dict[str, object]:
    ordered = sorted(polls.seconds)
    last = polls.last_success
    return {
        "ok": polls.ok,
        "failed": polls.failed,
        "last_success": None if last is None else datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "p50": _part(ordered, 0.5),
        "p95": _part(ordered, 0.95),
    }


def _part(ordered: list[float], share: float) -> float | None:
    """The value that `share` of all do not exceed."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


def _resident() -> int | None:
    """The memory in use now; only Linux tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
