"""What a recording holds: answers and the messages of the websocket, with their times, as docs/recording.md says.

Files of others are read, so whatever does not make sense is an error with its line, or left out.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.errors import BridgeError

_MOST_BYTES = 64 * 1024 * 1024
"""A recording is at most 16 MiB; a small file could unpack to far more."""
_GZIP = zlib.MAX_WBITS | 16
_NOT_JSON = b"<html><body>This answer was not recorded.</body></html>"
UNAUTHORIZED = 401
_CLOSE_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
"""Those that a server may send; others mean that the connection was lost."""
_LOST = 1001


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """One answer; `at` in seconds since the recording began."""

    at: float
    method: str
    path: str
    query: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    content: object
    """The JSON; None where there was none."""
    body: bytes
    line: int = 0
    """Its place in the recording: within a millisecond, that shows what came first."""


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One message of the websocket, or that the PBX closed it."""

    at: float
    text: str = ""
    closes: bool = False
    code: int = 1000
    entity: str = ""
    """The path that the message is about."""
    event_type: int | None = None
    attached: Mapping[str, object] | None = None
    """The participant, where the message has it."""
    line: int = 0


@dataclass(slots=True)
class Recorded:
    """A whole recording, in the order of time."""

    answers: list[RecordedAnswer] = field(default_factory=list)
    frames: list[RecordedFrame] = field(default_factory=list)
    seconds: float = 0.0
    """How long it is."""


def read(path: Path) -> Recorded:
    """A recording, gzipped or not; BridgeError where it is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BridgeError(f"cannot read {path}: {error.strerror}") from error
    try:
        return recorded(_unpacked(content).splitlines())
    except (ValueError, zlib.error, RecursionError) as error:
        raise BridgeError(f"{path} is no recording: {error}") from error


def recorded(lines: Iterable[bytes]) -> Recorded:
    """A recording from its lines, the last of which may be cut off; ValueError says what is wrong."""
    found = Recorded()
    bodies: dict[object, RecordedAnswer] = {}
    entries = list(_entries(list(lines)))
    if not entries or entries[0][1].get("recording") != 1:
        raise ValueError("the first line does not say that it is a recording of format 1")
    for number, entry in entries[1:]:
        try:
            _add(number, entry, found, bodies)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"line {number} makes no sense ({error!r})") from error
    found.answers = list(_without_lost_tokens(found.answers))
    return found


def _entries(lines: Sequence[bytes]) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            if 1 < number == len(lines):
                return
            raise ValueError(f"line {number}: {error}") from error
        if not isinstance(entry, dict):
            raise ValueError(f"line {number} is no object")  # noqa: TRY004  # of the file
        yield number, entry


def _add(line: int, entry: Mapping[str, object], found: Recorded, bodies: dict[object, RecordedAnswer]) -> None:
    at = float(str(entry["t"])) / 1000
    found.seconds = max(found.seconds, at)
    if "path" in entry:
        answer = replace(_answer(at, entry, bodies), line=line)
        found.answers.append(answer)
    elif entry.get("websocket") == "message" and "body" in entry:
        found.frames.append(replace(_frame(at, entry["body"]), line=line))
    elif entry.get("websocket") == "close":
        code = entry.get("code")
        sendable = isinstance(code, int) and code in _CLOSE_CODES
        found.frames.append(RecordedFrame(at, closes=True, code=int(str(code)) if sendable else _LOST, line=line))


def _answer(at: float, entry: Mapping[str, object], bodies: dict[object, RecordedAnswer]) -> RecordedAnswer:
    method, path = str(entry["method"]), str(entry["path"])
    query, headers = _texts(entry.get("query")), _texts(entry.get("headers"))
    key = (method, path, tuple(sorted(query.items())))
    content: object = entry.get("body")
    body = b"" if "body" not in entry else json.dumps(content).encode()
    if entry.get("same"):
        content, body = bodies[key].content, bodies[key].body
    elif "omitted" in entry:
        body = _NOT_JSON
    status = int(str(entry["status"]))
    bodies[key] = RecordedAnswer(at, method, path, query, status, headers, content, body)
    return bodies[key]


def _frame(at: float, body: object) -> RecordedFrame:
    event = body.get("event") if isinstance(body, dict) else None
    inner = event if isinstance(event, dict) else {}
    attached = inner.get("attached_data")
    if isinstance(attached, dict) and "status" not in attached:
        attached = attached.get("Response")
    kind = inner.get("event_type")
    return RecordedFrame(
        at,
        json.dumps(body),
        entity=str(inner.get("entity")),
        event_type=kind if isinstance(kind, int) else None,
        attached=attached if isinstance(attached, dict) and "status" in attached else None,
    )


def _texts(value: object) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}


def _without_lost_tokens(answers: list[RecordedAnswer]) -> Iterator[RecordedAnswer]:
    """Without answers that refused a token and were followed by one that did not: tokens are not replayed."""
    later: dict[tuple[str, str], int] = {}
    kept = []
    for answer in reversed(answers):
        key = (answer.method, answer.path)
        if answer.status != UNAUTHORIZED or later.get(key, UNAUTHORIZED) == UNAUTHORIZED:
            kept.append(answer)
        later[key] = answer.status
    return reversed(kept)


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    unpacker = zlib.decompressobj(wbits=_GZIP)
    text = unpacker.decompress(content, _MOST_BYTES)
    if unpacker.unconsumed_tail:
        raise ValueError(f"it unpacks to over {_MOST_BYTES // 2**20} MiB")
    return text
