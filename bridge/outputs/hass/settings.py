"""Home Assistant's discovery: `homeassistant:`."""

from dataclasses import dataclass

from voluptuous import Optional

from bridge.options import Boolean, Choice, Text
from bridge.outputs.hass.names import Language
from bridge.topics import TOPIC


@dataclass(frozen=True, slots=True)
class HassSettings:
    """`homeassistant:`."""

    enabled: bool
    discovery_prefix: str
    birth_topic: str
    birth_payload: str
    language: Language


HASS_SCHEMA = {
    Optional("enabled", default=True, description="Publish MQTT discovery"): Boolean(),
    Optional(
        "discovery_prefix", default="homeassistant", description="Discovery prefix as set in Home Assistant"
    ): TOPIC,
    Optional(
        "birth_topic", default="homeassistant/status", description="Topic of Home Assistant's birth message"
    ): TOPIC,
    Optional("birth_payload", default="online", description="Payload of the birth message"): Text(),
    Optional("language", default="en", description="Names of entities: en or de; ids are the same"): Choice(Language),
}
