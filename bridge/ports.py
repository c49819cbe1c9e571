"""Interfaces between the engine and the edges: sources, outputs, the broker, and readers of the bridge's status."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from bridge.domain.message import Message
from bridge.domain.model import Bridge, CallEvent, Group, SourceReport, User
from bridge.domain.queues import QueueState
from bridge.domain.today import Today
from bridge.domain.updates import Update

Report = Callable[[Update], None]


class Publisher(Protocol):
    """Carries messages to the broker."""

    @property
    def in_sync(self) -> bool:
        """Whether the broker is in sync, so that changes have to be published.

        Before that nothing needs to be rendered: the whole snapshot is published after each connect.
        """

    def publish(self, message: Message) -> None:
        """Send it as soon as its rank and the configured rate allow; does nothing while not in sync."""


class Liveness(Protocol):
    """Detects stuck loops: each loop reports its steps, and when the next one is due."""

    def expect(self, loop: str, within: float) -> None:
        """`loop` has made a step; without another one within so many seconds it counts as stuck."""


class Source(Protocol):
    """Reads the PBX and reports what it finds."""

    @property
    def name(self) -> str:
        """The key under `sources:`."""

    async def run(self, report: Report) -> None:
        """Read until cancelled. Errors of the PBX are reported as Failure, never raised."""

    def refresh(self) -> None:
        """Read now, without waiting for the interval."""


@runtime_checkable
class Relaxable(Protocol):
    """A source of calls that can be polled less often while the calls of all users are pushed by another."""

    def relax(self, *, relaxed: bool) -> None:
        """Poll less often, or as configured again."""


class Output(Protocol):
    """Turns a change into messages. `before` is None for what is new, `after` is None for what is gone."""

    def user(self, before: User | None, after: User | None) -> Iterable[Message]:
        """Messages that change what the broker retains about one user from `before` to `after`."""

    def call(self, user: User, event: CallEvent) -> Iterable[Message]:
        """Messages that publish an event of a call."""

    def today(self, dn: str, before: Today | None, after: Today) -> Iterable[Message]:
        """The same as `user` for what a user's calls of the day add up to; it goes when the user goes."""

    def group(self, before: Group | None, after: Group) -> Iterable[Message]:
        """The same as `user` for a group; groups stay as long as the configuration does."""

    def queue(self, before: QueueState | None, after: QueueState | None) -> Iterable[Message]:
        """The same as `user` for a queue."""

    def bridge(self, before: Bridge | None, after: Bridge) -> Iterable[Message]:
        """The same for the bridge itself."""


class BridgeStatus(Protocol):
    """Status of PBX, sources and users, for metrics and requests."""

    @property
    def pbx_online(self) -> bool:
        """Whether the PBX answers, as published on `bridge/pbx`."""

    @property
    def pbx_version(self) -> str | None:
        """The build of 3CX; None until the PBX has reported it."""

    def users(self) -> Sequence[User]:
        """All users as published."""

    def calls_today(self) -> Mapping[str, int]:
        """Sums of all users' calls of this day, by `missed`, `answered` and `made`."""

    def sources(self) -> Sequence[SourceReport]:
        """All sources, including those that are switched off."""
