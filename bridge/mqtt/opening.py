"""Opens one connection, by the version of MQTT that the broker takes; for those who do not stay connected for ever."""

import time

from bridge.domain.message import Message
from bridge.mqtt.connection import Connection, Receive
from bridge.mqtt.failures import WillRefused, WrongProtocol
from bridge.mqtt.lease import Lease
from bridge.mqtt.limits import BrokerLimits
from bridge.mqtt.settings import MqttSettings
from bridge.mqtt.timing import USUAL, MqttTiming
from bridge.mqtt.versions import VersionChoice


async def opened(
    settings: MqttSettings,
    receive: Receive,
    timing: MqttTiming = USUAL,
    will: Message | None = None,
    lease: Lease | None = None,
) -> Connection:
    """Connect by MQTT 5, or by 3.1.1 where the broker refuses that; BrokerError says why not."""
    version, limits = VersionChoice(settings.protocol), BrokerLimits(time.monotonic)
    while True:
        connection = Connection(settings, version.current, will, receive, timing, limits, lease)
        try:
            await connection.open()
        except WillRefused:
            connection.abort()  # and once more with what it takes
        except WrongProtocol as error:
            if not version.refused(certain=error.certain):
                raise
        else:
            return connection
