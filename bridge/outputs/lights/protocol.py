"""What every driver of a make of lights gives."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.domain.light import Look


@dataclass(frozen=True, slots=True)
class Command:
    """One message to a light: never retained, at least QoS 1."""

    topic: str
    payload: str


@dataclass(frozen=True, slots=True)
class Availability:
    """Where a light says that it comes and goes, and how: what is neither word says nothing."""

    topic: str
    is_online: Callable[[str], bool | None]


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """What a driver is made from; those that mean nothing to it are left at their defaults."""

    topic: str
    """The light's own topic, as its documentation calls it."""
    transition: float = 0.0
    """Seconds from one colour to the next."""
    effect: str | None = None
    """The light's own effect that blinks."""
    channel: int = 0
    """Which output of a device that has several."""
    component: str | None = None
    """Which kind of output, for makes that have several kinds."""
    availability: str | None = None
    """The topic of the light's availability, for drivers that cannot know it."""
    payloads: Mapping[str, str] = field(default_factory=dict)
    """Of the driver `template`: what to send by word (see `Driver.commands`), `off` and `default` for the others."""


class Driver(Protocol):
    """Turns a look into the commands of one light. Knows no time and keeps no state: every command says all of it."""

    @property
    def topics(self) -> frozenset[str]:
        """The topics that commands go to; no two lights may share one."""

    @property
    def availability(self) -> Availability | None:
        """Where the light says that it is back."""

    @property
    def blinks(self) -> bool:
        """Whether the light blinks by itself; for others the bridge alternates two looks."""

    def commands(self, look: Look, word: str, /) -> Iterable[Command]:
        """What to send so that the light shows `look`; `word` says why: a state, `off` (out of hours) or `override`."""
