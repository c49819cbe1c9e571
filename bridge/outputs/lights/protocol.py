"""The port of the light drivers: options in, commands for one make of lights out."""

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
    """Where a light publishes whether it is online, and how to read that; None: the payload says neither."""

    topic: str
    is_online: Callable[[str], bool | None]


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """What a driver is made from. Options that a driver has no use for must be left at their defaults."""

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
    """The light's availability topic, where the driver cannot derive it."""
    payloads: Mapping[str, str] = field(default_factory=dict)
    """For the driver `template`: the payload by what the light shows (see `Driver.commands`), `off` and `default`."""


class Driver(Protocol):
    """Turns a look into the commands for one light.

    Knows no time and keeps no state: the light may have been switched off meanwhile, so each command is complete.
    """

    @property
    def topics(self) -> frozenset[str]:
        """The topics that commands go to. Two lights with one topic would fight, so the configuration refuses that."""

    @property
    def availability(self) -> Availability | None:
        """Where the light publishes whether it is online; None where it does not."""

    @property
    def blinks(self) -> bool:
        """Whether the light can blink by itself, without end; for others the bridge alternates two looks."""

    @property
    def harmless(self) -> str | None:
        """A payload that changes nothing, to try whether `topics` can be published to; None where none is known."""

    def commands(self, look: Look, shows: str, /) -> Iterable[Command]:
        """What to send so that the light shows `look`, which stands for `shows`: a state, `off` or `override`."""
