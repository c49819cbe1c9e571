"""The certificates that the PBX's certificate is verified against: read again when their files change.

A process lives for months. A renewed CA file counts from the next connection, without a restart.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.aio import in_daemon_thread
from bridge.errors import SourceUnavailable
from bridge.log import RepeatedFailure
from bridge.tls import trusting

_CHECK_EVERY = 60.0
"""Seconds between two looks at the files while connections succeed."""

Signature = tuple[tuple[int, ...] | None, ...]
"""Changes with the files: times, sizes and inodes; None for a file that is not there."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Loaded:
    signature: Signature
    context: ssl.SSLContext | None = None
    """None: the files have not changed, or cannot be used."""
    problem: str | None = None


class Trust:
    """The TLS context of `pbx.verify_tls`: true (the system's CAs), false (nothing is verified), or a CA file."""

    def __init__(
        self,
        verify: bool | Path,  # noqa: FBT001  # the option's own type
        monotonic: Callable[[], float] = time.monotonic,
        patience: float = 5.0,
    ) -> None:
        """`patience`: seconds for reading the files; they may be on a network drive that hangs."""
        self._verify = verify
        self._monotonic = monotonic
        self._patience = patience
        self._context: ssl.SSLContext | None = None
        self._signature: Signature | None = None
        self._due = float("-inf")
        self._lock = asyncio.Lock()
        self._reading = False
        """Whether a thread is reading, perhaps one that nobody waits for any more."""
        self._problem = "the file of the CA has not been read"
        self._unusable = RepeatedFailure(_logger)

    async def context(self) -> ssl.SSLContext | bool:
        """What aiohttp takes as `ssl`; SourceUnavailable where the CA file cannot be used."""
        if self._verify is False:
            return False
        if self._monotonic() >= self._due:
            await self._read()
        if self._context is None:
            raise SourceUnavailable(f"pbx.verify_tls: {self._problem}")
        return self._context

    async def renewed(self) -> bool:
        """To be called when a certificate was not accepted; whether another try is worth while, with other CAs."""
        before = self._context
        if self._verify is not False:
            self._due = float("-inf")
            await self._read()
        return self._context is not before

    async def _read(self) -> None:
        async with self._lock:
            if self._monotonic() < self._due or self._reading:  # another request has just read them, or they hang
                return
            self._reading = True
            found: _Loaded | None = None
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    found = await in_daemon_thread("pbx-trust", self._load, lambda _: None)
            if found is None:
                self._note_problem("the file of the CA cannot be read: no answer from its drive")
            else:
                self._take(found)

    def _take(self, found: _Loaded) -> None:
        self._signature = found.signature
        if found.problem is not None:
            self._note_problem(found.problem)
            return
        self._due = self._monotonic() + _CHECK_EVERY
        if found.context is not None:
            if self._context is not None:
                _logger.info("pbx.verify_tls: the CA certificates have changed, and the new ones are used")
            self._context = found.context
        self._unusable.recovered("pbx.verify_tls: the CA certificates can be read again")

    def _note_problem(self, problem: str) -> None:
        self._problem = problem
        if self._context is not None:  # otherwise each request fails with it
            self._due = self._monotonic() + _CHECK_EVERY
            self._unusable.failed(f"pbx.verify_tls: {problem}; those read before are still used")

    def _load(self) -> _Loaded:
        """Runs in a thread, and never raises."""
        signature = tuple(_signature(path) for path in self._files())
        try:
            if signature == self._signature and self._context is not None:
                return _Loaded(signature)
            context = trusting(self._verify if isinstance(self._verify, Path) else None)
            context.set_alpn_protocols(["http/1.1"])
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror
            return _Loaded(signature, problem=f"{self._verify} contains no usable certificate ({reason})")
        else:
            return _Loaded(signature, context)
        finally:
            self._reading = False

    def _files(self) -> list[Path]:
        if isinstance(self._verify, Path):
            return [self._verify]
        system = ssl.get_default_verify_paths()
        return [Path(path) for path in filter(None, (system.cafile, system.capath))]


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
