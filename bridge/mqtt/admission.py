"""Whether the session may connect with the client id at all: always, unless the bridge is one of a pair."""

from collections.abc import Callable
from typing import Protocol

from bridge.mqtt.connection import Connection
from bridge.mqtt.lease import Lease


class Admission(Protocol):
    """What the session asks before it connects, and tells of its connection."""

    async def admitted(self, progress: Callable[[], None]) -> None:
        """Wait until the client id may be taken, calling `progress` at every step.

        BrokerError where it cannot be found out.
        """

    def lease(self) -> Lease | None:
        """For the connection that is about to be made; None: it is no lease."""

    async def entered(self, connection: Connection) -> None:
        """The broker has accepted the connection; the session sends nothing until this returns."""

    def left(self) -> None:
        """There is no connection under the client id any more, or there has been none."""


class Always:
    """The only bridge that uses the client id."""

    async def admitted(self, progress: Callable[[], None]) -> None:
        """At once."""

    def lease(self) -> Lease | None:
        """None: nobody else waits for the client id."""
        return None

    async def entered(self, connection: Connection) -> None:
        """Nothing to do."""

    def left(self) -> None:
        """Nothing to do."""
