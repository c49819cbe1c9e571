"""Home Assistant's discovery: `homeassistant:`."""

from dataclasses import dataclass

from voluptuous import Optional

from bridge.options import Boolean, Text
from bridge.topics import TOPIC


@dataclass(frozen=True, slots=True)
class HassSettings:
    """`homeassistant:`."""

    enabled: bool
    discovery_prefix: str
    birth_topic: str
    birth_payload: str


HASS_SCHEMA = {
    Optional("enabled", default=True, description="Whether discovery is published"): Boolean(),
    Optional("discovery_prefix", default="homeassistant", description="As set in Home Assistant"): TOPIC,
    Optional("birth_topic", default="homeassistant/status", description="Where Home Assistant says it started"): TOPIC,
    Optional("birth_payload", default="online", description="What it says there"): Text(),
}
