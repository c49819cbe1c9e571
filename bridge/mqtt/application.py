"""What a session serves: one bridge with its topics, its messages and what it is asked and notified of."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from bridge.domain.message import Message
from bridge.mqtt.connection import Receive
from bridge.mqtt.outbox import Outbox
from bridge.mqtt.retained import RetainedTopics
from bridge.ports import Liveness
from bridge.statistics import Statistics
from bridge.topics import Topics


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the session asks and notifies the application of."""

    prepare: Callable[[], Awaitable[None]]
    """Awaited once per connection, after read-back and before anything is published."""
    synchronise: Callable[[RetainedTopics], Iterable[Message]]
    """Gives what to publish, from what the broker retains, so that it retains what is true."""
    current: Callable[[Collection[str]], Iterable[Message]]
    """Gives what the broker should retain under these topics now."""
    filters: Sequence[str]
    """Topic filters to subscribe to, for `receive`."""
    request_filters: Sequence[str]
    """The same for requests and commands, which must not be retained."""
    watched_filters: Sequence[str]
    """Own topics that stay subscribed after read-back, for `receive`, as other clients may change them."""
    receive: Receive
    resend_denied: Callable[[frozenset[str]], None]
    """Called with topics of denied non-retained messages once they may be sent again."""
    farewell_messages: Callable[[], Iterable[Message]]
    """What to publish ahead of the last `offline`."""

    @property
    def lasting_filters(self) -> tuple[str, ...]:
        """All that stays subscribed as long as the connection stands."""
        return (*self.watched_filters, *self.filters, *self.request_filters)


@dataclass(frozen=True, slots=True)
class Application:
    """One bridge, for its session. A reload of the configuration replaces it as a whole."""

    topics: Topics
    outbox: Outbox
    hooks: Hooks
    statistics: Statistics
    liveness: Liveness
