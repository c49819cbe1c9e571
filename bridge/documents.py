"""What is published about users, calls, queues and groups, as JSON: the same on MQTT, over HTTP and in commands."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from bridge.domain.clock import utc_text
from bridge.domain.model import CallEvent, ShownCall, State, User
from bridge.domain.queues import QueueState
from bridge.domain.today import Today
from bridge.topics import to_json

Member = tuple[str, State, bool | None]


def user_facts(user: User) -> dict[str, object]:
    """The user's document but for the monitor row. All keys are always present; what is not known is null."""
    return {
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


def user_document(user: User) -> str:
    """The user's JSON document with the monitor row, which is JSON already."""
    row = "null" if user.monitor in {None, "{}"} else user.monitor
    return f'{to_json(user_facts(user))[:-1]},"monitor":{row}}}'


def user_documents(users: Iterable[User]) -> list[dict[str, Any]]:
    """The documents as JSON values."""
    return [json.loads(encode(user_document(user))) for user in users]


def call_event(event: CallEvent) -> dict[str, object]:
    """An event of a call."""
    return {
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


def today_document(today: Today) -> dict[str, object]:
    """What a user's calls of a day add up to."""
    last = today.last_missed
    return {
        "date": today.date.isoformat(),
        "missed": today.missed,
        "answered": today.answered,
        "made": today.made,
        "talk_time": today.talk_time,
        "last_missed": None if last is None else {"at": utc_text(last.at), "party": last.party},
    }


def queue_document(queue: QueueState) -> dict[str, object]:
    """A queue: who waits, and who answers."""
    since = queue.longest_since
    return {
        "number": queue.number,
        "name": queue.name,
        "waiting": queue.waiting,
        "longest_since": None if since is None else utc_text(since),
        "agents": None if queue.agents is None else asdict(queue.agents),
    }


def group_document(members: Iterable[Member]) -> dict[str, list[str]]:
    """A group: the numbers of its members by state, and of those who are busy."""
    by_state: dict[str, list[str]] = {"busy": [], **{state: [] for state in State}}
    for dn, state, busy in members:  # once, as a group may have 10,000
        by_state[state].append(dn)
        if busy:
            by_state["busy"].append(dn)
    return by_state


def encode(text: str) -> bytes:
    """UTF-8. Lone surrogates, which JSON escapes can produce and UTF-8 cannot encode, become question marks."""
    return text.encode("utf-8", "replace")


def _call(call: ShownCall) -> dict[str, object]:
    return {
        "status": call.status,
        "direction": call.direction,
        "party": call.party,
        "name": call.name,
        "since": utc_text(call.since),
    }
