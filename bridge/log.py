"""Logging: set-up, redaction of secrets, and quiet about what goes on failing."""

import json
import logging
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self, TextIO

from voluptuous import Optional

from bridge.options import Choice

LASTING = 300.0
"""Seconds for which something must have worked to be well again rather than to come and go."""

_LONG = 8
"""Letters that make a secret long enough to be no part of another word by chance."""


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line looks."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`log:`."""

    level: LogLevel
    format: LogFormat


LOG_SCHEMA = {
    Optional("level", default="info", description="How much is logged"): Choice(LogLevel),
    Optional("format", default="text", description="Lines for people, or JSON for machines"): Choice(LogFormat),
}


def setup(settings: LogSettings, secrets: Sequence[str] = (), stream: TextIO | None = None) -> None:
    """Log to stderr at the level and in the format of `log:`; no line ever shows one of `secrets`."""
    output = logging.StreamHandler(stream or sys.stderr)
    journal = _goes_to_the_journal(output.stream)
    formatter: logging.Formatter = _Text(journal=journal) if settings.format == "text" else _Json()
    redacting = _Redacting(formatter, secrets)
    output.setFormatter(_Prioritised(redacting) if journal else redacting)
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
    for secret in sorted(_spelt(secrets), key=len, reverse=True):
        if len(secret) >= _LONG:
            text = text.replace(secret, "***")
        elif secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return text


def _spelt(secrets: Iterable[str]) -> set[str]:
    """The secrets as they may stand in a line: plain, as JSON has them, and as Python's repr()."""
    return {
        spelt
        for secret in filter(None, secrets)
        for spelt in (secret, json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1], ascii(secret)[1:-1])
    }


class Recurring:
    """Something that may fail again and again: told once, repeated at debug, and told when it works again.

    Where `lasting` seconds are given, what fails again sooner than that is told to come and go, and that is told once,
    too; it is over when it has worked for so long. Ask `recovered` again and again, then.
    """

    def __init__(
        self, logger: logging.Logger, lasting: float = 0.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._spell = _Spell(lasting, monotonic)

    def failed(self, message: str, level: int = logging.WARNING) -> None:
        """Log `message` at `level` unless it was told already of this trouble, else at debug."""
        text = self._spell.begins(message)
        self._logger.log(logging.DEBUG if text in self._spell else level, "%s", text)
        self._spell.told(text)

    def recovered(self, message: str) -> None:
        """Log `message` if there was a failure to recover from."""
        if self._spell.ends():
            self._logger.info("%s", message)


class Troubles:
    """What keeps several sources from working: what they all suffer from is told once."""

    def __init__(
        self, logger: logging.Logger, lasting: float = LASTING, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """For `lasting` see Recurring."""
        self._logger = logger
        self._spells: defaultdict[str, _Spell] = defaultdict(lambda: _Spell(lasting, monotonic))

    def failed(self, source: str, message: str, level: int = logging.WARNING) -> None:
        """Log `message` at `level`, or at debug if it was told of a source that has not worked since."""
        spell = self._spells[source]
        text = spell.begins(message)
        known = text in spell or any(each.goes_on and text in each for each in self._spells.values())
        spell.told(text)
        self._logger.log(logging.DEBUG if known else level, "%s", text)

    def recovered(self, source: str) -> None:
        """Log that the last of the sources with this trouble works again."""
        spell = self._spells[source]
        latest = spell.latest
        if spell.ends() and not any(each.goes_on and latest in each for each in self._spells.values()):
            self._logger.info("%s is read again", source)


class _Spell:
    """A time of trouble: what was told of it, as far as that need not be told again, and whether it comes and goes."""

    _MOST = 100

    def __init__(self, lasting: float, monotonic: Callable[[], float]) -> None:
        self._lasting = lasting
        self._monotonic = monotonic
        self._messages: dict[str, None] = {}
        self._comes_and_goes = False
        self._well_since: float | None = None

    def __contains__(self, message: str) -> bool:
        return message in self._messages

    @property
    def latest(self) -> str:
        """What was told last."""
        return next(reversed(self._messages), "")

    @property
    def goes_on(self) -> bool:
        """Whether nothing has worked since."""
        return bool(self._messages) and self._well_since is None

    def begins(self, message: str) -> str:
        """Something failed; gives what to say of it."""
        well, self._well_since = self._well_since, None
        if well is None:
            return message
        if self._monotonic() - well >= self._lasting:
            self._forget()
            return message
        relapse, self._comes_and_goes = not self._comes_and_goes, True
        return f"{message}; this comes and goes, and is told at debug level from now on" if relapse else message

    def told(self, message: str) -> None:
        """Take note of what was said."""
        self._messages.pop(message, None)
        self._messages[message] = None
        if len(self._messages) > self._MOST:
            del self._messages[next(iter(self._messages))]

    def ends(self) -> bool:
        """It works; says whether that is news."""
        if not self._messages:
            return False
        now = self._monotonic()
        first = self._well_since is None
        self._well_since = now if self._well_since is None else self._well_since
        settled = now - self._well_since >= self._lasting
        news = settled if self._comes_and_goes else first
        if settled:
            self._forget()
        return news

    def _forget(self) -> None:
        self._messages.clear()
        self._comes_and_goes, self._well_since = False, None


def _goes_to_the_journal(stream: TextIO) -> bool:
    """Whether systemd takes what is written there, and keeps time and priority beside it ($JOURNAL_STREAM)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class _Text(logging.Formatter):
    def __init__(self, *, journal: bool) -> None:
        time = "" if journal else "%(asctime)s "
        super().__init__(f"{time}%(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """One line for each message, whatever others have put into it: nobody writes lines of their own, or colours."""
        record.message = _one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """The same for what is quoted in a traceback."""
        return "\n".join(map(_one_line, super().formatException(ei).split("\n")))


class _Prioritised(logging.Formatter):
    """Each line begins with its priority as syslog counts it, which the journal takes off again (sd-daemon(3))."""

    _PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        priority = next(number for level, number in self._PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in self._inner.format(record).split("\n"))


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
        return "".join(map(_escaped, json.dumps(line, ensure_ascii=False)))


def _escaped(letter: str) -> str:
    """JSON itself leaves some letters that terminals obey or take for the end of a line."""
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]


class _Redacting(logging.Formatter):
    """Takes secrets out of the finished line, so that tracebacks and arguments are covered too."""

    def __init__(self, inner: logging.Formatter, secrets: Sequence[str]) -> None:
        super().__init__()
        self._inner = inner
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return redacted(self._inner.format(record), self._secrets)
