"""Which messages on the birth topic call for discovery."""

import pytest

from bridge.outputs.hass.birth import is_start
from bridge.outputs.hass.names import Language
from bridge.outputs.hass.settings import HassSettings

SETTINGS = HassSettings(True, "homeassistant", "homeassistant/status", "online", Language.EN)


@pytest.mark.parametrize(
    ("payload", "retained", "start"),
    [(b"online", False, True), (b"online", True, False), (b"offline", False, False), (b"", False, False)],
)
def test_only_a_live_birth_payload_is_a_start(payload: bytes, retained: bool, start: bool) -> None:
    assert is_start(SETTINGS, payload, retained=retained) is start
