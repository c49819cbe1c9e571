"""Tries each answer at once, by the tests of `check`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.commands import running_bridge
from bridge.commands.check import try_topics
from bridge.config import Config
from bridge.domain.finding import Finding, fail, ok
from bridge.domain.model import User
from bridge.errors import BrokerError
from bridge.mqtt.oneshot_client import oneshot_client
from bridge.mqtt.timing import USUAL


@dataclass(slots=True)
class BrokerTrial:
    """What the broker said."""

    findings: list[Finding] = field(default_factory=list)
    bridge: Mapping[str, object] = field(default_factory=dict)
    """The configuration of a bridge that runs on it; empty: none does, or it cannot be seen."""


@dataclass(slots=True)
class PbxTrial:
    """What the PBX said."""

    findings: list[Finding]
    users: list[User]


async def try_broker(config: Config) -> BrokerTrial:
    """Connect, and try what the bridge has to be allowed."""
    trial = BrokerTrial()
    settings = config.mqtt
    try:
        async with oneshot_client(settings, config.topics, "init", USUAL) as client:
            login = f"as {settings.username!r}" if settings.username else "without a login"
            trial.findings.append(ok("broker", f"{settings.host}:{settings.port} accepts this client {login}"))
            result = await client.probe()
            if result.online:
                trial.bridge = result.config
            trial.findings += await try_topics(client, result, config, USUAL)
    except BrokerError as error:
        trial.findings.append(fail("broker", str(error), error.exit_code))
    return trial


async def try_pbx(config: Config) -> PbxTrial:
    """Log in once, and read everything once. A key that the PBX has refused lately is not sent again."""
    async with running_bridge.own_reader(config, force=False) as (engine, reader):
        return PbxTrial(list(reader.findings()), engine.users())
