"""The command `check`: tries configuration, broker and PBX."""

import argparse
import asyncio
from collections.abc import AsyncIterator

from bridge.commands import arguments, running_bridge
from bridge.commands.output import show
from bridge.config import Config
from bridge.domain.finding import Finding, fail, most_severe, ok, warn
from bridge.errors import BrokerUnavailable
from bridge.mqtt.oneshot_client import OneshotClient, ProbeResult, oneshot_client
from bridge.mqtt.read_back import Reading, Wildcards
from bridge.mqtt.timing import USUAL, MqttTiming


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    arguments.add_force(parser)
    parser.add_argument("--offline", action="store_true", help="check the configuration only")


def main(options: argparse.Namespace) -> int:
    """Print a line for each thing that was tried, as soon as it was; the code is that of the most severe finding."""
    settings = arguments.load_configuration(options)
    show(ok("configuration", f"{settings.tree.path} is valid"))
    if options.offline:
        for warning in settings.warnings:
            show(warn("configuration", warning))
        return 0

    async def show_all() -> int:
        codes = []
        async for finding in check(settings, force=options.force):
            show(finding)
            codes.append(finding.exit_code)
        return most_severe(codes)

    return asyncio.run(show_all())


async def check(
    config: Config, *, force: bool = False, timing: MqttTiming = USUAL, shapes: dict[str, object] | None = None
) -> AsyncIterator[Finding]:
    """Try the broker, then the PBX through a running bridge; `force`: log in to the PBX even if a bridge is running.

    `shapes` is filled with the counts of the shapes that the PBX has sent, by kind.
    """
    shapes = {} if shapes is None else shapes

    async def try_topics(client: OneshotClient, result: ProbeResult) -> list[Finding]:
        if result.online and not force:
            shapes.update(await running_bridge.shapes(client))
        return await _try_topics(client, result, config, timing)

    for warning in config.warnings:
        yield warn("configuration", warning)
    report = await running_bridge.ask(config, "check", force=force, and_then=try_topics, timing=timing)
    for finding in report.findings:
        yield finding
    if report.may_log_in:
        async with running_bridge.own_reader(config, force=force) as (_, reader):
            found = list(reader.findings())
            shapes.update(reader.shapes())
        for finding in found:
            yield finding


async def _try_topics(client: OneshotClient, result: ProbeResult, config: Config, timing: MqttTiming) -> list[Finding]:
    """Whether this login may publish where the bridge does."""
    topics = config.topics
    findings = []
    if result.owner not in {None, config.pbx.name}:
        message = f"{topics.base}/# belongs to the bridge of the PBX {result.owner!r}: set another mqtt.base_topic"
        findings.append(fail("topics", message))
    findings.append(_topic_finding(f"{topics.base}/#", topics.bridge_check, came_back=result.clear))
    if result.clear:
        findings.append(_retained_finding((await client.read_back(()))[1]))
    if config.homeassistant.enabled:
        try:
            came_back = await client.echo(topics.discovery_check)
        except BrokerUnavailable:
            # Some brokers disconnect a client that publishes without the right to. A second connection tells that
            # from a broker that is down: it raises then.
            async with oneshot_client(config.mqtt, topics, "check", timing):
                came_back = False
        place = f"{topics.discovery_prefix}/device/{topics.device_prefix}/#"
        findings.append(_topic_finding(place, topics.discovery_check, came_back=came_back))
    return findings


def _retained_finding(reading: Reading) -> Finding:
    if reading.problem is not None:
        return (warn if reading.by_name else fail)("retained", reading.problem)
    if reading.wildcards is Wildcards.LATE:
        return ok("retained", f"the broker sends retained messages {reading.late:.1f} s late, which is waited for")
    return ok("retained", "the broker keeps retained messages and shows them")


def _topic_finding(place: str, topic: str, *, came_back: bool) -> Finding:
    if came_back:
        return ok("topics", f"{place} can be published to")
    return fail("topics", f"nothing came back from {topic}: allow this login to write {place}, and to read {topic}")
