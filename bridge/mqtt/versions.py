"""Which version of MQTT to try next."""

from bridge.mqtt.settings import Protocol


class VersionChoice:
    """MQTT 5 first, where `mqtt.protocol` leaves the choice, and 3.1.1 where the broker refuses that."""

    def __init__(self, protocol: Protocol) -> None:
        self._free = protocol is Protocol.AUTO
        self._first = Protocol.V5 if self._free else protocol
        self.current = self._first
        """To be tried next."""

    def refused(self, *, certain: bool) -> bool:
        """The broker refused the current version, or it seems so; gives whether to try the next one without a pause.

        One that said so (`certain`) is not asked for MQTT 5 again; one that just did not answer may have been away.
        """
        if not self._free:
            return False
        if certain:
            self._first = Protocol.V311
        self.current = Protocol.V311 if self.current is Protocol.V5 else Protocol.V5
        return self.current is Protocol.V311

    def start_over(self) -> None:
        """The broker was lost or not reachable, which says nothing about versions."""
        self.current = self._first
