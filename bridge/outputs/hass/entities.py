"""The entities of each device, as a table: one row per entity, one function per topic it reads or writes.

Rules of Home Assistant's MQTT discovery (2026.11): every component needs `platform` and `unique_id`; an enum sensor
needs `options` and ignores any value outside them, while the payload `None` makes it unknown; `name:
null` makes an entity the device's main one. An entity that changes its platform under the same key is orphaned, so a
select and the sensor that replaces it where commands are off have different keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.domain.light import LightWord, QueueWord
from bridge.domain.model import CallEventType, State
from bridge.log import LogLevel
from bridge.topics import Topics

Topic = Callable[[Topics, str], str]
"""From the topics and the user's number or the group's name."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One component of a device; `options` are Home Assistant's keys."""

    key: str
    platform: str
    options: Mapping[str, object]
    state: Topic | None = None
    """Where its state is published."""
    command: Topic | None = None
    """Where Home Assistant publishes commands."""
    slug: str | None = None
    """What stands in entity ids for the key, where that is a word of ours."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A device trigger: what an automation of Home Assistant can begin with; `template` gives `payload` for it."""

    type: str
    template: str
    payload: str


_STATES = [state.value for state in State if state is not State.UNKNOWN]
_CONNECTIVITY = {"payload_on": "online", "payload_off": "offline", "device_class": "connectivity"}
_DIAGNOSTIC = {"entity_category": "diagnostic"}
_AT_FIRST_OFF = {"enabled_by_default": False}
_TOTAL = {"state_class": "total_increasing"}


def _flag(key: str, on: str) -> str:
    """A value template for a binary sensor: ON where the expression `on` is true, unknown where `key` is null."""
    return f"{{{{ None if value_json.{key} is none else 'ON' if {on} else 'OFF' }}}}"


USER = (
    Entity(
        "state",
        "sensor",
        {
            "name": None,
            "icon": "mdi:phone",
            "device_class": "enum",
            "options": _STATES,
            "value_template": "{{ None if value == 'unknown' else value }}",
        },
        Topics.user_state,
    ),
    Entity("busy", "binary_sensor", {"name": "Busy", "icon": "mdi:phone-in-talk"}, Topics.user_busy),
    Entity(
        "on_call",
        "binary_sensor",
        {
            "name": "On call",
            "icon": "mdi:phone-in-talk-outline",
            "value_template": (
                "{{ None if value == 'unknown' else 'ON' if value in ('on_call', 'on_hold') else 'OFF' }}"
            ),
        },
        Topics.user_state,
    ),
    Entity(
        "registered",
        "binary_sensor",
        {
            "name": "Registered",
            "device_class": "connectivity",
            "value_template": _flag("registered", "value_json.registered"),
            **_DIAGNOSTIC,
        },
        Topics.user,
    ),
    Entity(
        "since",
        "sensor",
        {"name": "Since", "device_class": "timestamp", "value_template": "{{ value_json.since }}", **_AT_FIRST_OFF},
        Topics.user,
    ),
    Entity(
        "in_call_with",
        "sensor",
        {
            "name": "In call with",
            "icon": "mdi:account-voice",
            "value_template": "{{ (value_json.call.name or value_json.call.party) if value_json.call else None }}",
            **_AT_FIRST_OFF,
        },
        Topics.user,
    ),
    Entity(
        "calls",
        "sensor",
        {
            "name": "Calls",
            "icon": "mdi:phone-plus",
            "state_class": "measurement",
            "value_template": "{{ value_json.calls }}",
            **_AT_FIRST_OFF,
        },
        Topics.user,
    ),
    Entity(
        "missed_today",
        "sensor",
        {"name": "Missed today", "icon": "mdi:phone-missed", "value_template": "{{ value_json.missed }}", **_TOTAL},
        Topics.user_today,
    ),
    Entity(
        "calls_today",
        "sensor",
        {
            "name": "Calls today",
            "icon": "mdi:phone-log",
            "value_template": "{{ value_json.missed + value_json.answered + value_json.made }}",
            **_TOTAL,
        },
        Topics.user_today,
    ),
)

MONITORED = Entity(
    "monitored",
    "binary_sensor",
    {
        "name": "Monitored",
        "icon": "mdi:eye",
        "value_template": "{{ None if value_json is none else 'ON' if value_json else 'OFF' }}",
        **_DIAGNOSTIC,
        **_AT_FIRST_OFF,
    },
    Topics.user_monitor,
)


