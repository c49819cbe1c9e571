"""How commands get at the PBX: through a running bridge, or by a login of their own.

Only one token per 3CX API client is valid at a time: a command that logs in ends the token of a running bridge. So
commands ask that bridge by MQTT, and log in to the PBX only where none is running, or where the user insists.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bridge.aio import wait_for
from bridge.config import Config
from bridge.domain.clock import Clock
from bridge.domain.finding import Finding, Verdict, fail, ok, warn
from bridge.domain.message import Message
from bridge.engine.engine import Engine
from bridge.errors import EXIT_UNREACHABLE, BrokerError
from bridge.mqtt.oneshot_client import NoAnswer, OneshotClient, ProbeResult, oneshot_client
from bridge.mqtt.timing import USUAL, MqttTiming
from bridge.runtime.pbx import Instruments, PbxReader
from bridge.runtime.policy import policy
from bridge.runtime.supervision import Pulse
from bridge.sources.threecx.client.login_backoff import LoginBackoff, state_directory
from bridge.statistics import Statistics
from bridge.topics import to_json

PATIENCE = 60.0
"""Seconds within which every source must have finished its first poll, or have reported why it cannot."""

_MOST_NAMED = 5
"""So many differing options are named."""
_PART = 150
"""So many users are asked for at a time: a broker may not take the answer for thousands in one message."""

Documents = list[dict[str, Any]]


@dataclass(slots=True)
class Report:
    """The state of the broker, and what the running bridge answered."""

    findings: list[Finding]
    may_log_in: bool
    """Whether the command may log in to the PBX: no bridge is running, or the user insists."""
    users: Documents = field(default_factory=list)


async def ask(
    config: Config,
    command: str,
    *,
    force: bool,
    all_users: bool = False,
    and_then: Callable[[OneshotClient, ProbeResult], Awaitable[list[Finding]]] | None = None,
    timing: MqttTiming = USUAL,
) -> Report:
    """Connect to the broker as `command`, and ask a running bridge for its findings, and for `all_users`.

    Where a bridge is running, or may be, `may_log_in` is False whatever else goes wrong, unless `force`, which asks no
    bridge. `and_then` gets the connection before it is closed, and adds findings.
    """
    report = Report([], may_log_in=True)
    try:
        async with oneshot_client(config.mqtt, config.topics, command, timing) as client:
            login = f"as {config.mqtt.username!r}" if config.mqtt.username else "without a login"
            report.findings.append(ok("broker", f"{config.mqtt.host}:{config.mqtt.port} accepts this client {login}"))
            result = await client.probe()
            report.may_log_in = force or (result.clear and not result.online)
            if not report.may_log_in:
                await _ask_bridge(client, result, config, report, all_users=all_users)
            # Behind the question: some brokers disconnect a client that publishes without the right to.
            if and_then is not None:
                report.findings += await and_then(client, result)
    except BrokerError as error:
        report.findings.append(fail("broker", str(error), error.exit_code))
        if report.may_log_in and not force:
            message = "without the broker it is not known whether a bridge is running, so the PBX was asked anyway"
            report.findings.append(warn("bridge", message))
    return report


async def _ask_bridge(
    client: OneshotClient, result: ProbeResult, config: Config, report: Report, *, all_users: bool
) -> None:
    """Add the bridge's answers to the report, or why there are none."""
    problem = None
    if not result.online:
        problem = f"may be running, but this login may not read {config.topics.base}/bridge/#"
    elif result.owner not in {None, config.pbx.name}:
        problem = f"is running here, but for the PBX {result.owner!r}"
    else:
        try:
            findings = [_finding(each) for each in _objects(await client.ask("check"))]
            report.users = await _all_users(client) if all_users else []
        except NoAnswer as error:
            problem = str(error)
        else:
            report.findings += [_about_bridge(result, config), *findings]
    if problem is not None:
        message = f"{problem}; so the PBX was not asked: --force asks it anyway"
        report.findings.append(fail("bridge", message, EXIT_UNREACHABLE))


