"""The bridge's own topics: a JSON document and plain values per user and group, and those about the bridge itself."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bridge import __version__
from bridge.domain.clock import utc_text
from bridge.domain.message import Message, Rank
from bridge.domain.model import Bridge, CallEvent, Group, ShownCall, State, User
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
            yield Message(self._topics.user(dn), encode(document(after)), Rank.DOCUMENT)
        if self._monitor and (before is None or before.monitor != after.monitor):
            yield Message(self._topics.user_monitor(dn), encode(after.monitor or "null"), Rank.DETAIL)

    def call(self, user: User, event: CallEvent) -> Iterator[Message]:
        """An event of a call: never retained, as it would be taken for a new one later, and at least QoS 1."""
        content = {
            "event_type": event.event_type,
            "id": event.id,
            "answered": event.answered,
            "outcome": event.outcome,
            "answered_by": event.answered_by,
            "direction": event.direction,
            "party": event.party,
            "name": event.name,
            "via": event.via,
            "duration": event.duration,
        }
        topic = self._topics.user_call(user.number)
        yield Message(topic, encode(to_json(content)), Rank.STATE, retain=False, least_qos=1)

    def today(self, dn: str, before: Today | None, after: Today) -> Iterator[Message]:
        """What the user's calls of the day add up to."""
        if before != after:
            yield Message(self._topics.user_today(dn), encode(to_json(_today(after))), Rank.DETAIL)

    def group(self, before: Group | None, after: Group) -> Iterator[Message]:
        """Whether a member is busy, and which members are in which state."""
        if before is None or before.busy is not after.busy:
            yield Message(self._topics.group_busy(after.name), _BUSY[after.busy], Rank.BUSY)
        if before != after:
            members: dict[str, list[str]] = {"busy": [], **{state: [] for state in State}}
            for dn, state, busy in after.members:  # once, as a group may have 10,000
                members[state].append(dn)
                if busy:
                    members["busy"].append(dn)
            yield Message(self._topics.group(after.name), encode(to_json(members)), Rank.DOCUMENT)

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
            yield Message(topics.queue(after.number), encode(to_json(_queue(after))), Rank.DOCUMENT)

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


def document(user: User) -> str:
    """The user's JSON document. All keys are always present; what is not known is null."""
    known = to_json(
        {
            "number": user.number,
            "name": user.name,
            "department": user.department,
            "state": user.state,
            "busy": user.busy,
            "since": utc_text(user.since),
            "reason": user.reason,
            "profile": user.profile,
            "registered": user.registered,
            "queue": user.queue,
            "call": None if user.call is None else _call(user.call),
            "calls": user.calls,
        }
    )
    row = "null" if user.monitor in {None, "{}"} else user.monitor
    return f'{known[:-1]},"monitor":{row}}}'


def _today(today: Today) -> dict[str, object]:
    last = today.last_missed
    return {
        "date": today.date.isoformat(),
        "missed": today.missed,
        "answered": today.answered,
        "made": today.made,
        "talk_time": today.talk_time,
        "last_missed": None if last is None else {"at": utc_text(last.at), "party": last.party},
    }


def _queue(queue: QueueState) -> dict[str, object]:
    since = queue.longest_since
    return {
        "number": queue.number,
        "name": queue.name,
        "waiting": queue.waiting,
        "longest_since": None if since is None else utc_text(since),
        "agents": None if queue.agents is None else asdict(queue.agents),
    }


def documents(users: Iterable[User]) -> list[dict[str, Any]]:
    """The documents as JSON values."""
    return [json.loads(encode(document(user))) for user in users]


def _call(call: ShownCall) -> dict[str, object]:
    return {
        "status": call.status,
        "direction": call.direction,
        "party": call.party,
        "name": call.name,
        "since": utc_text(call.since),
    }


def encode(text: str) -> bytes:
    """UTF-8. Lone surrogates, which JSON escapes can produce and UTF-8 cannot encode, become question marks."""
    return text.encode("utf-8", "replace")
