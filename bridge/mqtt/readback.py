"""What the broker retains of the bridge's own topics: compared with what should be, and read for what was."""

import json
import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from bridge.domain.message import Message, Rank
from bridge.domain.model import Remembered, State
from bridge.topics import ORIGIN, Topics

_logger = logging.getLogger(__name__)


class Readback:
    """Collects retained messages after connecting; keeps a digest of each, so that 10,000 users stay cheap.

    The bridge owns discovery payloads with its own origin and an identifier of exactly its `pbx.name`, and what lies
    under a base topic whose `bridge/info` names that `pbx.name`. Nothing else is ever cleared.
    """

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._digests: dict[str, int] = {}
        self._documents: dict[str, bytes] = {}
        self._info: dict[str, object] | None = None

    def add(self, topic: str, payload: bytes) -> None:
        """Take in one retained message."""
        if self._topics.is_discovery(topic) and not self._owns_discovery(payload):
            return
        self._digests[topic] = hash(payload)
        if topic == self._topics.bridge_info:
            self._info = _object(payload)
        elif self._topics.document_of(topic) is not None:
            self._documents[topic] = payload

    @property
    def owner(self) -> str | None:
        """The `pbx.name` that owns everything under the base topic; None where nobody has signed."""
        pbx = (self._info or {}).get("pbx")
        name = pbx.get("name") if isinstance(pbx, dict) else None
        return name if isinstance(name, str) else None

    @property
    def options(self) -> object:
        """The options in force when `bridge/info` was written."""
        return (self._info or {}).get("options")

    def remembered(self) -> dict[str, Remembered]:
        """The users that this bridge had published, by DN; documents that make no sense are left out."""
        if self.owner != self._topics.pbx_name:
            return {}
        found = {}
        for topic, payload in self._documents.items():
            dn, past = self._topics.document_of(topic), _remembered(_object(payload))
            if dn is not None and past is not None:
                found[dn] = past
        return found

    def difference(self, wanted: Iterable[Message]) -> Iterator[Message]:
        """What to publish so that the broker retains `wanted`, and the clearing of what is no longer true.

        Messages of rank HELLO are always among it. `bridge/state` is left to the session, which says it last.
        """
        self._digests.pop(self._topics.bridge_state, None)
        for message in wanted:
            digest = self._digests.pop(message.topic, None)
            if digest != hash(message.payload) or message.rank is Rank.HELLO:
                yield message
        ours = self.owner == self._topics.pbx_name
        for topic in self._digests:
            if self._topics.is_discovery(topic):
                yield Message(topic, b"", Rank.BRIDGE)
            elif ours:
                yield Message(topic, b"", Rank.DISCOVERY)

    def _owns_discovery(self, payload: bytes) -> bool:
        content = _object(payload) or {}
        origin, device = content.get("origin"), content.get("device")
        if not isinstance(origin, dict) or origin.get("name") != ORIGIN or not isinstance(device, dict):
            return False
        prefix = f"{self._topics.device_prefix}_"
        identifiers = device.get("identifiers")
        return isinstance(identifiers, list) and any(
            isinstance(identifier, str) and identifier.startswith(prefix) for identifier in identifiers
        )


def _object(payload: bytes) -> dict[str, object] | None:
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _remembered(document: dict[str, object] | None) -> Remembered | None:
    if document is None:
        return None
    name = document.get("name")
    try:
        since = datetime.strptime(str(document.get("since")), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        state = State(str(document.get("state")))
    except ValueError:
        return None
    return Remembered(name if isinstance(name, str) else None, state, int(since.timestamp()))
