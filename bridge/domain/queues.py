"""The queues of the PBX: who answers them, and who waits in them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue, with who is assigned to it."""

    number: str
    name: str | None
    agents: frozenset[str] | None
    """The DNs of its agents, logged in or not; None: not known."""


@dataclass(frozen=True, slots=True)
class Agents:
    """The published users among a queue's agents, by number; `available` and `on_call` are part of `logged_in`."""

    logged_in: tuple[str, ...] = ()
    available: tuple[str, ...] = ()
    on_call: tuple[str, ...] = ()
    """With a call, on hold or not."""
    logged_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueState:
    """What is published about a queue."""

    number: str
    name: str | None
    waiting: int | None
    """Callers that no agent has; None: not known."""
    longest_since: int | None
    """Since when the one has waited who has waited longest, Unix seconds; None: nobody waits, or not known."""
    agents: Agents | None
    """None: not known."""
