"""What an earlier process left on the broker, for the next one to go on with."""

from dataclasses import dataclass

from bridge.domain.model import State
from bridge.domain.today import Today


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is retained on the broker about a user, published by an earlier process."""

    name: str | None
    state: State
    since: int
    department: str | None = None
    today: Today | None = None
    """The calls of the day on which it was published."""
