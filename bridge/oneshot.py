"""The commands that look and go: `check`, `users` and `light-test`.

Only one token per 3CX API client is valid at a time, so a bridge that is running is asked by MQTT; the PBX itself is
asked only where none is running, or where the user insists.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from bridge.aio import wait_for
from bridge.app import state_directory
from bridge.config import Config
from bridge.domain.clock import Clock
from bridge.domain.finding import Finding, Verdict, fail, ok, warn
from bridge.domain.message import Message, Rank
from bridge.engine.core import Engine
from bridge.errors import EXIT_UNREACHABLE, BridgeError, BrokerError, BrokerUnavailable
from bridge.health import Health
from bridge.intake import Intake, policy
from bridge.mqtt.readback import owner_in
from bridge.mqtt.visit import Visit, visiting
from bridge.outputs.lights.board import as_message
from bridge.outputs.lights.lamp import Lamp
from bridge.outputs.state import documents
from bridge.sources.threecx.refusals import Refusals

PATIENCE = 60.0
"""Seconds that the PBX may take to tell everything."""

_COLUMNS = ("number", "name", "state", "profile", "queue", "registered", "call")

Documents = list[dict[str, Any]]


class NoAnswer(BridgeError):
    """A bridge says that it is online, and does not answer."""

    exit_code = EXIT_UNREACHABLE


async def check(config: Config, *, force: bool = False) -> AsyncIterator[Finding]:
    """Try the broker, then the PBX through the bridge that is running; `force`: the PBX itself in any case."""
    for warning in config.warnings:
        yield warn("configuration", warning)
    findings, answer = await _check_broker(config, ask=not force)
    for finding in findings:
        yield finding
    if answer is not None:
        for each in answer:
            yield Finding(str(each["about"]), Verdict(each["verdict"]), str(each["message"]), int(each["exit_code"]))
    elif not any(finding.about == "bridge" for finding in findings):
        async with _own_intake(config) as (_, intake):
            found = list(intake.findings())
        for finding in found:
            yield finding


async def users(config: Config, *, force: bool = False) -> tuple[Documents, list[Finding]]:
    """Everybody's document, and what kept the PBX from telling more. `force`: do not ask the bridge that is running."""
    findings = []
    if not force:
        try:
            async with visiting(config.mqtt, config.topics, "users") as visit:
                answer = await _ask_running(visit, config, "users")
            if answer is not None:
                return answer, []
        except BrokerError as error:
            findings.append(warn("broker", f"{error}; so the PBX was asked, whether or not a bridge is running"))
    async with _own_intake(config) as (engine, intake):
        findings += [finding for finding in intake.findings() if finding.verdict is not Verdict.OK]
        return documents(engine.users()), findings


async def light_test(config: Config, name: str, tell: Callable[[str], None], seconds: float = 2.0) -> None:
    """Show each state's look on a light; the bridge that is running leaves it alone for so long."""
    light = next((light for light in config.lights if light.name == name), None)
    if light is None:
        there_are = (
            f"there are {', '.join(light.name for light in config.lights)}" if config.lights else "there are none"
        )
        raise BridgeError(f"there is no light {name!r} in lights: {there_are}")
    topics = config.topics
    async with visiting(config.mqtt, topics, "light-test") as visit:
        document = await visit.retained(topics.light_state(name)) or b"{}"
        paused = b'"paused":true' in document
        pause = Message(topics.light_set(name), b'{"pause":true}', Rank.STATE, retain=False)
        await visit.publish([pause])
        try:
            await _walk(visit, Lamp(replace(light, hours=None, after_call=0.0)), tell, seconds)
        finally:
            if not paused:
                await visit.publish([replace(pause, payload=b'{"pause":false}')])


async def _walk(visit: Visit, lamp: Lamp, tell: Callable[[str], None], seconds: float) -> None:
    clock = Clock()
    for state, look in lamp.settings.looks.items():
        tell(f"{state:<15} {look}")
        end = clock.monotonic() + seconds
        lamp.follow(lamp.name, state, clock.monotonic())
        while (now := clock.monotonic()) < end:
            await visit.publish(map(as_message, lamp.due(now, clock.wall())))
            await asyncio.sleep(max(0.0, min(lamp.next_time(now, clock.wall()), end) - now))


