"""The table of light drivers, by their names in the configuration. A new driver is its module and its row."""

from collections.abc import Callable, Mapping

from bridge.outputs.lights.drivers.esphome import EspHome
from bridge.outputs.lights.drivers.home_assistant import HomeAssistant
from bridge.outputs.lights.drivers.shelly_gen1 import ShellyGen1
from bridge.outputs.lights.drivers.shelly_gen2 import ShellyGen2
from bridge.outputs.lights.drivers.tasmota import Tasmota
from bridge.outputs.lights.drivers.template import Template
from bridge.outputs.lights.drivers.wled import Wled
from bridge.outputs.lights.drivers.zigbee2mqtt import Zigbee2Mqtt
from bridge.outputs.lights.protocol import Driver, DriverOptions

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
"""A driver raises ValueError for options that it cannot work with; the message begins with the option's key."""
