"""What other parts need to know about the configuration as a whole."""

from bridge.config import Config
from bridge.domain.model import FactKind
from bridge.engine.policy import Policy
from bridge.sources.threecx.timing import USUAL, ThreecxTiming

_SELECTING = ("enabled", "top", "skip", "search", "filter")
"""Options that decide which users a source reports, in the order in which `bridge/info` has them."""


def policy(config: Config, timing: ThreecxTiming = USUAL) -> Policy:
    """The engine's part of the configuration."""
    described = config.source_descriptions
    polled = [config.sources[each.name].interval for each in described if each.on and not each.pushes]
    pushed = [config.sources[each.name].interval for each in described if each.on and each.pushes]
    return Policy(
        users=config.users,
        rules=config.rules,
        caller_id=config.caller_id,
        groups=config.groups,
        sources=described,
        bound=timing.good_for(min(polled or pushed)),
        grace=timing.shortest_trust,
    )


def roster_options(config: Config) -> dict[str, object]:
    """The options that decide who is published.

    They stand in `bridge/info`: where they differ from those of the last run, users whom nobody reports are removed.
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


def publishes_monitor_rows(config: Config) -> bool:
    """Whether a source of monitor rows is on, and with it the topic `users/<dn>/monitor`."""
    return any(each.on and each.monitor_rows for each in config.source_descriptions)
