"""A recording: JSON lines, gzipped. docs/recording.md describes them."""

import asyncio
import hashlib
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from bridge import __version__
from bridge.errors import BridgeError, SourceProtocolError
from bridge.sources.threecx.parse.envelope import load
from bridge.sources.threecx.recording.redaction import Redactor
from bridge.topics import to_json

FORMAT = 1
MOST_BYTES = 16 * 1024 * 1024
"""Of JSON lines, before compression."""
_GZIP = zlib.MAX_WBITS | 16
_LOGINS = "/connect/"
"""Requests of tokens, which are never recorded."""


class Recording:
    """A tap that keeps what it hears, redacted at once and compressed, in memory. `write` makes the file."""

    def __init__(
        self, redactor: Redactor, monotonic: Callable[[], float], wall: float, most_bytes: int = MOST_BYTES
    ) -> None:
        """`wall` is the time of the start in Unix seconds."""
        self._redactor = redactor
        self._monotonic = monotonic
        self._started = monotonic()
        self._left = most_bytes
        self._packer = zlib.compressobj(wbits=_GZIP)
        self._packed = bytearray()
        self._last: dict[tuple[str, str], bytes] = {}
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))
        self._pack(_line({"recording": FORMAT, "made_by": f"3cx2mqtt {__version__}", "started": started}))
        self.lines = 0
        """How many messages and answers it has."""
        self.full = asyncio.Event()
        """Set when the limit of bytes is reached; what comes later is dropped."""

    def answered(self, method: str, target: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Record an answer; one that is the same as the last one to this request, without its body."""
        if target.startswith(_LOGINS):
            return
        path, query = self._redactor.target(target)
        line: dict[str, object] = {"method": method, "path": path, "query": query, "status": status}
        line["headers"] = self._redactor.headers(headers)
        digest = hashlib.blake2b(b"%d %b" % (status, body), digest_size=16).digest()
        if self._last.get((method, target)) == digest:
            line["same"] = True
        else:
            line |= self._body(body)
        if self._keep(line):
            self._last[method, target] = digest

    def opened(self) -> None:
        """Record that the websocket was opened."""
        self._keep({"websocket": "open"})

    def message(self, text: str) -> None:
        """Record a message of the websocket."""
        self._keep({"websocket": "message", **self._body(text.encode("utf-8", "replace"))})

    def closed(self, code: int | None) -> None:
        """Record that the PBX closed the websocket."""
        self._keep({"websocket": "close", "code": code})

    def write(self, path: Path, end: str) -> None:
        """Write the file, for its owner only and as a whole; `end` is the reason why it ends here.

        Raises BridgeError where it cannot be written.
        """
        packer = self._packer.copy()
        content = bytes(self._packed) + packer.compress(_line({"t": self._now(), "end": end})) + packer.flush()
        try:
            with NamedTemporaryFile("wb", dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
                made = Path(file.name)
                try:
                    file.write(content)
                    file.close()
                    made.replace(path)
                except BaseException:
                    made.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise BridgeError(f"cannot write {path}: {error.strerror}") from error

    def _body(self, body: bytes) -> dict[str, object]:
        """The redacted JSON; or how much else there was, such as the page of a proxy."""
        try:
            return {"body": self._redactor.value(load(body))} if body else {}
        except (SourceProtocolError, RecursionError):
            return {"omitted": len(body)}

    def _keep(self, line: Mapping[str, object]) -> bool:
        text = _line({"t": self._now(), **line})
        if self.full.is_set() or len(text) > self._left:
            self.full.set()
            return False
        self.lines += 1
        self._left -= len(text)
        self._pack(text)
        return True

    def _pack(self, text: bytes) -> None:
        self._packed += self._packer.compress(text)

    def _now(self) -> int:
        return round((self._monotonic() - self._started) * 1000)


def _line(value: Mapping[str, object]) -> bytes:
    return to_json(value).encode("utf-8", "replace") + b"\n"
