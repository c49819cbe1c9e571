"""Home Assistant's birth message: which one calls for discovery, and how long to wait before publishing it."""

from bridge.outputs.hass.settings import HassSettings

DELAY = (1.0, 10.0)
"""Limits of the random wait in seconds: all devices with MQTT discovery answer the birth message, and should
not all do so in the same second."""


def is_start(settings: HassSettings, payload: bytes, *, retained: bool) -> bool:
    """Whether Home Assistant has just started and reads discovery again.

    A retained birth message comes with every subscription, hence at every connect, and says nothing about when Home
    Assistant started. Discovery has just been synchronised then, so there is nothing to publish a second time.
    """
    return not retained and payload == settings.birth_payload.encode()
