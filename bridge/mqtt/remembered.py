"""What the JSON documents that an earlier process left on the broker say."""

import json
from datetime import date

from bridge.domain.clock import unix_seconds
from bridge.domain.dn import why_unpublishable
from bridge.domain.model import State
from bridge.domain.remembered import Remembered
from bridge.domain.today import MissedCall, Today


def remembered_user(document: dict[str, object] | None) -> Remembered | None:
    """The part of a user's document that a new process goes on with; None: it is malformed."""
    if document is None:
        return None
    name, department = document.get("name"), document.get("department")
    try:
        since = int(unix_seconds(str(document.get("since"))))
        state = State(str(document.get("state")))
    except ValueError:
        return None
    return Remembered(
        name if isinstance(name, str) else None, state, since, department if isinstance(department, str) else None
    )


def listed_numbers(users: bytes) -> tuple[str, ...]:
    """The numbers in `bridge/users`; nothing where it is malformed."""
    try:
        roster = json.loads(users)
    except (ValueError, RecursionError):
        return ()
    rows = roster if isinstance(roster, list) else []
    numbers = (row.get("number") for row in rows if isinstance(row, dict))
    return tuple(each for each in numbers if isinstance(each, str) and why_unpublishable(each) is None)


def counted_today(document: dict[str, object] | None) -> Today | None:
    """A user's calls of a day; None: it is malformed."""
    if document is None:
        return None
    counts = [document.get(key) for key in ("missed", "answered", "made", "talk_time")]
    last = document.get("last_missed")
    try:
        missed, answered, made, talk_time = (_count(each) for each in counts)
        return Today(
            date.fromisoformat(str(document.get("date"))),
            missed,
            answered,
            made,
            talk_time,
            _last_missed(last) if isinstance(last, dict) else None,
        )
    except ValueError:
        return None


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(value)
    return value


def _last_missed(content: dict[str, object]) -> MissedCall:
    party = content.get("party")
    return MissedCall(int(unix_seconds(str(content.get("at")))), party if isinstance(party, str) else None)
