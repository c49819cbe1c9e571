"""What `bridge/info` says about the configuration."""

from urllib.parse import urlsplit

from bridge.config import Config
from bridge.sources.threecx import monitor_status, users
from bridge.sources.threecx.settings import QueryOptions


def about(config: Config) -> dict[str, object]:
    """PBX, options in force and configuration, without secrets."""
    host = urlsplit(config.pbx.url).hostname or ""
    return {
        "pbx": {"name": config.pbx.name, "host": host},
        "options": options_in_force(config),
        "config": config.public(),
    }


def options_in_force(config: Config) -> dict[str, object]:
    """The options that decide who is published.

    The next run compares them with its own: if they differ, users who are no longer reported are removed at once.
    """
    who = config.users
    return {
        monitor_status.NAME: {"enabled": config.monitor_status.enabled.value} | _query(config.monitor_status.query),
        users.NAME: {"enabled": config.users_source.enabled} | _query(config.users_source.query),
        "include": list(who.include),
        "exclude": list(who.exclude),
        "special": who.special,
    }


def _query(query: QueryOptions) -> dict[str, object]:
    return {"top": query.top, "skip": query.skip, "search": query.search, "filter": query.filter}
