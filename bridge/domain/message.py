"""A message for the broker, and how urgent it is."""

from dataclasses import dataclass
from enum import IntEnum


class Rank(IntEnum):
    """The order in which waiting messages are published: lights need the state first, discovery can wait."""

    BRIDGE = 0
    STATE = 1
    BUSY = 2
    DOCUMENT = 3
    DETAIL = 4
    DISCOVERY = 5
    ONLINE = 6
    """`bridge/pbx` and `bridge/state` after connecting: published once everything that is true has been."""
    CLEAR = 7
    """What is not true any more, as found after connecting. Others may have left any number of topics."""


@dataclass(frozen=True, slots=True)
class Message:
    """One publish. An empty retained payload clears what the broker retains under the topic."""

    topic: str
    payload: bytes
    rank: Rank
    retain: bool = True
    least_qos: int = 0
    """Sent at this QoS even where the configuration asks for less."""
    newest: bool = False
    """Of what is not retained: a newer one for the same topic takes its place, and they go one after the other."""

    @property
    def is_event(self) -> bool:
        """A call event: of these each counts, and they come one by one."""
        return self.rank is Rank.STATE and not self.retain and not self.newest
