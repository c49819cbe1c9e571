"""Every fixed time of a bridge that no option sets, in one value composed from the parts' own."""

from dataclasses import dataclass

from bridge.engine import timing as engine_timing
from bridge.mqtt import timing as mqtt_timing
from bridge.runtime import heartbeat
from bridge.sources.threecx import timing as threecx_timing
from bridge.web import timing as web_timing


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. The defaults are for operation; tests shorten what they wait for."""

    mqtt: mqtt_timing.MqttTiming = mqtt_timing.USUAL
    threecx: threecx_timing.ThreecxTiming = threecx_timing.USUAL
    engine: engine_timing.EngineTiming = engine_timing.USUAL
    web: web_timing.WebTiming = web_timing.USUAL
    tick: float = 1.0
    """Between two checks of what is due."""
    longest_step: float = 30.0
    """A periodic loop that has not run for so long counts as stuck."""
    first_answer: float = 5.0
    """How long the first publish waits for the PBX's first answer, so that no brief `unknown` is published."""
    health_interval: float = 60.0
    """From one `bridge/health` to the next."""
    discovery_interval: float = 5.0
    """At least so long between two discovery payloads of one device: see DiscoveryThrottle."""
    group_discovery_interval: float = 10.0
    """The same for a group, whose payload changes with its members."""
    heartbeat_interval: float = heartbeat.INTERVAL
    """From one write of the heartbeat file to the next."""


USUAL = Timing()
