"""Drives paho's reads and writes by the running event loop, in place of paho's own thread."""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from bridge.mqtt.tls import pending

_READS_AT_ONCE = 200
"""Calls before other tasks get their turn."""


class ExternalLoop(Protocol):
    """What paho's client offers where its network loop is run by its user."""

    def loop_read(self) -> object:
        """Read what the socket has, and call the callbacks."""

    def loop_write(self) -> object:
        """Write what the socket takes."""

    def want_write(self) -> bool:
        """Whether something waits to be written."""


class LoopIo:
    """Reads when the socket is readable, writes only while there is something to write."""

    def __init__(self, client: ExternalLoop, on_written: Callable[[], None], on_read: Callable[[], None]) -> None:
        """`on_written` is called when the socket has taken everything, `on_read` before it is read."""
        self._client = client
        self._on_written = on_written
        self._on_read = on_read
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._messages = 0
        self._last_read = self._loop.time()
        self.writing = False
        """Whether something waits for the socket to take it."""

    @property
    def attached(self) -> bool:
        """Whether there is a socket."""
        return self._socket is not None

    @property
    def idle(self) -> float:
        """Seconds since the socket was readable last, or something began to be waited for."""
        return self._loop.time() - self._last_read

    def expect(self) -> None:
        """Something is waited for from now on."""
        self._last_read = self._loop.time()

    def attach(self, connected: socket.socket) -> None:
        """Watch this socket from now on."""
        self._socket = connected
        # paho leaves Nagle's algorithm on, which holds back a pushed event until the one before is acknowledged
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(connected, self._readable)
        self.want_write()

    def detach(self) -> None:
        """Stop watching; must come before the socket is closed."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None
            self.writing = False

    def note_message(self) -> None:
        """A read brought a whole message."""
        self._messages += 1

    def want_write(self) -> None:
        """Call after anything that may have left paho with bytes to write."""
        if self._socket is not None and not self.writing and self._client.want_write():
            self.writing = True
            self._loop.add_writer(self._socket, self._writable)

    def _readable(self) -> None:
        """Read on while whole messages come in: paho reads one packet a call when nothing is in flight."""
        self._last_read = self._loop.time()
        self._on_read()
        for _ in range(_READS_AT_ONCE):
            before = self._messages
            self._client.loop_read()
            if self._messages == before and not self._pending():
                break
        else:
            if self._pending():
                # the system does not report the socket readable for what TLS has decrypted already
                self._loop.call_soon(self._readable)
        self.want_write()

    def _pending(self) -> bool:
        return self._socket is not None and pending(self._socket)

    def _writable(self) -> None:
        self._client.loop_write()
        if self._socket is not None and not self._client.want_write():
            self.writing = False
            self._loop.remove_writer(self._socket)
            self._on_written()
