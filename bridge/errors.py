"""Errors, classified by what the caller does about them.

Each class also has the exit code of a command that fails with it: 78 wrong configuration, 77 credentials refused,
69 not reachable, 1 anything else.

BridgeError
├─ ConfigError              print every problem, exit 78
├─ SourceError              `answered`: the PBX itself gave a well-formed answer
│  ├─ SourceUnavailable     back off and retry (network, time-out, 5xx, a proxy's HTML, 429)
│  ├─ SourceAuthError       credentials refused: retry no sooner than `retry_in`
│  ├─ SourcePermissionError a fresh token was refused: name the missing right, slow down
│  ├─ SourceQueryError      the PBX rejected $filter, $search, …: show its own message
│  ├─ SourceMissing         this build of 3CX lacks the function: try again much later
│  └─ SourceProtocolError   the answer is malformed: skip it, log it once
└─ BrokerError
   ├─ BrokerUnavailable     back off and retry
   └─ BrokerAuthError       login refused: back off for a long time
"""

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_UNREACHABLE = 69
EXIT_REFUSED = 77
EXIT_CONFIG = 78


class BridgeError(Exception):
    """Base of all errors that the bridge raises on purpose; its text is a message for users."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration: its place, its key, what is wrong and what to do."""

    place: str
    """`config.yaml:14`, the file alone, or the name of an environment variable."""
    key: str
    """Dotted: `mqtt.port`; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        return f"{self.place} {self.key}: {self.message}" if self.key else f"{self.place}: {self.message}"


class ConfigError(BridgeError):
    """The configuration cannot be used; `problems` holds every mistake found, in file order."""

    exit_code = EXIT_CONFIG

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class SourceError(BridgeError):
    """A request to the PBX failed."""

    answered = False
    """Whether the PBX itself gave a well-formed answer, so that it counts as online."""


class SourceUnavailable(SourceError):
    """No usable answer; `retry_in` is what the PBX asked for (Retry-After), in seconds, or None."""

    exit_code = EXIT_UNREACHABLE

    def __init__(self, message: str, *, retry_in: float | None = None, answered: bool = False) -> None:
        super().__init__(message)
        self.retry_in = retry_in
        self.answered = answered


class SourceAuthError(SourceError):
    """The PBX refused client_id and client_secret; no login may be tried for `retry_in` seconds."""

    exit_code = EXIT_REFUSED

    def __init__(self, message: str, *, retry_in: float) -> None:
        super().__init__(message)
        self.retry_in = retry_in


class SourcePermissionError(SourceError):
    """The token is valid, but has no right to this path."""

    answered = True


class SourceQueryError(SourceError):
    """HTTP 400: an option such as `filter` is wrong; `pbx_message` is the PBX's own message."""

    answered = True
    exit_code = EXIT_CONFIG

    def __init__(self, message: str, *, pbx_message: str) -> None:
        super().__init__(message)
        self.pbx_message = pbx_message


class SourceMissing(SourceError):
    """HTTP 404: this build of 3CX does not have the function."""

    answered = True


class SourceProtocolError(SourceError):
    """The answer is not what the API documents."""


class BrokerError(BridgeError):
    """The MQTT broker could not be used."""


class BrokerUnavailable(BrokerError):
    """Not reachable, or the connection was lost."""

    exit_code = EXIT_UNREACHABLE


class BrokerAuthError(BrokerError):
    """The broker refused the login."""

    exit_code = EXIT_REFUSED
