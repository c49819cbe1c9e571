"""What others may change in the PBX through the bridge: `users/<dn>/set`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.domain.model import Command, Queue
from bridge.domain.presence import DEFAULT_PROFILES, profile_key
from bridge.errors import BridgeError

_KEYS = ("profile", "queue")


@dataclass(frozen=True, slots=True)
class CommandsSettings:
    """`commands:`."""

    profile: bool
    queue: bool

    @property
    def any(self) -> bool:
        """Whether anything may be changed at all."""
        return self.profile or self.queue


class CommandDesk:
    """Turns a request into a Command, or refuses it with a BridgeError that says why."""

    def __init__(
        self, settings: CommandsSettings, is_published: Callable[[str], bool], submit: Callable[[Command], None]
    ) -> None:
        self._settings = settings
        self._is_published = is_published
        self._submit = submit

    def receive(self, dn: str, request: Mapping[str, object]) -> None:
        """Pass on what `request` asks for the user: {"profile": "Away"}, {"queue": "logged_in"}, or both."""
        unknown = [key for key in request if key not in _KEYS]
        if unknown or not request or None in request.values():
            raise BridgeError('write {"profile": "Away"} or {"queue": "logged_in"}')
        for key in request:
            if not getattr(self._settings, key):
                raise BridgeError(f"changing the {key} is switched off: set commands.{key} to true")
        if not self._is_published(dn):
            raise BridgeError(f"there is no user {dn!r}")
        self._submit(Command(dn, _profile(request.get("profile")), _queue(request.get("queue"))))


def _profile(value: object) -> str | None:
    if value is None:
        return None
    for name in DEFAULT_PROFILES:
        if isinstance(value, str) and profile_key(name) == profile_key(value):
            return name
    raise BridgeError(f"{value!r} is no profile: there are {', '.join(DEFAULT_PROFILES)}")


def _queue(value: object) -> Queue | None:
    if value is None:
        return None
    if value in tuple(Queue):
        return Queue(str(value))
    raise BridgeError(f"{value!r} is neither {' nor '.join(Queue)}")
