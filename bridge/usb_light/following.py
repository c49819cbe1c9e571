"""What the lights show: from what the broker says to a look. Knows neither the network nor any light."""

from collections.abc import Mapping
from dataclasses import replace

from bridge.domain.light import MOST_BRIGHT, Color, Look, scaled
from bridge.domain.model import State
from bridge.domain.presence import DEFAULT_BUSY
from bridge.outputs.lights.settings import PALETTE, look_of
from bridge.topics import Topics

_ONLINE = b"online"


def looks(colors: Mapping[State, Color | None], brightness: int, *, blink_busy: bool) -> Mapping[State, Look]:
    """The usual palette with other `colors` (None: off), all at `brightness` percent of what they have."""
    usual = {state: look_of(options, MOST_BRIGHT) for state, options in PALETTE.items()}
    return {
        state: replace(
            look,
            color=colors.get(state, look.color),
            brightness=scaled(brightness, look.brightness),
            blink=look.blink or (blink_busy and state in DEFAULT_BUSY),
        )
        for state, look in usual.items()
    }


class Following:
    """One user, as far as the broker has told since the last connect. All topics are retained, so it tells at once."""

    def __init__(self, base_topic: str, dn: str, palette: Mapping[State, Look]) -> None:
        topics = Topics(base_topic, pbx_name="", discovery_prefix="")
        self._user = topics.user_state(dn)
        self._trusted = (topics.bridge_state, topics.bridge_pbx)
        self._palette = palette
        self._heard: dict[str, bytes] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return (self._user, *self._trusted)

    @property
    def silent(self) -> tuple[str, ...]:
        """Topics that nothing was heard of: nobody publishes there, or the broker does not let this login read."""
        return tuple(topic for topic in self.topics if not self._heard.get(topic))

    def hear(self, topic: str, payload: bytes) -> None:
        """Take in a message; an empty one clears its topic."""
        self._heard[topic] = payload

    def forget(self) -> None:
        """The connection is gone: nothing that it told is known to be true any more."""
        self._heard.clear()

    @property
    def state(self) -> State:
        """The user's state, believed only while bridge and PBX are both online."""
        if any(self._heard.get(topic) != _ONLINE for topic in self._trusted):
            return State.UNKNOWN
        try:
            return State(self._heard.get(self._user, b"").decode())
        except ValueError:  # cleared, or a word of a newer bridge
            return State.UNKNOWN

    @property
    def look(self) -> Look:
        """What to show."""
        return self._palette[self.state]
