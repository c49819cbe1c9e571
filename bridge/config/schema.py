"""The schema of the configuration, composed from the parts' own, and the same as JSON Schema for editors.

`scripts/config-schema` writes the JSON Schema to `config.schema.json`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from voluptuous import Marker, Optional, Required

from bridge.config.tree import Key
from bridge.engine.settings import COMMANDS_SCHEMA, GROUPS, PRESENCE_SCHEMA, PRIVACY_SCHEMA, USERS_SCHEMA
from bridge.log import LOG_SCHEMA
from bridge.mqtt.settings import MQTT_SCHEMA
from bridge.mqtt.standby.settings import STANDBY_SCHEMA
from bridge.options import TIME_ZONE, JsonSchema, ListOf, MapOf, Nullable, Record, is_secret
from bridge.outputs.hass.settings import HASS_SCHEMA
from bridge.outputs.lights.settings import LIGHTS, PALETTE_OPTION
from bridge.sources.table import TABLE
from bridge.sources.threecx.settings import PBX_SCHEMA
from bridge.web.settings import WEB_SCHEMA

SCHEMA: dict[Marker, Any] = {
    Required("pbx", description="The 3CX phone system"): PBX_SCHEMA,
    Optional("sources", default={}, description="What is read from the PBX"): {
        Optional(source.name, default={}, description=source.summary): source.schema for source in TABLE.values()
    },
    Optional("users", default={}, description="Who is published"): USERS_SCHEMA,
    Optional("groups", default={}, description="Groups of users: name → members"): GROUPS,
    Optional("presence", default={}, description="How the state of a user is derived"): PRESENCE_SCHEMA,
    Optional("privacy", default={}, description="What is published about callers"): PRIVACY_SCHEMA,
    Optional(
        "time_zone", default=None, description="By whose clocks a day begins and lights work; null: the machine's"
    ): TIME_ZONE,
    Optional("palette", default={}, description="The look of each state on all lights: state → look"): PALETTE_OPTION,
    Optional("lights", default=[], description="Lights that follow users"): LIGHTS,
    Optional("mqtt", default={}, description="The MQTT broker"): MQTT_SCHEMA,
    Optional("standby", default={}, description="Two machines, one of which works"): STANDBY_SCHEMA,
    Optional("homeassistant", default={}, description="MQTT discovery for Home Assistant"): HASS_SCHEMA,
    Optional(
        "commands", default={}, description="Commands that change or record the PBX; off by default"
    ): COMMANDS_SCHEMA,
    Optional(
        "web", default={}, description="The board in the browser, metrics for Prometheus and health probes over HTTP"
    ): WEB_SCHEMA,
    Optional("log", default={}, description="Level and format of the log"): LOG_SCHEMA,
}


def options(schema: Mapping[Marker, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every option of the schema with its key; sections too, before their content."""
    for marker, option in schema.items():
        key = (*above, str(marker))
        yield key, option
        if isinstance(option, dict):
            yield from options(option, key)


OPTIONS: dict[Key, Any] = dict(options(SCHEMA))


def option_at(key: Key) -> object:
    """The option of a value, also within a list or a mapping: ("web", "tokens", "0", "token"); None if unknown."""
    option: object = SCHEMA
    for name in key:
        option = _within(option, name)
    return option


def _within(option: object, name: str) -> object:
    match option:
        case dict():
            return next((inner for marker, inner in option.items() if marker == name), None)
        case Record():
            return next((inner for marker, inner in option.fields.items() if marker == name), None)
        case ListOf() | MapOf():
            return option.inner
        case Nullable():
            return _within(option.inner, name)
    return None


def is_scalar(option: object) -> bool:
    """Whether an environment variable can override the option."""
    return not isinstance(option, dict | ListOf | MapOf)


def json_schema() -> JsonSchema:
    """For editors: the same keys, types, limits and defaults. It cannot express YAML tags (`!secret`)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of 3cx2mqtt",
        **_section(SCHEMA),
    }


def _section(schema: Mapping[Marker, Any]) -> JsonSchema:
    properties: dict[str, JsonSchema] = {}
    requirements: list[JsonSchema] = []
    for marker, option in schema.items():
        name = str(marker)
        inner = _section(option) if isinstance(option, dict) else option.json_schema()
        inner["description"] = marker.description
        if isinstance(marker, Optional) and not isinstance(option, dict):
            inner["default"] = marker.default()  # type: ignore[operator]  # every option has one
        properties[name] = inner
        if is_secret(option):
            properties[f"{name}_file"] = {"type": "string", "description": f"A file that holds {name}"}
        if isinstance(marker, Required):
            requirements.append({"required": [name]})
            if is_secret(option):
                requirements[-1] = {"anyOf": [{"required": [name]}, {"required": [f"{name}_file"]}]}
    section: JsonSchema = {"type": "object", "properties": properties, "additionalProperties": False}
    # A section without required keys may be empty, which is null in YAML.
    return section | ({"allOf": requirements} if requirements else {"type": ["object", "null"]})
