"""A dashboard for Home Assistant: a section for each department, a tile for each user."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from bridge.domain.model import State
from bridge.outputs.hass.discovery import area_of, entity_prefix, slug
from bridge.topics import Topics

_LOOKS = (
    ("green", "mdi:phone-check", (State.AVAILABLE,)),
    ("red", "mdi:phone-in-talk", (State.RINGING, State.DIALING, State.ON_CALL, State.ON_HOLD)),
    ("blue", "mdi:minus-circle", (State.DO_NOT_DISTURB,)),
    ("amber", "mdi:clock", (State.AWAY,)),
    ("disabled", "mdi:phone-off", (State.OFFLINE, State.UNKNOWN)),
)
"""A tile has one colour, so each user has one of each, of which Home Assistant shows the one that applies."""
_NOT_THERE = ["unknown", "unavailable"]


@dataclass(frozen=True, slots=True)
class Person:
    """What the dashboard shows of a user."""

    number: str
    name: str | None
    department: str | None


def dashboard(topics: Topics, title: str, people: Iterable[Person]) -> dict[str, object]:
    """The configuration of a dashboard, as Home Assistant's raw configuration editor takes it."""
    prefix = entity_prefix(topics)
    by_department = sorted(people, key=lambda each: (area_of(each.department) or "", each.name or each.number))
    sections = [
        {
            "type": "grid",
            "cards": [_heading(department or title), *(card for each in found for card in _cards(prefix, each))],
        }
        for department, found in groupby(by_department, key=lambda each: area_of(each.department))
    ]
    view = {"title": title, "path": "phones", "icon": "mdi:phone", "type": "sections", "max_columns": 4}
    return {"views": [{**view, "badges": _badges(prefix), "sections": sections}]}


def _heading(text: str) -> dict[str, object]:
    return {"type": "heading", "heading": text, "icon": "mdi:account-group"}


def _badges(prefix: str) -> list[dict[str, object]]:
    entities = (f"binary_sensor.{prefix}_bridge_pbx", f"sensor.{prefix}_bridge_users_busy")
    return [{"type": "entity", "entity": entity} for entity in entities]


def _cards(prefix: str, person: Person) -> Iterator[Mapping[str, object]]:
    own = f"{prefix}_{slug(person.number)}"
    state = f"sensor.{own}_state"
    name = person.name or person.number
    for color, icon, states in _LOOKS:
        shown = [each.value for each in states] + (_NOT_THERE if State.UNKNOWN in states else [])
        yield {
            "type": "tile",
            "entity": state,
            "name": name,
            "icon": icon,
            "color": color,
            "state_content": ["state", "last_changed"],
            "visibility": [{"condition": "state", "entity": state, "state": list(dict.fromkeys(shown))}],
        }
    caller = f"sensor.{own}_in_call_with"
    yield {
        "type": "tile",
        "entity": caller,
        "name": f"{name}: in call with",
        "color": "red",
        "visibility": [{"condition": "state", "entity": caller, "state_not": [*_NOT_THERE, "None"]}],
    }
