"""The command `check`: tries configuration, broker and PBX."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence

from bridge.commands import arguments, running_bridge
from bridge.commands.output import show
from bridge.commands.tenants import for_each
from bridge.config import Config
from bridge.domain.finding import Finding, Verdict, fail, most_severe, ok, warn
from bridge.domain.message import Message, Rank
from bridge.errors import EXIT_REFUSED, BrokerUnavailable
from bridge.mqtt.limits import BrokerLimits
from bridge.mqtt.oneshot_client import OneshotClient, ProbeResult, oneshot_client
from bridge.mqtt.read_back import Reading, Wildcards
from bridge.mqtt.timing import USUAL, MqttTiming

_LARGEST_USER = 4096
"""Bytes that discovery of one user, or of a light, may have."""
_PER_MEMBER = 64
"""Bytes more that discovery of a group has for each member."""
_MOST_MEMBERS = 200
"""Members that are named there."""
_MOST_NAMED = 10
"""Topics that a finding names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    arguments.add_force(parser)
    parser.add_argument("--offline", action="store_true", help="check the configuration only")


@for_each
def main(options: argparse.Namespace) -> int:
    """Print a line for each thing that was tried, as soon as it was; the code is that of the most severe finding."""
    settings = arguments.load_configuration(options)
    show(ok("configuration", f"{settings.tree.path} is valid"))
    if options.offline:
        for warning in settings.warnings:
            show(warn("configuration", warning))
        return 0

    async def show_all() -> int:
        found = []
        async for finding in check(settings, force=options.force):
            show(finding)
            found.append(finding)
        print(f"\n{next_step(found, settings)}")
        return most_severe(finding.exit_code for finding in found)

    return asyncio.run(show_all())


def next_step(found: Sequence[Finding], config: Config) -> str:
    """The one most useful thing to do now. Findings come in the order in which things depend on each other."""
    for verdict, words in ((Verdict.FAIL, "Next, mend"), (Verdict.WARN, "It works. Next, look at")):
        for finding in found:
            if finding.verdict is verdict and finding.about != "bridge":
                return f"{words} {finding.about}: {finding.message}"
    if any(finding.about == "bridge" and finding.verdict is Verdict.OK for finding in found):
        return "Everything works, and the bridge is running."
    return f"Everything works. Next: 3cx2mqtt run -c {config.tree.path}"


async def check(
    config: Config, *, force: bool = False, timing: MqttTiming = USUAL, shapes: dict[str, object] | None = None
) -> AsyncIterator[Finding]:
    """Try the broker, then the PBX through a running bridge; `force`: log in to the PBX even if a bridge is running.

    `shapes`, where somebody wants them, is filled with the counts of the shapes that the PBX has sent, by kind.
    """

    async def try_more(client: OneshotClient, result: ProbeResult) -> list[Finding]:
        if shapes is not None and result.online and not force:
            shapes.update(await running_bridge.shapes(client))
        return await try_topics(client, result, config, timing)

    for warning in config.warnings:
        yield warn("configuration", warning)
    report = await running_bridge.ask(config, "check", force=force, and_then=try_more, timing=timing)
    for finding in report.findings:
        yield finding
    if report.may_log_in:
        async with running_bridge.own_reader(config, force=force) as (_, reader):
            found = list(reader.findings())
            if shapes is not None:
                shapes.update(reader.shapes())
        for finding in found:
            yield finding


async def try_topics(client: OneshotClient, result: ProbeResult, config: Config, timing: MqttTiming) -> list[Finding]:
    """Whether this login may publish where the bridge does."""
    topics = config.topics
    findings = []
    if result.owner not in {None, config.pbx.name}:
        message = f"{topics.base}/# belongs to the bridge of the PBX {result.owner!r}: set another mqtt.base_topic"
        findings.append(fail("topics", message))
    findings.append(_topic_finding(f"{topics.base}/#", topics.bridge_check, came_back=result.clear))
    if result.clear:
        findings.append(_retained_finding((await client.read_back(()))[1], client.limits))
        if client.limits.qos < config.mqtt.qos:
            findings += [warn("qos", problem) for problem in client.limits.problems(config.mqtt.qos)][-1:]
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
    if result.clear:
        findings += [await _will_finding(client, config), await _size_finding(client, config)]
    if config.lights:
        findings.append(await _lights_finding(client, config))
    return findings


def _retained_finding(reading: Reading, limits: BrokerLimits) -> Finding:
    if not limits.retains:
        return fail("retained", next(iter(limits.problems(0))))
    if reading.problem is not None:
        return (warn if reading.by_name else fail)("retained", reading.problem)
    if reading.wildcards is Wildcards.LATE:
        return ok("retained", f"the broker sends retained messages {reading.late:.1f} s late, which is waited for")
    return ok("retained", "the broker keeps retained messages and shows them")


def _topic_finding(place: str, topic: str, *, came_back: bool) -> Finding:
    if came_back:
        return ok("topics", f"{place} can be published to")
    return fail("topics", f"nothing came back from {topic}: allow this login to write {place}, and to read {topic}")


async def _will_finding(client: OneshotClient, config: Config) -> Finding:
    """The bridge's own will goes to `bridge/state`, which may not be tried while one is running."""
    if await client.will_comes(config.mqtt):
        return ok("will", "the broker publishes the will of a client that is gone")
    return fail(
        "will", "the broker published no will, so a bridge that dies stays `online`: allow this login to set one"
    )


async def _size_finding(client: OneshotClient, config: Config) -> Finding:
    groups = config.groups.values()
    members = max(
        (_MOST_MEMBERS if group.departments or group.queues else len(group.users) for group in groups), default=0
    )
    size = _LARGEST_USER + _PER_MEMBER * min(members, _MOST_MEMBERS)
    try:
        came_back = await client.takes(size)
    except BrokerUnavailable:  # it closes the connection then; see above
        async with oneshot_client(config.mqtt, config.topics, "check"):
            came_back = False
    if came_back:
        return ok("size", f"the broker takes messages of {size} bytes, as large as discovery may be")
    return fail(
        "size",
        f"a message of {size} bytes, as large as discovery may be, did not come back: raise the broker's limit "
        "(message_size_limit and max_packet_size in Mosquitto)",
    )


async def _lights_finding(client: OneshotClient, config: Config) -> Finding:
    """Lights are not switched for this, so only some can be tried."""
    tried = [light for light in config.lights if light.driver.harmless is not None]
    untried = ", ".join(light.name for light in config.lights if light not in tried)
    note = f"; not tried, as it would switch them: {untried}" if untried else ""
    if not client.hears_denials:
        return ok("lights", "not tried: by MQTT 3.1.1 brokers do not say what they deny; 3cx2mqtt light-test shows it")
    denied = await client.denied(
        Message(topic, str(light.driver.harmless).encode(), Rank.STATE, retain=False)
        for light in tried
        for topic in sorted(light.driver.topics)
    )
    if denied:
        named = ", ".join(denied[:_MOST_NAMED])
        more = f" and {len(denied) - _MOST_NAMED} more" if len(denied) > _MOST_NAMED else ""
        message = f"the broker does not let this login publish to {named}{more}: allow that{note}"
        return fail("lights", message, EXIT_REFUSED)
    return ok("lights", f"{len(tried)} of {len(config.lights)} can be published to{note}")
