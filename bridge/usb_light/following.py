"""Which look the lights show, from the messages of the broker. Knows neither the network nor any light."""

from collections.abc import Mapping
from dataclasses import replace

from bridge.domain.light import MOST_BRIGHT, Color, Look, scaled
from bridge.domain.model import State
from bridge.domain.presence import DEFAULT_BUSY
from bridge.outputs.lights.settings import PALETTE, look_of
from bridge.topics import Topics

_ONLINE = b"online"


def looks(colors: Mapping[State, Color | None], brightness: int, *, blink_busy: bool) -> Mapping[State, Look]:
    """The default palette with some `colors` replaced (None: off), each at `brightness` percent of its own."""
    defaults = {state: look_of(PALETTE[state], MOST_BRIGHT) for state in State}
    return {
        state: replace(
            look,
            color=colors.get(state, look.color),
            brightness=scaled(brightness, look.brightness),
            blink=look.blink or (blink_busy and state in DEFAULT_BUSY),
        )
        for state, look in defaults.items()
    }


class Following:
    """One user's state, from messages since the last connect. The topics are retained: they come on subscribing."""

    def __init__(self, base_topic: str, dn: str, palette: Mapping[State, Look]) -> None:
        topics = Topics(base_topic, pbx_name="", discovery_prefix="")
        self._user = topics.user_state(dn)
        self._online_topics = (topics.bridge_state, topics.bridge_pbx)
        self._palette = palette
        self._received: dict[str, bytes] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return (self._user, *self._online_topics)

    @property
    def missing(self) -> tuple[str, ...]:
        """Topics without a message: no client publishes there, or the broker forbids this login to read them."""
        return tuple(topic for topic in self.topics if not self._received.get(topic))

    def receive(self, topic: str, payload: bytes) -> None:
        """Note a message; an empty one clears its topic."""
        self._received[topic] = payload

    def forget(self) -> None:
        """The connection is lost: nothing is known any more."""
        self._received.clear()

    @property
    def state(self) -> State:
        """The user's state; unknown unless bridge and PBX are both online."""
        if any(self._received.get(topic) != _ONLINE for topic in self._online_topics):
            return State.UNKNOWN
        try:
            return State(self._received.get(self._user, b"").decode())
        except ValueError:  # cleared, or a state that only a newer bridge knows
            return State.UNKNOWN

    @property
    def look(self) -> Look:
        """The look of that state."""
        return self._palette[self.state]
