"""What a bridge knows of the process that it runs in, alone or as one of many."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bridge.runtime.about import Identity, new_identity
from bridge.runtime.supervision import Supervision
from bridge.web.board import Board
from bridge.web.feed import Feed

if TYPE_CHECKING:  # 3 MB that a bridge without a web server need not load
    from bridge.web.changes import Changes
    from bridge.web.metrics import Metrics
    from bridge.web.probes import Probes


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What the web server of a process with several bridges shows of one of them."""

    board: Board | None
    """None: the process has no board."""
    changes: "Changes"
    probes: "Probes"
    metrics: "Metrics"


class Exhibition(Protocol):
    """The web server of a process with several bridges."""

    @property
    def feed(self) -> Feed | None:
        """The stream of changes of all boards; None: there is no board."""

    def show(self, name: str, exhibit: Exhibit) -> None:
        """Show this of the bridge of the PBX `name` from now on."""

    def remove(self, name: str, exhibit: Exhibit) -> None:
        """Show it no longer, if it still is."""


@dataclass(frozen=True, slots=True)
class Process:
    """The process around a bridge."""

    identity: Identity = field(default_factory=new_identity)
    supervision: Supervision | None = None
    """Told by the bridge how it is doing; None: somebody else looks."""
    exhibition: Exhibition | None = None
    """None: each bridge has a web server of its own, if any."""
