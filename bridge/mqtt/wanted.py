"""What the broker should retain of the bridge's own topics, to tell from what it does."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from bridge.domain.message import Message


class Wanted:
    """A digest of each payload by topic, so that 10,000 users take little memory."""

    def __init__(self, digests: Mapping[str, int] = MappingProxyType({})) -> None:
        self._digests = dict(digests)

    def __contains__(self, topic: str) -> bool:
        return topic in self._digests

    def __iter__(self) -> Iterator[str]:
        return iter(self._digests)

    def copy(self) -> "Wanted":
        """As it is now."""
        return Wanted(self._digests)

    def same(self, topic: str, other: "Wanted") -> bool:
        """Whether the same should be retained under `topic` as `other` says."""
        return other.has(topic, self._digests.get(topic))

    def note(self, message: Message) -> None:
        """From now on the broker should retain this; with an empty payload, nothing under the topic."""
        if not message.retain:
            return
        if message.payload:
            self._digests[message.topic] = hash(message.payload)
        else:
            self._digests.pop(message.topic, None)

    def agrees(self, topic: str, payload: bytes) -> bool:
        """Whether `payload`, empty for nothing, is what the broker should retain under `topic`."""
        return self._digests.get(topic) == (hash(payload) if payload else None)

    def has(self, topic: str, digest: int | None) -> bool:
        """The same from the hash of a payload; None for nothing."""
        return self._digests.get(topic) == digest

    def forget(self, topic: str) -> None:
        """Nothing should be retained there any more."""
        self._digests.pop(topic, None)

    def clear(self) -> None:
        """Forget everything."""
        self._digests.clear()
