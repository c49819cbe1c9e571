"""Notifications to systemd: the datagrams of sd_notify(3). Without a service manager nothing is sent."""

import logging
import os
import socket
import time
from collections.abc import Mapping

_TIMEOUT = 0.5
"""Seconds to wait where systemd's queue is full. Sending blocks the event loop, so it must not be long."""
_LONGEST_STATUS = 500
"""Characters; what is beyond is cut off."""

_logger = logging.getLogger(__name__)


class Notify:
    """Sends notifications to systemd. Never raises: a bridge that cannot notify should go on working."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environ) if self._address else None
        """Seconds within which systemd expects the next `alive`; None where it has no watchdog on this process."""

    def ready(self) -> None:
        """The configuration is valid and the loops run. Also ends `reloading`."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again."""
        # The time is what systemd's Type=notify-reload requires: by it systemd knows this reload from an earlier one.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The process is about to end."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Notify the watchdog: systemd kills a service that stops doing so, and starts it again."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """The status for `systemctl status`, as one line."""
        self._send(f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_TIMEOUT)
                sender.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError as error:  # its time-out too
            _logger.debug("systemd was not notified of %s: %s", message.partition("=")[0], error)


def _address(name: str) -> str | None:
    """The socket's address; @ stands for an abstract one. Other kinds, such as vsock:, are ignored."""
    if len(name) > 1 and name[0] in "/@":
        return "\0" + name[1:] if name[0] == "@" else name
    return None


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """The watchdog's interval in seconds. The variables may be meant for another process and inherited."""
    pid, microseconds = environ.get("WATCHDOG_PID"), environ.get("WATCHDOG_USEC", "")
    if (pid and pid != str(os.getpid())) or not (microseconds.isascii() and microseconds.isdecimal()):
        return None
    return int(microseconds) / 1e6 or None
