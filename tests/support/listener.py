"""What systemd would receive: a datagram socket to stand in $NOTIFY_SOCKET."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.limits import limit


class Listener:
    """Use as a context manager; `environ` is what the service has to be given."""

    def __init__(self, address: Path | str) -> None:
        """A path, or the name of an abstract socket, which starts with @."""
        self._address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.received: list[str] = []
        """All lines that `listen` has taken in so far."""

    def __enter__(self) -> Self:
        self._socket.bind(self._address.replace("@", "\0", 1) if self._address.startswith("@") else self._address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def environ(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self._address}

    def listen(self) -> list[str]:
        """The lines that have come since the last call."""
        new: list[str] = []
        while True:
            try:
                new += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                self.received += new
                return new

    async def until(self, satisfied: Callable[[list[str]], bool], timeout: float = limit(10.0)) -> list[str]:
        """Wait until the lines since the last call satisfy; gives them."""
        new: list[str] = []
        try:
            async with asyncio.timeout(timeout):
                while not satisfied(new):
                    await asyncio.sleep(0.01)
                    new += self.listen()
        except TimeoutError:
            raise AssertionError(f"these lines came: {new}") from None
        return new

    async def until_line(self, line: str, timeout: float = limit(10.0)) -> list[str]:
        """Wait for one line; gives all since the last call."""
        return await self.until(lambda new: line in new, timeout)
