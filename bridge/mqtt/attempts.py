"""What follows a failed connection: by which version of MQTT the next attempt is made, and after which pause."""

import logging
import random
from dataclasses import dataclass

from bridge.aio import Backoff
from bridge.errors import BrokerAuthError, BrokerError
from bridge.mqtt.failures import WillRefused, WrongProtocol
from bridge.mqtt.limits import BrokerLimits
from bridge.mqtt.session_state import SessionState
from bridge.mqtt.settings import Protocol
from bridge.mqtt.timing import MqttTiming
from bridge.mqtt.versions import VersionChoice

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Next:
    """The next attempt to connect."""

    pause: float
    """Seconds until then."""
    state: SessionState | None
    """Of the session meanwhile; None: the failure is not worth telling, as the next attempt is another one."""


class Attempts:
    """Back-offs and versions, as long as the session lives."""

    def __init__(self, protocol: Protocol, timing: MqttTiming, limits: BrokerLimits, rng: random.Random) -> None:
        self._version = VersionChoice(protocol)
        self._timing = timing
        self._limits = limits
        self._backoff = Backoff(*timing.retry, rng)
        self._refused_backoff = Backoff(*timing.refused_retry, rng)

    @property
    def version(self) -> Protocol:
        """For the next connection."""
        return self._version.current

    def lasted(self) -> None:
        """A connection was no short one."""
        self._backoff.reset()
        self._refused_backoff.reset()

    def failed(self, error: BrokerError) -> Next:
        """A connection could not be made, or was lost."""
        if isinstance(error, BrokerAuthError):
            return Next(self._refused_backoff.next(), SessionState.REFUSED)
        if isinstance(error, WillRefused):
            _logger.info("%s: connecting again with one that it takes", error)
            return Next(0.0, None)
        if isinstance(error, WrongProtocol):
            if self._version.refused(certain=error.certain):
                _logger.debug("%s: trying MQTT %s", error, self._version.current)
                return Next(0.0, None)
            return Next(self._backoff.next(), SessionState.WAITING)
        self._version.start_over()
        return Next(self._timing.retry[0] if self._limits.hurries() else self._backoff.next(), SessionState.WAITING)
