"""What `bridge/info` says about the process and its configuration."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from bridge.config import Config
from bridge.domain.clock import utc_text
from bridge.domain.model import FactKind

_SELECTING = ("enabled", "top", "skip", "search", "filter")
"""Options that decide which users a source reports, in the order in which `bridge/info` has them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """By what a process is told from others that run the same configuration, or did before."""

    instance: str
    """8 hexadecimal digits, of no meaning."""
    started: float
    """Unix seconds."""


def new_identity(wall: Callable[[], float] = time.time) -> Identity:
    """That of a process that starts now."""
    return Identity(secrets.token_hex(4), wall())


def about(config: Config, identity: Identity) -> dict[str, object]:
    """The process, PBX, options in force and configuration, without secrets."""
    host = urlsplit(config.pbx.url).hostname or ""
    return {
        "instance": identity.instance,
        "started": utc_text(int(identity.started)),
        "role": "active",  # who stands by publishes nothing
        "pbx": {"name": config.pbx.name, "host": host},
        "options": options_in_force(config),
        "config": config.public(),
    }


def options_in_force(config: Config) -> dict[str, object]:
    """The options that decide who is published.

    The next run compares them with its own: if they differ, users who are no longer reported are removed at once.
    """
    options = config.options["sources"]
    who = config.users
    return {
        **{
            each.name: {name: options[each.name][name] for name in _SELECTING if name in options[each.name]}
            for each in config.source_descriptions
            if each.kind is FactKind.PEOPLE
        },
        "include": list(who.include),
        "exclude": list(who.exclude),
        "special": who.special,
    }
