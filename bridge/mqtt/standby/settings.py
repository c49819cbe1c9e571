"""The options of a pair of bridges: `standby:`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from voluptuous import Optional

from bridge.options import Boolean, Duration

LONGEST_KEEPALIVE = 60
"""Seconds. `bridge/health` comes every 60 s, and an `online` without it is believed for 150 s: an active bridge that is
cut off has to give up within the 90 s between, before the other one takes over."""


@dataclass(frozen=True, slots=True)
class StandbySettings:
    """`standby:`. `after` is in seconds."""

    enabled: bool
    after: float


STANDBY_SCHEMA = {
    Optional(
        "enabled",
        default=False,
        description="Be one of two bridges with the same configuration, of which one works and the other stands by",
    ): Boolean(),
    Optional(
        "after",
        default="3s",
        description="How long the active bridge must have been offline before this one takes over",
    ): Duration(1, 3600),
}


def contradictions(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options that contradict each other, among those of all sections: (key, what to do)."""
    if options["standby"]["enabled"] and options["mqtt"]["keepalive"] > LONGEST_KEEPALIVE:
        yield (
            "mqtt.keepalive",
            f"is more than {LONGEST_KEEPALIVE} s: with standby.enabled a bridge must notice soon that it is cut off",
        )
