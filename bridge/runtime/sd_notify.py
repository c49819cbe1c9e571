"""The datagrams that a service manager takes from its service: sd_notify(3). Where nobody listens, nothing is sent."""

import logging
import os
import socket
import time
from collections.abc import Mapping

_PATIENCE = 0.5
"""Seconds for which a full queue of the listener is waited for: longer would hold up the event loop."""
_LONGEST_STATUS = 500

_logger = logging.getLogger(__name__)


class Notify:
    """Tells systemd how it stands. Never raises: that nobody hears is no reason to stop working."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environ) if self._address else None
        """Seconds within which systemd wants to hear `alive` again, or None where it does not care."""

    def ready(self) -> None:
        """The configuration is valid and everything runs; also the end of `reloading`."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """How it stands, in words; whatever is in them, they are one line."""
        self._send(f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_PATIENCE)
                sender.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError as error:  # its time-out too
            _logger.debug("the service manager does not take %s (%s)", message.partition("=")[0], error)


def _address(name: str) -> str | None:
    """The socket's address; one that starts with @ is abstract. Kinds such as vsock: are for virtual machines."""
    if len(name) > 1 and name[0] in "/@":
        return "\0" + name[1:] if name[0] == "@" else name
    return None


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """The watchdog may be meant for another process: a shell between systemd and this one, or an earlier owner."""
    meant, microseconds = environ.get("WATCHDOG_PID"), environ.get("WATCHDOG_USEC", "")
    if (meant and meant != str(os.getpid())) or not (microseconds.isascii() and microseconds.isdecimal()):
        return None
    return int(microseconds) / 1e6 or None
