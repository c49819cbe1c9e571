"""Every make of lights that the bridge can drive, by the name that the configuration has for it."""

from collections.abc import Callable, Mapping

from bridge.outputs.lights.esphome import EspHome
from bridge.outputs.lights.home_assistant import HomeAssistant
from bridge.outputs.lights.protocol import Driver, DriverOptions
from bridge.outputs.lights.shelly_gen1 import ShellyGen1
from bridge.outputs.lights.shelly_gen2 import ShellyGen2
from bridge.outputs.lights.tasmota import Tasmota
from bridge.outputs.lights.template import Template
from bridge.outputs.lights.wled import Wled
from bridge.outputs.lights.zigbee2mqtt import Zigbee2Mqtt

DRIVERS: Mapping[str, Callable[[DriverOptions], Driver]] = {
    "zigbee2mqtt": Zigbee2Mqtt,
    "tasmota": Tasmota,
    "wled": Wled,
    "shelly_gen1": ShellyGen1,
    "shelly_gen2": ShellyGen2,
    "esphome": EspHome,
    "home_assistant": HomeAssistant,
    "template": Template,
}
"""A driver raises ValueError for options that it cannot work with; the sentence begins with the option's key."""
