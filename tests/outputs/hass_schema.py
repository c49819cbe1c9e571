"""What Home Assistant 2026.11 accepts as a device discovery payload, as JSON Schema; strict where it is strict.

Sources: its MQTT documentation and the behaviour of a running one. Component keys are limited to those the bridge has
reason to use: Home Assistant itself drops unknown ones without a message, which hides typing mistakes.
"""

from typing import Any

from jsonschema import Draft202012Validator

_TOPIC = {"type": "string", "pattern": r"^[^+#\0]+$", "minLength": 1}
_TEXT = {"type": "string", "minLength": 1}

_COMMON: dict[str, Any] = {
    "platform": _TEXT,
    "default_entity_id": {"type": "string", "pattern": "^[a-z_]+[.][a-z0-9_]+$"},
    "unique_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    "name": {"type": ["string", "null"]},
    "icon": {"type": "string", "pattern": "^mdi:[a-z-]+$"},
    "state_topic": _TOPIC,
    "value_template": _TEXT,
    "entity_category": {"const": "diagnostic"},
}
_COMMAND: dict[str, Any] = {"command_topic": _TOPIC, "command_template": _TEXT}


def _component(platform: str, *, required: tuple[str, ...] = ("state_topic",), **own: Any) -> dict[str, Any]:
    return {
        "if": {"properties": {"platform": {"const": platform}}},
        "then": {
            "properties": _COMMON | own,
            "required": ["platform", "unique_id", "name", *required],
            "additionalProperties": False,
        },
    }


_SENSOR = _component(
    "sensor",
    device_class={"enum": ["enum", "timestamp"]},
    options={"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True},
    state_class={"enum": ["measurement", "total_increasing"]},
    enabled_by_default={"type": "boolean"},
)
_SENSOR["then"]["allOf"] = [
    {"if": {"required": ["device_class"]}, "then": {"not": {"required": ["state_class"]}}},
    {
        "if": {"required": ["device_class"], "properties": {"device_class": {"const": "enum"}}},
        "then": {"required": ["options"]},
    },
    {"if": {"required": ["options"]}, "then": {"required": ["device_class"]}},
]
_BINARY_SENSOR = _component(
    "binary_sensor",
    device_class={"enum": ["connectivity", "problem"]},
    group={"type": "array", "items": _TEXT, "uniqueItems": True, "maxItems": 200},
    payload_on=_TEXT,
    payload_off=_TEXT,
    enabled_by_default={"type": "boolean"},
)
_EVENT = _component(
    "event",
    event_types={"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True},
    availability={"const": []},
    enabled_by_default={"type": "boolean"},
)
_SELECT = _component(
    "select",
    required=("state_topic", "command_topic", "options"),
    options={"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True},
    entity_category={"const": "config"},
    **_COMMAND,
)
_SWITCH = _component(
    "switch",
    required=("state_topic", "command_topic"),
    entity_category={"const": "config"},
    **dict.fromkeys(("payload_on", "payload_off", "state_on", "state_off"), _TEXT),
    **_COMMAND,
)
_BUTTON = _component("button", required=("command_topic",), payload_press=_TEXT, **_COMMAND)
_TEXT_FIELD = _component(
    "text",
    required=("state_topic", "command_topic"),
    max={"type": "integer", "maximum": 255},
    entity_category={"const": "config"},
    **_COMMAND,
)
_TRIGGER: dict[str, Any] = {
    "if": {"properties": {"platform": {"const": "device_automation"}}},
    "then": {
        "properties": {
            "platform": _TEXT,
            "automation_type": {"const": "trigger"},
            "topic": _TOPIC,
            **dict.fromkeys(("type", "subtype", "payload", "value_template"), _TEXT),
        },
        "required": ["automation_type", "topic", "type", "subtype"],
        "additionalProperties": False,
    },
}
_ALL = {
    "sensor": _SENSOR,
    "binary_sensor": _BINARY_SENSOR,
    "event": _EVENT,
    "select": _SELECT,
    "switch": _SWITCH,
    "button": _BUTTON,
    "text": _TEXT_FIELD,
    "device_automation": _TRIGGER,
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["device", "origin", "components"],
    "properties": {
        "device": {
            "type": "object",
            "additionalProperties": False,
            "required": ["identifiers", "name"],
            "properties": {
                "identifiers": {"type": "array", "items": _TEXT, "minItems": 1},
                "configuration_url": {"type": "string", "pattern": "^https?://"},
            }
            | dict.fromkeys(
                (
                    *("name", "manufacturer", "model", "model_id", "serial_number", "sw_version", "hw_version"),
                    *("via_device", "suggested_area"),
                ),
                _TEXT,
            ),
        },
        "origin": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {"name": {"const": "3cx2mqtt"}, "sw_version": _TEXT, "support_url": _TEXT},
        },
        "availability": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["topic"],
                "properties": {"topic": _TOPIC},
            },
        },
        "availability_mode": {"enum": ["all", "any", "latest"]},
        "components": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "required": ["platform"],
                "properties": {"platform": {"enum": list(_ALL)}},
                "if": {"minProperties": 2},  # a platform alone removes the component
                "then": {"allOf": list(_ALL.values())},
            },
        },
    },
}

VALIDATOR = Draft202012Validator(SCHEMA)