def call_event(*, enabled: bool) -> Entity:
    """Events of calls. Without `enabled` the entity is disabled until a user enables it in Home Assistant."""
    options: dict[str, object] = {
        "name": "Call",
        "icon": "mdi:phone-ring",
        "event_types": [kind.value for kind in CallEventType],
        "availability": [],  # with one, the last event would be shown as a new one after each reconnect
    }
    return Entity("call", "event", options if enabled else options | _AT_FIRST_OFF, Topics.user_call)


TRIGGERS = (
    Trigger("rings", "{{ value_json.event_type }}", "ringing"),
    Trigger("answers", "{{ value_json.event_type }}", "answered"),
    Trigger("call_ends", "{{ value_json.event_type }}", "ended"),
    Trigger("misses_a_call", "{{ value_json.outcome }}", "missed"),
)
"""Of each user, on the topic of call events."""


PROFILE = Entity(
    "profile",
    "sensor",
    {"name": "Profile", "icon": "mdi:account-clock", "value_template": "{{ value_json.profile }}"},
    Topics.user,
)
QUEUE = Entity(
    "queue",
    "binary_sensor",
    {
        "name": "Queue",
        "icon": "mdi:account-multiple-check",
        "value_template": _flag("queue", "value_json.queue == 'logged_in'"),
    },
    Topics.user,
)

QUEUE_SWITCH = Entity(
    "queue_switch",
    "switch",
    {
        "name": "Queue",
        "icon": "mdi:account-multiple-check",
        "value_template": "{{ value_json.queue }}",
        "state_on": "logged_in",
        "state_off": "logged_out",
        "payload_on": '{"queue":"logged_in"}',
        "payload_off": '{"queue":"logged_out"}',
    },
    Topics.user,
    Topics.user_set,
    slug="queue",
)


def profile_select(profiles: tuple[str, ...]) -> Entity:
    """The profile where it can be changed; a profile that is not one of `profiles` is shown as unknown."""
    return Entity(
        "profile_select",
        "select",
        {
            "name": "Profile",
            "icon": "mdi:account-clock",
            "options": list(profiles),
            "value_template": f"{{{{ value_json.profile if value_json.profile in {list(profiles)!r} else None }}}}",
            "command_template": '{"profile":{{ value | tojson }}}',
        },
        Topics.user,
        Topics.user_set,
        slug="profile",
    )


GROUP = (
    Entity(
        "busy",
        "binary_sensor",
        {"name": None, "icon": "mdi:account-group"},
        lambda topics, name: topics.group_busy(name),
    ),
    Entity(
        "available",
        "sensor",
        {
            "name": "Available",
            "icon": "mdi:account-check",
            "state_class": "measurement",
            "value_template": "{{ value_json.available | length }}",
        },
        lambda topics, name: topics.group(name),
    ),
    Entity(
        "busy_count",
        "sensor",
        {
            "name": "Busy count",
            "icon": "mdi:account-multiple-minus",
            "state_class": "measurement",
            "value_template": "{{ value_json.busy | length }}",
            **_AT_FIRST_OFF,
        },
        lambda topics, name: topics.group(name),
    ),
)

CALLERS_WAITING = (
    Entity(
        "waiting",
        "sensor",
        {"name": "Waiting", "icon": "mdi:human-queue", "state_class": "measurement"},
        lambda topics, number: topics.queue_waiting(number),
    ),
    Entity(
        "longest_wait",
        "sensor",
        {
            "name": "Longest wait",
            "icon": "mdi:timer-sand",
            "device_class": "timestamp",
            "value_template": "{{ value_json.longest_since }}",
        },
        lambda topics, number: topics.queue(number),
    ),
    Entity(
        "agents_available",
        "sensor",
        {
            "name": "Agents available",
            "icon": "mdi:face-agent",
            "state_class": "measurement",
            "value_template": "{{ None if value_json.agents is none else value_json.agents.available | length }}",
        },
        lambda topics, number: topics.queue(number),
    ),
)
"""A queue's device."""

LIGHT = (
    Entity(
        "shows",
        "sensor",
        {
            "name": None,
            "icon": "mdi:lightbulb",
            "device_class": "enum",
            "options": [*_STATES, *(other.value for other in (*QueueWord, *LightWord))],
            "value_template": "{{ None if value_json.shows == 'unknown' else value_json.shows }}",
        },
        lambda topics, name: topics.light_state(name),
    ),
    Entity(
        "pause",
        "switch",
        {
            "name": "Pause",
            "icon": "mdi:pause-circle",
            "value_template": "{{ value_json.paused }}",
            "state_on": "True",
            "state_off": "False",
            "payload_on": '{"pause":true}',
            "payload_off": '{"pause":false}',
            "entity_category": "config",
        },
        lambda topics, name: topics.light_state(name),
        lambda topics, name: topics.light_set(name),
    ),
    Entity(
        "override",
        "text",
        {
            "name": "Override",
            "icon": "mdi:format-color-fill",
            "max": 20,
            "value_template": "{{ (value_json.override.color or 'off') if value_json.override else '' }}",
            "command_template": '{"override":{{ ({"color": value} if value else none) | tojson }}}',
            "entity_category": "config",
        },
        lambda topics, name: topics.light_state(name),
        lambda topics, name: topics.light_set(name),
    ),
)

