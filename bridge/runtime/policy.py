"""What other parts need to know about the configuration as a whole."""

from bridge.config import Config
from bridge.engine import timing as engine_timing
from bridge.engine.policy import Policy
from bridge.sources.threecx.timing import USUAL, ThreecxTiming


def policy(
    config: Config, timing: ThreecxTiming = USUAL, engine: engine_timing.EngineTiming = engine_timing.USUAL
) -> Policy:
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
        timing=engine,
        zone=config.zone,
    )


def publishes_monitor_rows(config: Config) -> bool:
    """Whether a source of monitor rows is on, and with it the topic `users/<dn>/monitor`."""
    return any(each.on and each.monitor_rows for each in config.source_descriptions)
