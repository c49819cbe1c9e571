"""What the session logs for people, each failure once."""

import logging
from collections.abc import Callable, Sequence

from bridge.errors import BrokerError
from bridge.log import LASTING, RepeatedFailure
from bridge.mqtt.limits import BrokerLimits
from bridge.mqtt.read_back import Reading, Wildcards
from bridge.mqtt.settings import MqttSettings

_SHORT_CONNECTIONS = 3
"""So many in a row are worth a hint."""

_logger = logging.getLogger(__name__)


class SessionReports:
    """Log lines about the connection and about rights that are missing."""

    def __init__(self, settings: MqttSettings, limits: BrokerLimits, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._limits = limits
        self._failure = RepeatedFailure(_logger, LASTING, monotonic)
        self._unreadable = RepeatedFailure(_logger)
        self._unsubscribable = RepeatedFailure(_logger)
        self._short_connections = 0
        self._costs = RepeatedFailure(_logger)

    def failed(self, error: BrokerError, level: int) -> None:
        """No connection, or it was lost."""
        self._failure.failed(str(error), level)

    def recovered(self) -> None:
        """The connection has lasted; may be called again and again."""
        self._failure.recovered("the broker is back")

    def owned(self, base: str, owner: str | None, own: str) -> None:
        """What lies under `base` was published for the PBX `owner`, and `own` is ours."""
        if owner is not None and owner != own:
            _logger.warning(
                "what %s/# holds was published for the PBX %r: if that was the former pbx.name of this one, '3cx2mqtt "
                "cleanup --pbx-name %s' clears its devices in Home Assistant",
                base,
                owner,
                owner,
            )

    def readable(self, topic: str, *, readable: bool) -> None:
        """Whether the echo on `topic`, `bridge/check`, came back."""
        if readable:
            self._unreadable.recovered(f"the broker lets this login read {topic} now")
        else:
            self._unreadable.failed(
                f"the broker does not let this login read {topic}: what an earlier run left retained is not cleared, "
                "and if it may not write there either, nothing is published; '3cx2mqtt check' shows which rights are "
                "missing"
            )

    def read(self, check: str, reading: Reading) -> None:
        """How a read-back went."""
        self.readable(check, readable=reading.wildcards is not Wildcards.UNKNOWN)
        problems = list(self._limits.problems(self._settings.qos))
        if reading.problem is not None and self._limits.retains:
            problems.append(reading.problem)
        if problems:
            self._costs.failed("; ".join(problems))
        else:
            self._costs.recovered("the broker keeps and shows all that is retained now")

    def subscribed(self, filters: Sequence[str], granted: Sequence[bool]) -> None:
        """Which subscriptions the broker granted."""
        refused = ", ".join(each for each, may in zip(filters, granted, strict=False) if not may)
        if refused:
            self._unsubscribable.failed(
                f"the broker does not let this login subscribe to {refused}: messages published there are not received"
            )
        else:
            self._unsubscribable.recovered("the broker grants every subscription now")

    def ended(self, *, short_of: float | None, state_topic: str) -> None:
        """A connection ended, in less than `short_of` seconds where that is not None.

        Another process with the same client id shows as MQTT 5 reason 0x8E, but some brokers just close the
        connection, such as the Mosquitto of Debian 12: that shows as many short ones.
        """
        if short_of is None:
            self._short_connections = 0
            return
        if self._limits.searches:
            return
        self._short_connections += 1
        if self._short_connections == _SHORT_CONNECTIONS:
            _logger.warning(
                "the broker closed the connection %d times within %.0f s: is another process using the client id %r? "
                "Give each bridge its own pbx.name or mqtt.client_id. Or may this login not write to %s?",
                _SHORT_CONNECTIONS,
                short_of,
                self._settings.client_id,
                state_topic,
            )
