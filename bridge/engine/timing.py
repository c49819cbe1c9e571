"""The times of the engine that no option sets."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineTiming:
    """All in seconds. Tests pass shorter ones; the program uses the defaults."""

    answer_wait: float = 1.0
    """How long the event of an unanswered call's end waits for the answer at another phone. A pushed end needs no
    request, but an answer does, so that the end of the ringing is known before it."""
    remember_call: float = 30.0
    """How long it is remembered who was in a call, after its last member has left. Longer than calls are used after a
    source that pushes has lost its connection: until then their ends may still be found."""


USUAL = EngineTiming()