LIGHT_CONNECTED = Entity(
    "connected",
    "binary_sensor",
    {
        "name": "Connected",
        "device_class": "connectivity",
        "value_template": _flag("online", "value_json.online"),
        **_DIAGNOSTIC,
    },
    lambda topics, name: topics.light_state(name),
)
"""Where the light says whether it is online."""

SYSTEM = (
    Entity(
        "calls",
        "sensor",
        {
            "name": "Calls",
            "icon": "mdi:phone-in-talk",
            "state_class": "measurement",
            "value_template": "{{ value_json.calls }}",
        },
        lambda topics, _: topics.system,
    ),
    Entity(
        "trunks_online",
        "sensor",
        {
            "name": "Trunks online",
            "icon": "mdi:transit-connection-variant",
            "state_class": "measurement",
            "value_template": "{{ value_json.trunks_online }}",
            **_DIAGNOSTIC,
        },
        lambda topics, _: topics.system,
    ),
    Entity(
        "trunk_problem",
        "binary_sensor",
        {
            "name": "Trunk problem",
            "device_class": "problem",
            "value_template": (
                "{{ None if value_json.trunks_online is none or value_json.trunks is none else "
                "'ON' if value_json.trunks_online < value_json.trunks else 'OFF' }}"
            ),
            **_DIAGNOSTIC,
        },
        lambda topics, _: topics.system,
    ),
    Entity(
        "licence_expires",
        "sensor",
        {
            "name": "Licence expires",
            "device_class": "timestamp",
            "value_template": "{{ value_json.licence_expires }}",
            **_DIAGNOSTIC,
        },
        lambda topics, _: topics.system,
    ),
)
"""Of the bridge's device, where the PBX says something about itself."""

BRIDGE = (
    Entity(
        "pbx",
        "binary_sensor",
        {"name": "PBX connection"} | _CONNECTIVITY | _DIAGNOSTIC,
        lambda topics, _: topics.bridge_pbx,
    ),
    Entity(
        "users",
        "sensor",
        {
            "name": "Users",
            "icon": "mdi:account-group",
            "state_class": "measurement",
            "value_template": "{{ value_json | length }}",
            **_DIAGNOSTIC,
        },
        lambda topics, _: topics.bridge_users,
    ),
    Entity(
        "users_busy",
        "sensor",
        {"name": "Users busy", "icon": "mdi:account-voice", "state_class": "measurement"},
        lambda topics, _: topics.bridge_users_busy,
    ),
    Entity(
        "pbx_version",
        "sensor",
        {
            "name": "Version",
            "icon": "mdi:numeric",
            "value_template": "{{ value_json.pbx_version }}",
            **_DIAGNOSTIC,
        },
        lambda topics, _: topics.bridge_info,
    ),
    Entity(
        "started",
        "sensor",
        {
            "name": "Started",
            "device_class": "timestamp",
            "value_template": "{{ value_json.started }}",
            **_DIAGNOSTIC,
        },
        lambda topics, _: topics.bridge_info,
    ),
    Entity(
        "problem",
        "binary_sensor",
        {
            "name": "Problem",
            "device_class": "problem",
            "value_template": "{{ 'ON' if value_json.failing else 'OFF' }}",
            **_DIAGNOSTIC,
        },
        lambda topics, _: topics.bridge_info,
    ),
    Entity(
        "refresh",
        "button",
        {"name": "Refresh", "icon": "mdi:refresh", "payload_press": "{}", **_DIAGNOSTIC},
        command=lambda topics, _: topics.request("refresh"),
    ),
    Entity(
        "log_level",
        "select",
        {
            "name": "Log level",
            "icon": "mdi:text-box-search",
            "entity_category": "config",
            "options": [level.value for level in LogLevel],
            "command_template": '{"level":{{ value | tojson }}}',
        },
        lambda topics, _: topics.bridge_log_level,
        lambda topics, _: topics.request("log_level"),
    ),
)