def as_table(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The documents in columns, for a terminal."""
    rows = [tuple(map(str.upper, _COLUMNS)), *(tuple(_cells(document)) for document in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


async def _check_broker(config: Config, *, ask: bool) -> tuple[list[Finding], Documents | None]:
    """How the broker stands, and what the running bridge says of the rest; None where none is running."""
    findings, answer = [], None
    try:
        async with visiting(config.mqtt, config.topics, "check") as visit:
            login = f"login {config.mqtt.username!r}" if config.mqtt.username else "no login"
            findings.append(ok("broker", f"{config.mqtt.host}:{config.mqtt.port} accepts {login}"))
            try:
                answer = await _ask_running(visit, config, "check") if ask else None
            except NoAnswer as error:
                findings.append(fail("bridge", str(error), error.exit_code))
            findings += await _try_topics(visit, config)
    except BrokerError as error:
        findings.append(fail("broker", str(error), error.exit_code))
    if answer is not None:
        findings.append(ok("bridge", "is running; what follows is what it says"))
    return findings, answer


async def _try_topics(visit: Visit, config: Config) -> list[Finding]:
    topics = config.topics
    findings = []
    owner = owner_in(await visit.retained(topics.bridge_info) or b"")
    if owner not in {None, config.pbx.name}:
        message = f"{topics.base}/# belongs to the bridge of the PBX {owner!r}: set another mqtt.base_topic"
        findings.append(fail("topics", message))
    places = [(f"{topics.base}/#", topics.bridge_check)]
    if config.homeassistant.enabled:
        places.append((f"{topics.discovery_prefix}/#", topics.discovery_check))
    for place, topic in places:
        message = f"nothing came back from {topic}: allow this login to write {place}, and to read {topic}"
        try:
            came_back = await visit.echo(topic)
        except BrokerUnavailable:  # some brokers put who publishes without a right out of the door
            return [*findings, fail("topics", message)]
        findings.append(ok("topics", f"{place} can be published to") if came_back else fail("topics", message))
    return findings


async def _ask_running(visit: Visit, config: Config, operation: str) -> Documents | None:
    """What the bridge of this PBX answers; None where none is running."""
    topics = config.topics
    if await visit.retained(topics.bridge_state) != b"online":
        return None
    if owner_in(await visit.retained(topics.bridge_info) or b"") != config.pbx.name:
        return None
    answer = await visit.ask(operation)
    if answer is None:
        raise NoAnswer(
            f"{topics.bridge_state} says that a bridge is online, but nobody answers {topics.request(operation)}: "
            "is it hanging, or may this login not read its answer? With --force the PBX itself is asked"
        )
    if answer.get("status") != "ok":
        raise NoAnswer(f"the bridge that is running answers: {answer.get('error')}")
    data = answer.get("data")
    return data if isinstance(data, list) else []


@asynccontextmanager
async def _own_intake(config: Config) -> AsyncIterator[tuple[Engine, Intake]]:
    """Log in to the PBX and read everything once, as the daemon would."""
    clock = Clock()
    engine = Engine(policy(config), (), _Nobody(), clock)
    refusals = Refusals(config.pbx, state_directory())
    intake = Intake(config, engine, clock, random.Random(), Health(clock), refusals)  # noqa: S311  # jitter
    reading = asyncio.create_task(intake.run(), name="pbx")
    try:
        await wait_for(intake.heard, PATIENCE)
        yield engine, intake
    finally:
        reading.cancel()
        await asyncio.wait({reading})


class _Nobody:
    """A Publisher without a broker."""

    in_step = False

    def publish(self, message: Message) -> None:
        """Nothing is in step, so nothing is published."""


def _cells(document: Mapping[str, Any]) -> Iterator[str]:
    call = document.get("call") or {}
    state = document.get("state")
    shown = {
        **document,
        "state": f"unknown ({document.get('reason')})" if state == "unknown" else state,
        "registered": None if document.get("registered") is None else "yes" if document["registered"] else "no",
        "call": " ".join(str(call[key]) for key in ("status", "direction", "party", "name") if call.get(key)),
    }
    for column in _COLUMNS:
        yield "".join(letter if letter.isprintable() else "?" for letter in str(shown.get(column) or "-"))
