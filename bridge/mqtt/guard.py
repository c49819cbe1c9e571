"""Watches over the own topics while the bridge is connected: other clients' writes, and other bridges."""

import asyncio
import logging
from collections.abc import Callable

from bridge.mqtt.application import Application
from bridge.mqtt.connection import Connection, matches
from bridge.mqtt.read_back import ReadBack, Reading
from bridge.mqtt.repairs import Repairs
from bridge.mqtt.rereading import Rereading
from bridge.mqtt.rivals import Rivals
from bridge.mqtt.timing import MqttTiming

_logger = logging.getLogger(__name__)


class Guard:
    """Takes what is received on the own topics, and has the wrong ones among them published again."""

    def __init__(self, timing: MqttTiming, repair_interval: float, monotonic: Callable[[], float]) -> None:
        self._timing = timing
        self._monotonic = monotonic
        self.rivals = Rivals(timing, monotonic)
        self._repairs = Repairs(timing, monotonic)
        self._rereading = Rereading(timing, repair_interval, self._repairs)
        self._blamed_from = 0.0
        """When what other clients may have written before we connected has surely come (monotonic)."""

    @property
    def read_back(self) -> ReadBack | None:
        """What received messages have to be offered to first."""
        return self._rereading.read_back

    def repair(self) -> None:
        """Compare everything with what the broker retains."""
        self._rereading.ask()

    def connected(self, reading: Reading) -> None:
        """A read-back after a connect has gone like this."""
        self._blamed_from = self._monotonic() + (self._timing.blameless if reading.late else 0.0)

    def clear(self) -> None:
        """The connection is lost."""
        self._repairs.clear()

    async def run(
        self, connection: Connection, reading: Callable[[], Reading], current: Callable[[], Application]
    ) -> None:
        """Repair until cancelled; `reading` is how the last read-back after a connect went."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repairs.run(current), name="mqtt-repairs")
            tasks.create_task(self._rereading.run(connection, reading, current), name="mqtt-rereading")

    def take(self, application: Application, connection: Connection, topic: str, payload: bytes) -> bool:
        """Take a message on an own topic; says whether nobody else needs it."""
        topics = application.topics
        if not any(matches(each, topic) for each in (*topics.of_bridge(), *topics.filters_of_all())):
            return False
        if not connection.guards:
            return not topics.is_discovery(topic)  # by MQTT 3.1.1 our own messages come back
        if topic == topics.bridge_info:
            self.rivals.note_info(payload)
        if not payload and topics.is_discovery(topic):
            application.outbox.wanted.forget(topic)  # Home Assistant deletes a device by that
            return False
        self._repairs.received(application, topic, payload, blamed=self._monotonic() >= self._blamed_from)
        return True

    def take_health(self, application: Application, payload: bytes) -> bool:
        """Take what somebody publishes to `bridge/health` just now; says whether we have to be silent from now on."""
        if not self.rivals.note_health(application, payload):
            return False
        _logger.error("%s", self.rivals.problem(application))
        return self.rivals.silence(application) > 0
