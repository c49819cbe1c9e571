"""What the engine expects of the edges, and the edges of the engine."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

from bridge.domain.message import Message
from bridge.domain.model import Bridge, CallEvent, Group, SourceReport, Update, User

Report = Callable[[Update], None]


class Publisher(Protocol):
    """Carries messages to the broker."""

    @property
    def in_step(self) -> bool:
        """Whether the broker has been brought up to date, so that changes are worth telling.

        Before that nothing needs to be rendered: the broker gets the whole truth once it is there.
        """

    def publish(self, message: Message) -> None:
        """Send it as soon as its rank and the configured rate allow; nothing while not in step."""


class Liveness(Protocol):
    """Notices loops that are stuck, as each says by when its next step is due."""

    def expect(self, loop: str, within: float) -> None:
        """`loop` has made a step; the next one follows within so many seconds, or it counts as stuck."""


class Source(Protocol):
    """Reads the PBX and reports what it finds."""

    @property
    def name(self) -> str:
        """The key under `sources:`."""

    async def run(self, report: Report) -> None:
        """Read for ever. Troubles with the PBX are reported as Failure, never raised."""

    def refresh(self) -> None:
        """Read now, without waiting for the interval."""


@runtime_checkable
class Relaxable(Protocol):
    """A source of calls that can be polled less often while the calls of all users are pushed by another."""

    def relax(self, *, relaxed: bool) -> None:
        """Poll less often, or as configured again."""


class Output(Protocol):
    """Turns a change into messages. `None` before: new, publish all; `None` after: gone, clear all."""

    def user(self, before: User | None, after: User | None) -> Iterable[Message]:
        """Messages that lead the broker from `before` to `after` for one user."""

    def call(self, user: User, event: CallEvent) -> Iterable[Message]:
        """Messages that tell of something that happened to a call."""

    def group(self, before: Group | None, after: Group) -> Iterable[Message]:
        """The same as `user` for a group; groups stay as long as the configuration does."""

    def bridge(self, before: Bridge | None, after: Bridge) -> Iterable[Message]:
        """The same for the bridge itself."""


class Standing(Protocol):
    """How PBX, sources and users stand now, for whoever looks at the bridge from outside."""

    @property
    def pbx_online(self) -> bool:
        """Whether the PBX answers."""

    @property
    def pbx_version(self) -> str | None:
        """The build of 3CX, once the PBX has told."""

    def users(self) -> Sequence[User]:
        """All users as published."""

    def sources(self) -> Sequence[SourceReport]:
        """All sources, those that are switched off too."""
