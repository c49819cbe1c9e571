"""Requests under `users/<dn>/set`: what MQTT clients may change in the PBX (`commands:`)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bridge.domain.model import Command, Queue
from bridge.domain.presence import DEFAULT_PROFILES, profile_key
from bridge.errors import BridgeError

_KEYS = ("profile", "queue")


Outcome = Awaitable[str | None]
"""Awaited for what became of a command: None once the PBX has made the change, else what happened, for people."""


@dataclass(frozen=True, slots=True)
class CommandsSettings:
    """`commands:`: what MQTT clients may ask for. All is off unless configured, as any client could do so."""

    profile: bool
    queue: bool
    record: bool = False
    """Whether a recording may be made: it changes nothing, but costs the PBX a few requests and this machine a file."""

    @property
    def any(self) -> bool:
        """Whether anything may be changed in the PBX, so that the topics are subscribed to."""
        return self.profile or self.queue


class CommandDesk:
    """Checks requests and turns them into Commands."""

    def __init__(
        self, settings: CommandsSettings, is_published: Callable[[str], bool], submit: Callable[[Command], Outcome]
    ) -> None:
        """`is_published` says whether there is a user with a DN; `submit` has a command carried out soon."""
        self._settings = settings
        self._is_published = is_published
        self._submit = submit

    def receive(self, dn: str, request: Mapping[str, object]) -> Outcome:
        """Submit what `request` asks for: {"profile": "Away"}, {"queue": "logged_in"}, or both.

        Raises BridgeError, with a text for the sender, where the request is refused.
        """
        unknown = [key for key in request if key not in _KEYS]
        if unknown or not request or None in request.values():
            raise BridgeError('write {"profile": "Away"} or {"queue": "logged_in"}')
        for key in request:
            if not getattr(self._settings, key):
                raise BridgeError(f"changing the {key} is switched off: set commands.{key} to true")
        if not self._is_published(dn):
            raise BridgeError(f"there is no user {dn!r}")
        return self._submit(Command(dn, _profile(request.get("profile")), _queue(request.get("queue"))))


def _profile(value: object) -> str | None:
    if value is None:
        return None
    for name in DEFAULT_PROFILES:
        if isinstance(value, str) and profile_key(name) == profile_key(value):
            return name
    raise BridgeError(f"{value!r} is not a profile: write one of {', '.join(DEFAULT_PROFILES)}")


def _queue(value: object) -> Queue | None:
    if value is None:
        return None
    if value in tuple(Queue):
        return Queue(str(value))
    raise BridgeError(f"{value!r} is not a queue login: write {' or '.join(Queue)}")
