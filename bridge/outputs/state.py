"""The bridge's own topics: a JSON document and plain values per user and group, and those about the bridge itself."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from bridge import __version__
from bridge.documents import call_event, encode, group_document, queue_document, today_document, user_document
from bridge.domain.message import Message, Rank
from bridge.domain.model import Bridge, CallEvent, Group, User
from bridge.domain.queues import QueueState
from bridge.domain.today import Today
from bridge.topics import Topics, to_json

_BUSY = {True: b"ON", False: b"OFF", None: b"None"}
ONLINE, OFFLINE = b"online", b"offline"


class StateOutput:
    """Renders users, groups and the bridge. `about` is added to `bridge/info`, beside versions and sources."""

    def __init__(self, topics: Topics, about: Mapping[str, object], *, monitor: bool = True) -> None:
        """Without `monitor` the source of monitor rows is off, and so is their topic."""
        self._topics = topics
        self._about = about
        self._monitor = monitor

    def user(self, before: User | None, after: User | None) -> Iterator[Message]:
        """The state first, as lights wait for it; the large document last."""
        if after is None:
            yield from self._cleared(before)
            return
        dn = after.number
        if before is None or before.state is not after.state:
            yield Message(self._topics.user_state(dn), after.state.value.encode(), Rank.STATE)
        if before is None or before.busy is not after.busy:
            yield Message(self._topics.user_busy(dn), _BUSY[after.busy], Rank.BUSY)
        if before != after:
            yield Message(self._topics.user(dn), encode(user_document(after)), Rank.DOCUMENT)
        if self._monitor and (before is None or before.monitor != after.monitor):
            yield Message(self._topics.user_monitor(dn), encode(after.monitor or "null"), Rank.DETAIL)

    def call(self, user: User, event: CallEvent) -> Iterator[Message]:
        """An event of a call: never retained, as it would be taken for a new one later, and at least QoS 1."""
        topic, payload = self._topics.user_call(user.number), encode(to_json(call_event(event)))
        yield Message(topic, payload, Rank.STATE, retain=False, least_qos=1)

    def today(self, dn: str, before: Today | None, after: Today) -> Iterator[Message]:
        """What the user's calls of the day add up to."""
        if before != after:
            yield Message(self._topics.user_today(dn), encode(to_json(today_document(after))), Rank.DETAIL)

    def group(self, before: Group | None, after: Group) -> Iterator[Message]:
        """Whether a member is busy, and which members are in which state."""
        if before is None or before.busy is not after.busy:
            yield Message(self._topics.group_busy(after.name), _BUSY[after.busy], Rank.BUSY)
        if before != after:
            payload = encode(to_json(group_document(after.members)))
            yield Message(self._topics.group(after.name), payload, Rank.DOCUMENT)

    def queue(self, before: QueueState | None, after: QueueState | None) -> Iterator[Message]:
        """How many wait first, as lights wait for it."""
        topics = self._topics
        if after is None:
            if before is not None:  # behind the removal of the device, see _cleared
                for topic in (topics.queue_waiting(before.number), topics.queue(before.number)):
                    yield Message(topic, b"", Rank.DISCOVERY)
            return
        if before is None or before.waiting != after.waiting:
            yield Message(topics.queue_waiting(after.number), str(after.waiting).encode(), Rank.STATE)
        if before != after:
            yield Message(topics.queue(after.number), encode(to_json(queue_document(after))), Rank.DOCUMENT)

    def bridge(self, before: Bridge | None, after: Bridge) -> Iterator[Message]:
        """`bridge/info` first: it names the PBX that owns the topics."""
        topics = self._topics
        if before is None or _informed(before) != _informed(after):
            yield Message(topics.bridge_info, encode(to_json(self._info(after))), Rank.BRIDGE)
        if before is None or before.pbx_online is not after.pbx_online:
            payload = ONLINE if after.pbx_online else OFFLINE
            # In a snapshot last of all: it makes Home Assistant's entities available, so their states come before.
            yield Message(topics.bridge_pbx, payload, Rank.ONLINE if before is None else Rank.BRIDGE)
        if before is None or before.busy != after.busy:
            yield Message(topics.bridge_users_busy, str(after.busy).encode(), Rank.DETAIL)
        if before is None or before.roster != after.roster:
            yield Message(topics.bridge_users, encode(to_json(self._roster(after))), Rank.DETAIL)
        if after.system != (None if before is None else before.system):
            payload = b"" if after.system is None else encode(to_json(asdict(after.system)))
            yield Message(topics.system, payload, Rank.DETAIL if payload else Rank.DISCOVERY)
        # None: no source is asked for a total, so there is no topic.
        if after.count is not None and (before is None or before.count != after.count):
            yield Message(topics.bridge_count, str(after.count).encode(), Rank.DETAIL)

    def _cleared(self, gone: User | None) -> Iterator[Message]:
        if gone is None:
            return
        topics, dn = self._topics, gone.number
        # Behind the removal of the device: Home Assistant logs an error for an empty state of an existing entity.
        of_user = topics.user_state, topics.user_busy, topics.user, topics.user_monitor, topics.user_today
        for topic in (each(dn) for each in of_user):
            yield Message(topic, b"", Rank.DISCOVERY)

    def _info(self, bridge: Bridge) -> dict[str, object]:
        sources = {
            report.name: {"in_use": report.in_use} | ({"reason": report.reason} if report.reason else {})
            for report in bridge.sources
        }
        return {
            "version": __version__,
            "pbx_version": bridge.pbx_version,
            "sources": sources,
            **self._about,
            "failing": bridge.failing,
            "queues": bridge.queues,
            "shapes": bridge.shapes,
        }

    def _roster(self, bridge: Bridge) -> list[dict[str, str | None]]:
        return [
            {"number": dn, "name": name, "department": department, "topic": self._topics.user(dn)}
            for dn, name, department in bridge.roster
        ]


def _informed(bridge: Bridge) -> tuple[object, ...]:
    """What of the bridge `bridge/info` holds."""
    return bridge.sources, bridge.pbx_version, bridge.failing, bridge.queues, bridge.shapes
