"""What `bridge/info` says about the configuration."""

from urllib.parse import urlsplit

from bridge.config import Config
from bridge.domain.clock import utc_text
from bridge.domain.model import FactKind

_SELECTING = ("enabled", "top", "skip", "search", "filter")
"""Options that decide which users a source reports, in the order in which `bridge/info` has them."""


def about(config: Config, instance: str, started: float) -> dict[str, object]:
    """PBX, options in force and configuration, without secrets.

    `instance` names this process, which has `started` then (Unix seconds).
    """
    host = urlsplit(config.pbx.url).hostname or ""
    return {
        "instance": instance,
        "started": utc_text(int(started)),
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
