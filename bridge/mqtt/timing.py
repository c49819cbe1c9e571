"""The times of the MQTT session that no option sets, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MqttTiming:
    """Tests shorten what they wait for; everybody else takes the defaults."""


USUAL = MqttTiming()
