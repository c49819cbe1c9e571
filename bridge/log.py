"""Logging: set-up, redaction of secrets, and one line instead of hundreds for what keeps failing."""

import json
import logging
import os
import re
import select
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self, TextIO

from voluptuous import Optional

from bridge.log_bounds import LogBounds, of_pbx
from bridge.options import Choice

LASTING = 300.0
"""Seconds without a failure after which a failure episode is over; until then a new failure makes it intermittent."""

_LONG = 8
"""A secret of this many characters is unlikely to be part of another word by chance."""


_bounds = LogBounds()
"""Of the whole process: a reload must not start them again."""


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """The form of a log line."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`log:`."""

    level: LogLevel
    format: LogFormat


LOG_SCHEMA = {
    Optional("level", default="info", description="Lowest level that is logged"): Choice(LogLevel),
    Optional("format", default="text", description="text: plain lines; json: one JSON object a line"): Choice(
        LogFormat
    ),
}


def setup(settings: LogSettings, secrets: Sequence[str] = (), stream: TextIO | None = None) -> None:
    """Log to stderr, or `stream`, at the level and in the format of `log:`; `secrets` are redacted in every line."""
    output = _Output(stream or sys.stderr)
    output.addFilter(_bounds)
    journal = _goes_to_the_journal(output.stream)
    formatter: logging.Formatter = _Text(journal=journal) if settings.format == "text" else _Json()
    redacting = _Redacting(formatter, secrets)
    output.setFormatter(_Prioritised(redacting) if journal else redacting)
    root = logging.getLogger()
    root.handlers[:] = [output]  # replaced, not added: a reload calls this again
    root.setLevel(logging.WARNING)  # libraries log only what is wrong
    logging.getLogger("bridge").setLevel(settings.level.upper())


def level() -> LogLevel:
    """The level in force."""
    return LogLevel(logging.getLevelName(logging.getLogger("bridge").getEffectiveLevel()).lower())


def set_level(wanted: LogLevel) -> None:
    """Change the level of the running process."""
    logging.getLogger("bridge").setLevel(wanted.upper())


def silence() -> None:
    """Log nothing, not even errors: the caller reports them in another way."""
    logging.getLogger("bridge").setLevel(logging.CRITICAL + 1)


