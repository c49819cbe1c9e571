"""All times of a bridge that no option sets, in one value: composed from the parts' own."""

from dataclasses import dataclass

from bridge.mqtt import timing as mqtt_timing
from bridge.sources.threecx import timing as threecx_timing


@dataclass(frozen=True, slots=True)
class Timing:
    """Tests shorten what they wait for; everybody else takes the defaults. Seconds."""

    mqtt: mqtt_timing.MqttTiming = mqtt_timing.USUAL
    threecx: threecx_timing.ThreecxTiming = threecx_timing.USUAL
    tick: float = 1.0
    """From one look at what is due to the next."""


USUAL = Timing()
