"""Settings of the engine: `users:`, `groups:`, `presence:`, `commands:` and `privacy:`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voluptuous import Optional

from bridge.domain.dn import why_unpublishable
from bridge.domain.model import State
from bridge.domain.presence import DEFAULT_BUSY, DEFAULT_PROFILES, Rules, profile_key
from bridge.domain.privacy import CallerId
from bridge.options import Boolean, Choice, Duration, ListOf, MapOf, Text


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

GROUPS = MapOf(Text(check=why_unpublishable), ListOf(Text()), 'such as {sales: ["10*", "205"]}')
"""`groups:`: name → DNs or globs of the members."""

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