class _Output(logging.StreamHandler[TextIO]):
    """Writes only what the other end of a pipe or terminal takes at once: logging must never stop the event loop.

    What it does not take is dropped, and counted in the next line that it takes.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._dropped = 0
        self._file: int | None = None
        with suppress(OSError, ValueError, AttributeError):  # a stream without a file, such as a test's
            self._file = stream.fileno()
            self._poll = select.poll()
            self._poll.register(self._file, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if self._file is None:
            super().emit(record)
            return
        if self._dropped and self._write(self._file, self.format(_loss(self._dropped))):
            self._dropped = 0
        if self._dropped or not self._write(self._file, self.format(record)):
            self._dropped += 1

    def _write(self, file: int, line: str) -> bool:
        """Write a line; False where not all of it was taken, or nobody will ever read it."""
        content = line.encode("utf-8", "backslashreplace") + b"\n"
        for start in range(0, len(content), select.PIPE_BUF):  # so much is taken without waiting
            if not any(events & select.POLLOUT for _, events in self._poll.poll(0)):
                return False
            try:
                os.write(file, content[start : start + select.PIPE_BUF])
            except OSError:
                return False
        return True


def _loss(lines: int) -> logging.LogRecord:
    text = "%d lines of the log were dropped, as nobody read them"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (lines,), None)


class Published(logging.Handler):
    """Passes warnings and errors to `publish` as JSON text, secrets redacted, while used as a context manager.

    In a process with several bridges only those of the one that it was made in.
    """

    def __init__(self, publish: Callable[[str], None], secrets: Sequence[str]) -> None:
        super().__init__(logging.WARNING)
        self._publish = publish
        self._pbx = of_pbx.get()
        self.addFilter(_bounds)
        self.setFormatter(_Redacting(_Json(), secrets))

    def emit(self, record: logging.LogRecord) -> None:
        """Publish one record."""
        if record.levelno >= self.level and of_pbx.get() == self._pbx:  # the filter may have made it a debug record
            self._publish(self.format(record))

    def __enter__(self) -> Self:
        logging.getLogger("bridge").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("bridge").removeHandler(self)


def harmless(text: str) -> str:
    """The text with `?` for everything unprintable: what comes from outside sends no control codes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` for each secret; longer ones first, as one may be part of another.

    Short ones are replaced as whole words only: otherwise a password such as `user` would put `***` into every line,
    which would also give it away.
    """
    for secret in sorted(_spellings(secrets), key=len, reverse=True):
        if len(secret) >= _LONG:
            text = text.replace(secret, "***")
        elif secret in text:
            # Not \b, which needs a word character in the secret where the two meet: passwords begin with any character.
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return text


def _spellings(secrets: Iterable[str]) -> set[str]:
    """The secrets as a line may contain them: plain, escaped as in JSON, and as in Python's repr() and ascii()."""
    return {
        spelling
        for secret in filter(None, secrets)
        for spelling in (secret, json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1], ascii(secret)[1:-1])
    }


class RepeatedFailure:
    """Logs something that may fail repeatedly: each message once per failure episode, later at debug, and the recovery.

    With `lasting`, an episode is over only after so many seconds without a failure. A failure before that makes it
    intermittent, which is logged once. The caller reports every success to `recovered`, so that the time can pass.
    """

    def __init__(
        self, logger: logging.Logger, lasting: float = 0.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._episode = _Episode(lasting, monotonic)

    def failed(self, message: str, level: int = logging.WARNING) -> None:
        """Log `message` at `level`, or at debug if this episode has logged it already."""
        text = self._episode.text_for(message)
        self._logger.log(logging.DEBUG if text in self._episode else level, "%s", text, stacklevel=2)
        self._episode.logged(text)

    def recovered(self, message: str) -> None:
        """Log `message` at info if there was a failure to recover from."""
        if self._episode.succeeded():
            self._logger.info("%s", message, stacklevel=2)


class RepeatedFailures:
    """Logs failures of several sources: a message that they share, such as a PBX that is down, is logged once."""

    def __init__(
        self, logger: logging.Logger, lasting: float = LASTING, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """For `lasting` see RepeatedFailure."""
        self._logger = logger
        self._episodes: defaultdict[str, _Episode] = defaultdict(lambda: _Episode(lasting, monotonic))

    def failed(self, source: str, message: str, level: int = logging.WARNING) -> None:
        """Log `message` at `level`, or at debug if it was logged for a source that has not worked since."""
        episode = self._episodes[source]
        text = episode.text_for(message)
        known = text in episode or self._is_failing_with(text)
        episode.logged(text)
        self._logger.log(logging.DEBUG if known else level, "%s", text, stacklevel=2)

    def recovered(self, source: str) -> None:
        """Log the recovery at info, once the last of the sources with this failure works again."""
        episode = self._episodes[source]
        latest = episode.latest
        # While another source still fails with the same message, the cause is not gone.
        if episode.succeeded() and not self._is_failing_with(latest):
            self._logger.info("%s: reading again", source)

    def _is_failing_with(self, text: str) -> bool:
        return any(episode.is_failing and text in episode for episode in self._episodes.values())


class _Episode:
    """One failure episode: the messages that it has logged, and whether it is intermittent."""

    _MOST = 100
    """Messages remembered; some contain numbers or times and are never the same twice."""

    def __init__(self, lasting: float, monotonic: Callable[[], float]) -> None:
        self._lasting = lasting
        self._monotonic = monotonic
        self._messages: dict[str, None] = {}
        self._intermittent = False
        self._working_since: float | None = None

    def __contains__(self, message: str) -> bool:
        return message in self._messages

    @property
    def latest(self) -> str:
        """The message logged last; empty if there is none."""
        return next(reversed(self._messages), "")

    @property
    def is_failing(self) -> bool:
        """Whether nothing has worked since the last failure."""
        return bool(self._messages) and self._working_since is None

    def text_for(self, message: str) -> str:
        """Note a failure; returns the text to log for it."""
        working_since, self._working_since = self._working_since, None
        if working_since is None:
            return message
        if self._monotonic() - working_since >= self._lasting:
            self._forget()
            return message
        already_said, self._intermittent = self._intermittent, True
        return message if already_said else f"{message}; intermittent: logged at debug level from now on"

    def logged(self, message: str) -> None:
        """Remember that `message` was logged."""
        self._messages.pop(message, None)  # moves it to the end: the oldest message is forgotten first
        self._messages[message] = None
        if len(self._messages) > self._MOST:
            del self._messages[next(iter(self._messages))]

    def succeeded(self) -> bool:
        """Note a success; returns whether to log the recovery: at once, or if intermittent when the episode is over."""
        if not self._messages:
            return False
        now = self._monotonic()
        first = self._working_since is None
        self._working_since = now if self._working_since is None else self._working_since
        over = now - self._working_since >= self._lasting
        to_log = over if self._intermittent else first
        if over:
            self._forget()
        return to_log

    def _forget(self) -> None:
        self._messages.clear()
        self._intermittent, self._working_since = False, None


def _goes_to_the_journal(stream: TextIO) -> bool:
    """Whether the stream is the systemd journal, which records time and priority itself (systemd.exec(5))."""
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
        """One line per message: text from outside can neither start a line of its own nor send control codes."""
        pbx = of_pbx.get()
        record.message = _one_line(record.message if pbx is None else f"[{pbx}] {record.message}")
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """The same for text quoted in a traceback, whose own line breaks stay."""
        return "\n".join(map(_one_line, super().formatException(ei).split("\n")))


class _Prioritised(logging.Formatter):
    """Starts each line with its syslog priority, which the journal reads and removes (sd-daemon(3))."""

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
            **({} if (pbx := of_pbx.get()) is None else {"pbx": pbx}),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return "".join(map(_escaped, json.dumps(line, ensure_ascii=False)))


def _escaped(letter: str) -> str:
    """Escapes what JSON leaves as it is and terminals take for control codes or line ends, such as U+2028."""
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]


class _Redacting(logging.Formatter):
    """Redacts secrets in the finished line, so that tracebacks and arguments are covered too."""

    def __init__(self, inner: logging.Formatter, secrets: Sequence[str]) -> None:
        super().__init__()
        self._inner = inner
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return redacted(self._inner.format(record), self._secrets)