def _about_bridge(result: ProbeResult, config: Config) -> Finding:
    """Whether the bridge runs with this configuration; secrets are not published, so they cannot be compared."""
    mine, its = (dict(_flat(tree)) for tree in (json.loads(to_json(config.public())), result.config))
    differing = sorted(key for key in mine.keys() | its.keys() if mine.get(key) != its.get(key))
    if not its or not differing:
        return ok("bridge", "is running; the following is its answer")
    named = ", ".join(differing[:_MOST_NAMED]) + (", …" if len(differing) > _MOST_NAMED else "")
    return warn(
        "bridge",
        f"is running with another configuration ({named}), and the following is its answer for that one: restart it, "
        "or send it SIGHUP; --force tries this one",
    )


def _flat(tree: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


async def shapes(client: OneshotClient) -> Mapping[str, object]:
    """The shapes of what the PBX sent to the running bridge, with their counts; empty where it does not answer."""
    try:
        data = await client.ask("shapes")
    except NoAnswer:  # an older version, or it hangs, which other requests report
        return {}
    return data if isinstance(data, dict) else {}


async def denied_topics(client: OneshotClient) -> frozenset[str]:
    """What the broker does not let the running bridge publish to, as far as it says so."""
    findings = [_finding(each) for each in _objects(await client.ask("check"))]
    return frozenset(topic for finding in findings for topic in finding.topics)


async def _all_users(client: OneshotClient) -> Documents:
    found: Documents = []
    while part := _objects(await client.ask("users", skip=len(found), top=_PART)):
        found += part
        if len(part) != _PART:
            break
    return found


def _objects(data: object) -> Documents:
    """A list of objects, as the bridge answers; anything else in the list is left out."""
    if not isinstance(data, list):
        raise NoAnswer("the running bridge answered with something other than a list: is it of another version?")
    return [each for each in data if isinstance(each, dict)]


def _finding(answer: Mapping[str, object]) -> Finding:
    """A finding as the bridge sends it; a verdict that only a newer bridge knows becomes a warning."""
    code = answer.get("exit_code")
    try:
        verdict = Verdict(str(answer.get("verdict")))
    except ValueError:
        verdict = Verdict.WARN
    topics = answer.get("topics")
    return Finding(
        str(answer.get("about")),
        verdict,
        str(answer.get("message")),
        code if isinstance(code, int) else 1,
        tuple(map(str, topics)) if isinstance(topics, list) else (),
    )


@asynccontextmanager
async def own_reader(config: Config, *, force: bool) -> AsyncIterator[tuple[Engine, PbxReader]]:
    """Log in to the PBX and read everything once, as the daemon would; `force`: even if it refused that before."""
    async with reading_pbx(config, force=force) as (engine, reader):
        await wait_for(reader.reported, PATIENCE)
        yield engine, reader


@asynccontextmanager
async def reading_pbx(config: Config, *, force: bool) -> AsyncIterator[tuple[Engine, PbxReader]]:
    """The same, for as long as the block lasts; nothing has been read when it begins."""
    clock = Clock()
    engine = Engine(policy(config), (), _NoPublisher(), clock)
    refusals = LoginBackoff(config.pbx, None if force else state_directory())
    rng = random.Random()  # noqa: S311  # jitter
    instruments = Instruments(clock, rng, Statistics(clock), Pulse(clock))
    reader = PbxReader(config, engine, instruments, refusals, renews=False)
    reading = asyncio.create_task(reader.run(), name="pbx")
    opened = asyncio.create_task(reader.opened.wait(), name="opened")
    try:
        await asyncio.wait({reading, opened}, return_when=asyncio.FIRST_COMPLETED)
        yield engine, reader
    finally:
        for task in (reading, opened):
            task.cancel()
        await asyncio.wait({reading, opened})


class _NoPublisher:
    """A Publisher without a broker."""

    in_sync = False

    def publish(self, message: Message) -> None:
        """Publish nothing: never in sync."""
