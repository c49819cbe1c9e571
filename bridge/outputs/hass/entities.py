"""The entities of each device, as a table: one row per entity, one function per topic it reads.

Rules of Home Assistant's MQTT discovery (2026.11): every component needs `platform` and `unique_id`; an enum sensor
needs `options` and keeps its old state on any value outside them, while the payload `None` makes it unknown; `name:
null` makes an entity the device's main one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.domain.model import State
from bridge.topics import Topics


@dataclass(frozen=True, slots=True)
class Entity:
    """One component of a device; `topic` tells where its state is published, `options` are Home Assistant's keys."""

    key: str
    platform: str
    topic: Callable[[Topics, str], str]
    options: Mapping[str, object] = field(default_factory=dict)


_CONNECTIVITY = {"payload_on": "online", "payload_off": "offline", "device_class": "connectivity"}

USER = (
    Entity(
        "state",
        "sensor",
        Topics.user_state,
        {
            "name": None,
            "icon": "mdi:phone",
            "device_class": "enum",
            "options": [state.value for state in State if state is not State.UNKNOWN],
            "value_template": "{{ None if value == 'unknown' else value }}",
        },
    ),
    Entity("busy", "binary_sensor", Topics.user_busy, {"name": "Busy", "icon": "mdi:phone-in-talk"}),
    Entity(
        "monitored",
        "binary_sensor",
        Topics.user_monitor,
        {
            "name": "Monitored",
            "icon": "mdi:eye",
            "entity_category": "diagnostic",
            "value_template": "{{ None if value_json is none else 'ON' if value_json else 'OFF' }}",
        },
    ),
)

BRIDGE = (
    Entity(
        "pbx",
        "binary_sensor",
        lambda topics, _: topics.bridge_pbx,
        {"name": "PBX connection", "entity_category": "diagnostic"} | _CONNECTIVITY,
    ),
    Entity(
        "users",
        "sensor",
        lambda topics, _: topics.bridge_users,
        {
            "name": "Users",
            "icon": "mdi:account-group",
            "entity_category": "diagnostic",
            "state_class": "measurement",
            "value_template": "{{ value_json | length }}",
        },
    ),
    Entity(
        "users_busy",
        "sensor",
        lambda topics, _: topics.bridge_users_busy,
        {"name": "Users busy", "icon": "mdi:account-voice", "state_class": "measurement"},
    ),
)
