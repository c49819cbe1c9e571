"""Counters of what the bridge does, as published on `bridge/health` and by /metrics."""

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from bridge.domain.clock import Clock, utc_text

_KEPT_ROUNDS = 200


class Queue(StrEnum):
    """Queues that drop their oldest message when they are full."""

    PUBLISH = "publish"
    """Non-retained messages that wait to be sent to the broker."""
    RECEIVE = "receive"
    """Requests and commands received from the broker that wait."""

    @property
    def description(self) -> str:
        """What waits there, for people."""
        return {
            Queue.PUBLISH: "call events and other non-retained messages for the broker",
            Queue.RECEIVE: "requests and commands received from the broker",
        }[self]


@dataclass(slots=True)
class Polls:
    """Polls of one source."""

    ok: int = 0
    failed: int = 0
    last_success: float | None = None
    """Unix seconds."""
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_ROUNDS))
    """Duration of each of the last successful polls."""
    total_seconds: float = 0.0
    """Duration of all successful polls together."""

    def quantile(self, share: float) -> float | None:
        """The duration that `share` of the last successful polls did not exceed, in seconds; None if there was none."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


class Statistics:
    """Counters since the start; each method that is named after an event counts it."""

    def __init__(self, clock: Clock, instance: str = "") -> None:
        """`instance` names this process, such as `1f6a90c3`."""
        self._clock = clock
        self.instance = instance
        self._started = clock.monotonic()
        self._polls: dict[str, Polls] = {}
        self._published = 0
        self._connects = 0
        self._dropped = dict.fromkeys(Queue, 0)

    def polled(self, source: str, seconds: float) -> None:
        """A poll of `source` succeeded, in so many seconds."""
        polls = self._polls.setdefault(source, Polls())
        polls.ok += 1
        polls.last_success = self._clock.wall()
        polls.seconds.append(seconds)
        polls.total_seconds += seconds

    def poll_failed(self, source: str) -> None:
        """A poll of `source` failed."""
        self._polls.setdefault(source, Polls()).failed += 1

    def published(self) -> None:
        """A message was sent to the broker."""
        self._published += 1

    def dropped(self, queue: Queue) -> None:
        """A full queue dropped a message."""
        self._dropped[queue] += 1

    def connected(self) -> None:
        """The broker accepted a connection."""
        self._connects += 1

    @property
    def polls(self) -> Mapping[str, Polls]:
        """By source; only sources that were polled."""
        return self._polls

    @property
    def messages(self) -> int:
        """Messages sent to the broker."""
        return self._published

    @property
    def drops(self) -> Mapping[Queue, int]:
        """How many messages each queue dropped as it was full."""
        return self._dropped

    @property
    def reconnects(self) -> int:
        """Connections that the broker accepted, the first one not counted."""
        return max(0, self._connects - 1)

    def report(self, users: int) -> dict[str, object]:
        """The payload of `bridge/health`: times in seconds, `memory` (resident) in bytes."""
        return {
            "instance": self.instance,
            "uptime": int(self._clock.monotonic() - self._started),
            "polls": {source: _summary(polls) for source, polls in self._polls.items()},
            "users": users,
            "published": self._published,
            "dropped": {queue.value: count for queue, count in self._dropped.items()},
            "reconnects": self.reconnects,
            "memory": _resident(),
        }


def _summary(polls: Polls) -> dict[str, object]:
    last = polls.last_success
    return {
        "ok": polls.ok,
        "failed": polls.failed,
        "last_success": None if last is None else utc_text(last),
        "p50": _rounded(polls.quantile(0.5)),
        "p95": _rounded(polls.quantile(0.95)),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _resident() -> int | None:
    """Resident memory in bytes; None where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
