"""What the engine expects of the edges, and the edges of the engine."""

from collections.abc import Callable, Iterable
from typing import Protocol

from bridge.domain.message import Message
from bridge.domain.model import Bridge, Update, User

Report = Callable[[Update], None]
Publish = Callable[[Message], None]


class Source(Protocol):
    """Reads the PBX and reports what it finds."""

    @property
    def name(self) -> str:
        """The key under `sources:`, such as `monitor_status`."""

    async def run(self, report: Report) -> None:
        """Read for ever. Troubles with the PBX are reported as Failure, never raised."""

    def refresh(self) -> None:
        """Read now, without waiting for the interval."""


class Output(Protocol):
    """Turns a change into messages. `None` before: new, publish all; `None` after: gone, clear all."""

    def user(self, before: User | None, after: User | None) -> Iterable[Message]:
        """Messages that lead the broker from `before` to `after` for one user."""

    def bridge(self, before: Bridge | None, after: Bridge) -> Iterable[Message]:
        """The same for the bridge itself."""
