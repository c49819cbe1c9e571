"""What can go wrong, classed by what the caller does about it.

Each class also says with which exit code a command ends that fails by it: 78 wrong configuration, 77 credentials
refused, 69 not reachable, 1 anything else.

BridgeError
├─ ConfigError              print every problem, exit 78
├─ SourceError              `answered`: the PBX itself gave a well-formed answer
│  ├─ SourceUnavailable     back off and retry (network, time-out, 5xx, a proxy's HTML, 429)
│  ├─ SourceAuthError       credentials refused: retry no sooner than `retry_in`
│  ├─ SourcePermissionError a fresh token was refused: name the missing right, slow down
│  ├─ SourceQueryError      the PBX rejected $filter, $search, …: show its own message
│  ├─ SourceMissing         this build of 3CX has no such function: look again much later
│  └─ SourceProtocolError   the answer makes no sense: skip it, log it once
└─ BrokerError
   ├─ BrokerUnavailable     back off and retry
   └─ BrokerAuthError       login refused: back off for long
"""

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_UNREACHABLE = 69
EXIT_REFUSED = 77
EXIT_CONFIG = 78


class BridgeError(Exception):
    """Base of everything the bridge raises on purpose; its text is fit for a person to read."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration: where it stands, which key it is, what is wrong and what to do."""

    place: str
    """`config.yaml:14`, the file alone, or the name of an environment variable."""
    key: str
    """Dotted: `mqtt.port`; empty when the file as a whole is meant."""
    message: str

    def __str__(self) -> str:
        return f"{self.place} {self.key}: {self.message}" if self.key else f"{self.place}: {self.message}"


class ConfigError(BridgeError):
    """The configuration cannot be used; carries every problem found, in file order."""

    exit_code = EXIT_CONFIG

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class SourceError(BridgeError):
    """A request to the PBX failed."""

    answered = False


class SourceUnavailable(SourceError):
    """No usable answer; `retry_in` seconds is the PBX's own wish (Retry-After), if it had one."""

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
    """The token is good and this path is closed to it."""

    answered = True


class SourceQueryError(SourceError):
    """HTTP 400: `pbx_message` is the PBX's own wording. An option such as `filter` is at fault."""

    answered = True
    exit_code = EXIT_CONFIG

    def __init__(self, message: str, *, pbx_message: str) -> None:
        super().__init__(message)
        self.pbx_message = pbx_message


class SourceMissing(SourceError):
    """HTTP 404: the function is not in this build."""

    answered = True


class SourceProtocolError(SourceError):
    """The answer arrived and is not what the API promises."""


class BrokerError(BridgeError):
    """The MQTT broker could not be used."""


class BrokerUnavailable(BrokerError):
    """Not reachable, or the connection broke."""

    exit_code = EXIT_UNREACHABLE


class BrokerAuthError(BrokerError):
    """The broker refused the login."""

    exit_code = EXIT_REFUSED
