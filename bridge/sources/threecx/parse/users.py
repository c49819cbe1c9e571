"""Rows of Users, what may be written to them, departments, and the labels of custom profiles."""

from bridge.domain.model import Queue, UserRow
from bridge.errors import SourceProtocolError
from bridge.sources.threecx.parse.envelope import as_text, load

_PROFILE = "CurrentProfileName"
NUMBER_FIELD = USER_KEY = "Number"
USER_FIELDS = (
    USER_KEY,
    "Id",
    "DisplayName",
    "FirstName",
    "LastName",
    "Enabled",
    "IsRegistered",
    _PROFILE,
    "QueueStatus",
    "PrimaryGroupId",
    "Tags",
    "AIAgent",
)
"""The fields in $select: no others, since a whole User includes passwords. `AIAgent` is unknown to 20.0.8."""

CHANGEABLE = (USER_KEY, "Id", _PROFILE, "QueueStatus")
"""The fields to read back after a change."""

DEPARTMENT_FIELDS = ("Id", "Name")

_NON_PERSON_TAGS = {"principal", "faxserver", "ai"}
"""Tags of API clients, fax servers and AI agents."""
_QUEUE = {"loggedin": Queue.LOGGED_IN, "loggedout": Queue.LOGGED_OUT}
_QUEUE_WRITTEN = {Queue.LOGGED_IN: "LoggedIn", Queue.LOGGED_OUT: "LoggedOut"}


def user_row(raw: object) -> UserRow:
    """One row of Users; SourceProtocolError says why it is none."""
    if not isinstance(raw, dict):
        raise SourceProtocolError(f"a row that is no JSON object but {type(raw).__name__}")
    dn = as_text(raw.get(USER_KEY))
    if dn is None:
        raise SourceProtocolError("a user without a Number")
    profile = raw.get(_PROFILE)
    parts = (as_text(raw.get("FirstName")), as_text(raw.get("LastName")))
    tags = raw.get("Tags")
    words = tags if isinstance(tags, list) else str(tags or "").split(",")
    special = bool({str(word).strip().casefold() for word in words} & _NON_PERSON_TAGS)
    return UserRow(
        dn=dn,
        id=_integer(raw.get("Id")),
        name=as_text(raw.get("DisplayName")) or " ".join(part for part in parts if part) or None,
        registered=_boolean(raw.get("IsRegistered")),
        profile=as_text(profile),
        no_profile=_PROFILE in raw and (profile is None or (isinstance(profile, str) and not profile.strip())),
        queue=_QUEUE.get(str(raw.get("QueueStatus")).casefold()),
        department=_integer(raw.get("PrimaryGroupId")),
        special=special or raw.get("AIAgent") is True or raw.get("Enabled") is False,
    )


def user_changes(profile: str | None, queue: Queue | None) -> dict[str, object]:
    """The body of a PATCH of Users."""
    changes: dict[str, object] = {}
    if profile is not None:
        changes[_PROFILE] = profile
    if queue is not None:
        changes["QueueStatus"] = _QUEUE_WRITTEN[queue]
    return changes


def profile_labels(body: bytes) -> dict[str, str]:
    """The labels of custom profiles in GetSystemParameters(): {"Custom 1": "Lunch"}."""
    parameters = load(body)
    if not isinstance(parameters, dict):
        return {}
    found = {name: as_text(parameters.get(key)) for name, key in _LABELS.items()}
    return {name: label for name, label in found.items() if label is not None and label != name}


_LABELS = {"Custom 1": "Custom1Name", "Custom 2": "Custom2Name"}


def department(raw: object) -> tuple[int, str | None]:
    """Id and name of one row of Groups, XAPI's name for departments."""
    number = _integer(raw.get("Id")) if isinstance(raw, dict) else None
    if number is None or not isinstance(raw, dict):
        raise SourceProtocolError("a department without an Id")
    return number, as_text(raw.get("Name"))


def number(raw: object) -> str:
    """The Number of one row of Trunks, Queues, RingGroups or Users."""
    found = as_text(raw.get(NUMBER_FIELD)) if isinstance(raw, dict) else None
    if found is None:
        raise SourceProtocolError("a row without a Number")
    return found


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
