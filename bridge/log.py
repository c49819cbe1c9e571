"""Logging: set-up, redaction of secrets, and quiet about what goes on failing."""

import json
import logging
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Self, TextIO

from bridge.settings import LogLevel, LogSettings

_LONG = 8
"""Letters that make a secret long enough to be no part of another word by chance."""


def setup(settings: LogSettings, secrets: Sequence[str] = (), stream: TextIO | None = None) -> None:
    """Log to stderr at the level and in the format of `log:`; no line ever shows one of `secrets`."""
    output = logging.StreamHandler(stream or sys.stderr)
    formatter: logging.Formatter = _Text() if settings.format == "text" else _Json()
    output.setFormatter(_Redacting(formatter, secrets))
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(logging.WARNING)  # libraries speak up only when something is wrong
    logging.getLogger("bridge").setLevel(settings.level.upper())


def level() -> LogLevel:
    """How much is logged now."""
    return LogLevel(logging.getLevelName(logging.getLogger("bridge").getEffectiveLevel()).lower())


def set_level(wanted: LogLevel) -> None:
    """Log so much from now on."""
    logging.getLogger("bridge").setLevel(wanted.upper())


def silence() -> None:
    """Log nothing: what went wrong is told in another way."""
    logging.getLogger("bridge").setLevel(logging.CRITICAL + 1)


class Published(logging.Handler):
    """Hands warnings and errors on as JSON text, secrets taken out; use as a context manager."""

    def __init__(self, publish: Callable[[str], None], secrets: Sequence[str]) -> None:
        super().__init__(logging.WARNING)
        self._publish = publish
        self.setFormatter(_Redacting(_Json(), secrets))

    def emit(self, record: logging.LogRecord) -> None:
        """Publish one line."""
        self._publish(self.format(record))

    def __enter__(self) -> Self:
        logging.getLogger("bridge").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("bridge").removeHandler(self)


def harmless(text: str) -> str:
    """Fit for a terminal: whatever a name or a message holds, it moves no cursor and changes no colour."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets; longer ones first, as one may be part of another.

    Short ones are taken out as whole words only: else a password such as `user` would riddle every line, and so tell
    what it is.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if len(secret) >= _LONG:
            text = text.replace(secret, "***")
        elif secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return text


class Recurring:
    """Something that may fail again and again: told once, repeated at debug, and told when it works again."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._told = _Told()

    def failed(self, message: str, level: int = logging.WARNING) -> None:
        """Log `message` at `level` unless it was told since this worked last, else at debug."""
        self._logger.log(logging.DEBUG if message in self._told else level, "%s", message)
        self._told.add(message)

    def recovered(self, message: str) -> None:
        """Log `message` if there was a failure to recover from."""
        if self._told:
            self._logger.info("%s", message)
            self._told.clear()


class Troubles:
    """What keeps several sources from working: what they all suffer from is told once."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._told: defaultdict[str, _Told] = defaultdict(_Told)
        """By source, of those that do not work."""

    def failed(self, source: str, message: str, level: int = logging.WARNING) -> None:
        """Log `message` at `level`, or at debug if it was told of a source that has not worked since."""
        known = any(message in told for told in self._told.values())
        self._told[source].add(message)
        self._logger.log(logging.DEBUG if known else level, "%s", message)

    def recovered(self, source: str) -> None:
        """Log that the last of the sources with this trouble works again."""
        told = self._told.pop(source, None)
        if told and not any(told.latest in others for others in self._told.values()):
            self._logger.info("%s is read again", source)


class _Told:
    """The messages that were told and need not be told again, the latest ones where there are very many."""

    _MOST = 100

    def __init__(self) -> None:
        self._messages: dict[str, None] = {}

    def __contains__(self, message: str) -> bool:
        return message in self._messages

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def latest(self) -> str:
        return next(reversed(self._messages))

    def add(self, message: str) -> None:
        self._messages.pop(message, None)
        self._messages[message] = None
        if len(self._messages) > self._MOST:
            del self._messages[next(iter(self._messages))]

    def clear(self) -> None:
        self._messages.clear()


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Redacting(logging.Formatter):
    """Takes secrets out of the finished line, so that tracebacks and arguments are covered too."""

    def __init__(self, inner: logging.Formatter, secrets: Sequence[str]) -> None:
        super().__init__()
        self._inner = inner
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return redacted(self._inner.format(record), self._secrets)
