"""Settings of the engine: `users:`, `groups:`, `presence:`, `commands:` and `privacy:`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voluptuous import Invalid, Optional

from bridge.domain.dn import why_unpublishable
from bridge.domain.model import State
from bridge.domain.presence import DEFAULT_BUSY, DEFAULT_PROFILES, Rules, profile_key
from bridge.domain.privacy import CallerId
from bridge.options import Boolean, Choice, Duration, JsonSchema, ListOf, MapOf, Record, Text


class ProfileState(StrEnum):
    """What a profile can mean."""

    AVAILABLE = "available"
    AWAY = "away"
    DO_NOT_DISTURB = "do_not_disturb"


class NoProfile(StrEnum):
    """What a registered user without a profile counts as."""

    AVAILABLE = "available"
    UNKNOWN = "unknown"


class Unregistered(StrEnum):
    """What a user without a registered phone counts as."""

    OFFLINE = "offline"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class UsersSettings:
    """`users:`. `include` and `exclude` are DNs or globs; `forget_after` is in seconds."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    special: bool
    forget_after: float


USERS_SCHEMA = {
    Optional("include", default=[], description='DNs or globs ("1*"); empty: all users'): ListOf(Text()),
    Optional("exclude", default=[], description="DNs or globs; takes precedence over include"): ListOf(Text()),
    Optional(
        "special", default=False, description="Also publish non-person extensions, such as hot-desk phones"
    ): Boolean(),
    Optional(
        "forget_after", default="10m", description="A user that the PBX no longer reports is removed after this time"
    ): Duration(0, 30 * 86400),
}


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """One of `groups:`. Its members are all of these together."""

    users: tuple[str, ...] = ()
    """DNs or globs."""
    departments: tuple[str, ...] = ()
    """Names of departments in 3CX, whose members are the users that have them as primary one."""
    queues: tuple[str, ...] = ()
    """DNs of queues, whose members are their agents."""


class _Members:
    """A list of DNs or globs, or a mapping of GroupSettings; returned as it was written."""

    _users = ListOf(Text())
    _mapping = Record(
        {
            Optional("users", default=[], description="DNs or globs"): _users,
            Optional("departments", default=[], description="Names of departments in 3CX"): ListOf(Text()),
            Optional("queues", default=[], description="DNs of queues in 3CX, for their agents"): ListOf(Text()),
        }
    )

    def __call__(self, value: object) -> tuple[str, ...] | dict[str, Any]:
        if isinstance(value, dict):
            return self._mapping(value)
        if isinstance(value, list | tuple):
            users: tuple[str, ...] = self._users(value)
            return users
        raise Invalid('expected a list, such as ["101"], or a mapping of users, departments and queues')

    def json_schema(self) -> JsonSchema:
        return {"anyOf": [self._users.json_schema(), self._mapping.json_schema()]}


GROUPS = MapOf(Text(check=why_unpublishable), _Members(), 'such as {sales: ["10*", "205"]}')
"""`groups:`: name → members."""

PRESENCE_SCHEMA = {
    Optional("profiles", default={}, description="State of each profile, besides 3CX's own five"): MapOf(
        Text(), Choice(ProfileState), "such as {Lunch: away}"
    ),
    Optional("busy", default=[state.value for state in DEFAULT_BUSY], description="States that count as busy"): ListOf(
        Choice(State)
    ),
    Optional(
        "unregistered",
        default="offline",
        description="Users without a registered phone: offline, or ignore (they may have the app)",
    ): Choice(Unregistered),
    Optional(
        "no_profile",
        default="available",
        description="Registered users of whom the PBX names no profile, as they never changed it: available or unknown",
    ): Choice(NoProfile),
}

COMMANDS_SCHEMA = {
    Optional(
        "profile", default=False, description="Allow changing a user's profile (some builds of 3CX ignore it)"
    ): Boolean(),
    Optional("queue", default=False, description="Allow logging a user in to and out of the queues"): Boolean(),
    Optional(
        "record", default=False, description="Allow recording what the PBX says, redacted, into a file on this machine"
    ): Boolean(),
}

PRIVACY_SCHEMA = {
    Optional(
        "caller_id", default="masked", description="none; masked: extensions, last 3 digits of others; full: with names"
    ): Choice(CallerId),
}


def group_settings(options: Mapping[str, Any]) -> dict[str, GroupSettings]:
    """From validated options (GROUPS)."""
    return {
        name: GroupSettings(**members) if isinstance(members, Mapping) else GroupSettings(users=tuple(members))
        for name, members in options.items()
    }


def presence_rules(options: Mapping[str, Any]) -> Rules:
    """The rules from options that PRESENCE_SCHEMA has checked; profiles that these do not name keep their defaults."""
    profiles = {profile_key(name): state for name, state in DEFAULT_PROFILES.items()}
    profiles |= {profile_key(name): State(state) for name, state in options["profiles"].items()}
    return Rules(
        profiles=profiles,
        busy=frozenset(options["busy"]),
        ignore_unregistered=options["unregistered"] is Unregistered.IGNORE,
        no_profile=State(options["no_profile"]),
    )
