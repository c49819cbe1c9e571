"""Passes changes through the outputs to the publisher."""

from collections.abc import Callable, Iterable

from bridge.domain.message import Message
from bridge.domain.model import Bridge, CallEvent, Group, User
from bridge.domain.queues import QueueState
from bridge.domain.today import Today
from bridge.ports import Output, Publisher


class Rendering:
    """Publishes what the outputs make of a change.

    While the broker is not in sync, nothing is rendered: the resynchronisation that follows publishes a snapshot.
    """

    def __init__(self, outputs: tuple[Output, ...], publisher: Publisher, observers: tuple[Output, ...] = ()) -> None:
        """`observers` see every change, with the broker or without; what they render is dropped."""
        self._outputs = outputs
        self._publisher = publisher
        self._observers = observers

    def user(self, before: User | None, after: User | None) -> None:
        """A user has changed, is new or is gone."""
        self._publish(lambda output: output.user(before, after))

    def group(self, before: Group | None, after: Group) -> None:
        """A group has changed."""
        self._publish(lambda output: output.group(before, after))

    def queue(self, before: QueueState | None, after: QueueState | None) -> None:
        """A queue has changed, is new or is gone."""
        self._publish(lambda output: output.queue(before, after))

    def bridge(self, before: Bridge, after: Bridge) -> None:
        """What is published about the bridge has changed."""
        self._publish(lambda output: output.bridge(before, after))

    def call(self, user: User, event: CallEvent) -> None:
        """Something happened to a call."""
        self._publish(lambda output: output.call(user, event))

    def today(self, dn: str, before: Today | None, after: Today) -> None:
        """Another call of the user counts, or a day has begun."""
        self._publish(lambda output: output.today(dn, before, after))

    def _publish(self, render: Callable[[Output], Iterable[Message]]) -> None:
        for observer in self._observers:
            for _ in render(observer):
                pass
        if self._publisher.in_sync:
            for output in self._outputs:
                for message in render(output):
                    self._publisher.publish(message)
