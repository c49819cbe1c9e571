"""Who is published, and when somebody goes: `users:`."""

from dataclasses import dataclass

from voluptuous import Optional

from bridge.settings import Boolean, Duration, ListOf, Text


@dataclass(frozen=True, slots=True)
class UsersSettings:
    """`users:`. `include` and `exclude` hold DNs or globs; `forget_after` is in seconds."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    special: bool
    forget_after: float


USERS_SCHEMA = {
    Optional("include", default=[], description='DNs or globs ("1*"); empty: everybody'): ListOf(Text()),
    Optional("exclude", default=[], description="DNs or globs; beats include"): ListOf(Text()),
    Optional("special", default=False, description="Also hot-desk phones and other users who are no people"): Boolean(),
    Optional(
        "forget_after", default="10m", description="How long a user may be missing before it is removed"
    ): Duration(0, 30 * 86400),
}
