"""The queues of the PBX."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue, with who is assigned to it."""

    number: str
    name: str | None
    agents: frozenset[str] | None
    """The DNs of its agents, logged in or not; None: not known."""
