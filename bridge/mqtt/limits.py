"""What a broker takes: as CONNACK announces it in MQTT 5, and as found out where it closes the connection instead."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from bridge.domain.message import Message

_LONGEST = 268_435_455
"""Bytes: the most that MQTT can carry."""
_OVERHEAD = 16
"""More bytes than a PUBLISH holds beside topic and payload."""

_QOS_NOT_SUPPORTED = 155
_RETAIN_NOT_SUPPORTED = 154
"""Reason codes of a CONNACK that refuses the will."""

_SUSPICIOUS = 2
"""Connections in a row that the broker closed upon a publish, as it seems, from which on one is sent at a time."""
_PROVED = 3
"""The same with one and the same publish on its way: that is why the broker closes them."""
_MOST_HURRIED = 30
"""Connections without a longer pause, in search of such publishes."""
_ALIKE = 2
"""So many topics of one kind at which it does so: then it does at all of the kind."""
_AT_ONCE = 5.0
"""Seconds within which a broker closes the connection that it closes because of a publish."""
_SET_ASIDE = 3600.0
"""Seconds until such a topic is tried again."""
_MOST_TOPICS = 1000
"""Topics that are set aside, and of which is remembered that they were reported."""

_logger = logging.getLogger(__name__)


class BrokerLimits:
    """The limits of one broker; outlives its connections, as the will has to respect them before CONNACK comes."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.qos = 2
        """The highest QoS."""
        self.retains = True
        """Whether retained messages are accepted."""
        self._longest = _LONGEST
        self._reported: set[str] = set()
        self._losses = 0
        """Connections in a row that the broker closed upon a publish, as it seems."""
        self._hurried = 0
        """Connections that were made without a longer pause since then."""
        self._suspect = ""
        self._strikes = 0
        """Connections in a row that it closed with nothing but `_suspect` on its way."""
        self._aside: dict[str, float] = {}
        """Topics at which the broker closes the connection, and when that was proved."""
        self._kinds: Counter[tuple[str, int, str]] = Counter()
        """How many of them there are of each kind."""

    def announced(self, properties: object) -> None:
        """CONNACK came with these properties; what is missing there is not limited."""
        self.qos = getattr(properties, "MaximumQoS", 2)
        self.retains = bool(getattr(properties, "RetainAvailable", 1))
        self._longest = getattr(properties, "MaximumPacketSize", _LONGEST)

    def refused_will(self, code: int) -> bool:
        """CONNACK refused with this code; says whether another attempt, with what was learned, may succeed."""
        before = (self.qos, self.retains)
        if code == _QOS_NOT_SUPPORTED:
            self.qos = 0
        elif code == _RETAIN_NOT_SUPPORTED:
            self.retains = False
        return before != (self.qos, self.retains)

    def problems(self, wanted_qos: int) -> Iterable[str]:
        """What the announced limits cost, for people."""
        if not self.retains:
            yield (
                "the broker keeps no retained messages: whoever connects later, such as a restarted Home Assistant, "
                "sees no state before it changes, and 'offline' does not stay; allow them (retain_available in "
                "Mosquitto)"
            )
        if self.qos < wanted_qos:
            yield f"the broker takes QoS {self.qos} at most, so mqtt.qos {wanted_qos} is not used: messages may be lost"

    @property
    def left_out(self) -> str | None:
        """Which topics are not published as the broker closes the connection at them, for people; None: none."""
        if not self._aside:
            return None
        more = f" and {len(self._aside) - 1} more topics" if len(self._aside) > 1 else ""
        return f"the broker closes the connection at {next(iter(self._aside))!a}{more}, so it is not published"

    @property
    def one_at_a_time(self) -> bool:
        """Whether to wait for each acknowledgement, to find out at which publish the broker closes the connection."""
        return self._losses >= _SUSPICIOUS and self.qos > 0

    @property
    def searches(self) -> bool:
        """Whether the broker closed the last connection upon a publish, as it seems, and it is not known which."""
        return self._losses > 0

    def hurries(self) -> bool:
        """Whether to connect again soon: the broker is there, and something is being found out."""
        self._hurried += 1
        return self.searches and self._hurried <= _MOST_HURRIED

    def takes(self, message: Message) -> bool:
        """Whether to send it at all: for some messages the broker would close the connection, after each connect."""
        size = len(message.payload) + len(message.topic.encode()) + _OVERHEAD
        if size > self._longest:
            self._report(
                message, f"{len(message.payload)} bytes are more than the broker takes in one message ({self._longest})"
            )
            return False
        if self._aside and self._is_aside(message.topic):
            self._report(message, "the broker closes the connection at such topics")
            return False
        return True

    def closed(self, unacknowledged: Sequence[Message] | None, *, one_at_a_time: bool, after: float) -> None:
        """The broker closed a connection, `after` so many seconds since the last publish.

        `unacknowledged` was on its way, in the order of sending, or was denied; None: not known, as at QoS 0.
        """
        if after > _AT_ONCE or unacknowledged == []:
            self._losses = self._strikes = self._hurried = 0
            return
        self._losses += 1
        if not one_at_a_time or not unacknowledged:
            return
        suspect = unacknowledged[0]
        self._strikes = self._strikes + 1 if suspect.topic == self._suspect else 1
        self._suspect = suspect.topic
        if self._strikes >= _PROVED and len(self._aside) < _MOST_TOPICS:
            self._aside[suspect.topic] = self._monotonic()
            self._kinds[_kind(suspect.topic)] += 1
            self._losses, self._strikes = _SUSPICIOUS - 1, 0  # there may be more of them
            _logger.error(
                "the broker closes the connection whenever %s is published (%d bytes): it is not published any more, "
                "and tried again in an hour; may this login not write there, or is that more than the broker takes?",
                ascii(suspect.topic),
                len(suspect.payload),
            )

    def _is_aside(self, topic: str) -> bool:
        since = self._aside.get(topic)
        if since is None:
            return self._kinds[_kind(topic)] >= _ALIKE
        if self._monotonic() - since < _SET_ASIDE:
            return True
        del self._aside[topic]
        self._kinds[_kind(topic)] -= 1
        return False

    def _report(self, message: Message, why: str) -> None:
        known = message.topic in self._reported or len(self._reported) >= _MOST_TOPICS
        if not known:
            self._reported.add(message.topic)
        _logger.log(logging.DEBUG if known else logging.WARNING, "%s is not published: %s", ascii(message.topic), why)


def _kind(topic: str) -> tuple[str, int, str]:
    """Topics that differ only in the middle, by user or device, are of one kind: brokers treat them alike."""
    levels = topic.split("/")
    return levels[0], len(levels), levels[-1]
