"""The commands that look and go: `check`, `users` and `light-test`.

Only one token per 3CX API client is valid at a time, so a bridge that is running is asked by MQTT; the PBX itself is
asked only where none is running, or where the user insists.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.aio import wait_for
from bridge.config import Config
from bridge.domain.clock import Clock, unix_seconds
from bridge.domain.finding import Finding, Verdict, fail, ok, warn
from bridge.domain.light import Look
from bridge.domain.message import Message, Rank
from bridge.engine.engine import Engine
from bridge.errors import EXIT_UNREACHABLE, BridgeError, BrokerError, BrokerUnavailable
from bridge.log import harmless
from bridge.mqtt.oneshot_client import NoAnswer, OneshotClient, ProbeResult, visiting
from bridge.outputs.lights.light import Light
from bridge.outputs.lights.output import as_message
from bridge.outputs.lights.settings import LightSettings
from bridge.outputs.state import documents
from bridge.runtime.pbx import PbxReader
from bridge.runtime.policy import policy
from bridge.runtime.supervision import Pulse
from bridge.sources.threecx.client.login_backoff import LoginBackoff, state_directory
from bridge.statistics import Statistics
from bridge.topics import Topics, json_object, to_json

PATIENCE = 60.0
"""Seconds that the PBX may take to tell everything."""

_MOST_NAMED = 5
_PART = 150
"""So many users are asked for at a time."""

_MARGIN = 5.0
"""Seconds that an override outlasts its turn, should this command end without a word."""

_COLUMNS = ("number", "name", "state", "profile", "queue", "registered", "call")

Documents = list[dict[str, Any]]


async def check(config: Config, *, force: bool = False) -> AsyncIterator[Finding]:
    """Try the broker, then the PBX through the bridge that is running; `force`: the PBX itself in any case."""
    for warning in config.warnings:
        yield warn("configuration", warning)
    around = await _look_around(config, "check", force=force)
    for finding in around.findings:
        yield finding
    if not around.may_log_in:
        return
    async with _own_intake(config, force=force) as (_, intake):
        found = list(intake.findings())
    for finding in found:
        yield finding


async def users(config: Config, *, force: bool = False) -> tuple[Documents, list[Finding]]:
    """Everybody's document, and what is wrong. `force`: the PBX is asked itself, whether or not a bridge is running."""
    around = _Around([], may_log_in=True) if force else await _look_around(config, "users", force=False)
    findings = [finding for finding in around.findings if finding.verdict is not Verdict.OK]
    if not around.may_log_in:
        return around.users, findings
    async with _own_intake(config, force=force) as (engine, intake):
        findings += [finding for finding in intake.findings() if finding.verdict is not Verdict.OK]
        return documents(engine.users()), findings


async def light_test(config: Config, name: str, tell: Callable[[str], None], seconds: float = 2.0) -> None:
    """Show each state's look on a light; if a bridge is running, through it, as an override that ends by itself."""
    light = next((light for light in config.lights if light.name == name), None)
    if light is None:
        names = ", ".join(light.name for light in config.lights)
        raise BridgeError(f"there is no light {name!r} in lights: there are {names or 'none'}")
    async with visiting(config.mqtt, config.topics, "light-test") as visit:
        sight = await visit.look()
        if not sight.clear:
            raise BridgeError(f"this login may not read {config.topics.base}/bridge/#: a bridge may be running unseen")
        if sight.online:
            await _walk_by_override(visit, config.topics, light, tell, seconds)
        else:
            await _walk(visit, Light(replace(light, hours=None, after_call=0.0)), tell, seconds)


async def _walk_by_override(
    visit: OneshotClient, topics: Topics, light: LightSettings, tell: Callable[[str], None], seconds: float
) -> None:
    """Two sides that send to a light would fight. A pause holds, and what was overridden before is put back."""
    topic = topics.light_set(light.name)
    found = await visit.retained(topics.light_state(light.name))
    if found is None:
        raise BridgeError(
            f"the bridge that is running does not know the light {light.name!r}: reload or restart it first (or may "
            f"this login not read {topics.light_state(light.name)}?)"
        )
    document = json_object(found) or {}
    if document.get("paused"):
        raise BridgeError(f"the light {light.name!r} is paused: end that first")
    try:
        for state, look in light.looks.items():
            tell(f"{state:<15} {look}")
            await visit.publish([_override(topic, _options_of(look, seconds + _MARGIN))])
            await asyncio.sleep(seconds)
    finally:
        await visit.publish([_override(topic, _again(document.get("override")))])


def _override(topic: str, options: Mapping[str, object] | None) -> Message:
    return Message(topic, to_json({"override": options}).encode(), Rank.STATE, retain=False)


def _options_of(look: Look, seconds: float) -> dict[str, object]:
    if look.color is None:
        return {"color": "off", "for": seconds}
    return {"color": look.color.hex, "brightness": look.brightness, "blink": look.blink, "for": seconds}


def _again(before: object) -> dict[str, object] | None:
    """An override as it was published, as a request for what is left of it; None where there is none to be made out."""
    match before:
        case {"color": color, "blink": blink, "brightness": brightness, "until": until}:
            options: dict[str, object] = {"color": color or "off", "blink": blink}
            if color:
                options["brightness"] = brightness
            if until is not None:
                with suppress(ValueError):
                    options["for"] = max(1, round(unix_seconds(str(until)) - Clock().wall()))
            return options
    return None


async def _walk(visit: OneshotClient, lamp: Light, tell: Callable[[str], None], seconds: float) -> None:
    """As the bridge itself would."""
    clock = Clock()
    for state, look in lamp.settings.looks.items():
        tell(f"{state:<15} {look}")
        end = clock.monotonic() + seconds
        lamp.follow(lamp.name, state, clock.monotonic())
        while (now := clock.monotonic()) < end:
            shown = lamp.shown(now, clock.wall())
            await visit.publish(map(as_message, lamp.due(shown, now)))
            await asyncio.sleep(max(0.0, min(lamp.next_time(shown, now), end) - now))


def as_table(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The documents in columns, for a terminal."""
    rows = [tuple(map(str.upper, _COLUMNS)), *(tuple(_cells(document)) for document in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


@dataclass(slots=True)
class _Around:
    """How the broker stands, and what the bridge that is running says."""

    findings: list[Finding]
    may_log_in: bool
    """Whether no bridge is running, as far as anybody can know."""
    users: Documents = field(default_factory=list)


async def _look_around(config: Config, command: str, *, force: bool) -> _Around:
    """Connect to the broker. Where a bridge is running, or may be, its PBX is left alone, whatever else goes wrong."""
    around = _Around([], may_log_in=True)
    try:
        async with visiting(config.mqtt, config.topics, command) as visit:
            login = f"as {config.mqtt.username!r}" if config.mqtt.username else "without a login"
            around.findings.append(ok("broker", f"{config.mqtt.host}:{config.mqtt.port} lets this client in {login}"))
            sight = await visit.look()
            around.may_log_in = force or (sight.clear and not sight.online)
            if not around.may_log_in:
                await _ask_bridge(visit, sight, config, around, all_users=command == "users")
            if command == "check":
                around.findings += await _try_topics(visit, sight, config)
    except BrokerError as error:
        around.findings.append(fail("broker", str(error), error.exit_code))
        if around.may_log_in and not force:
            around.findings.append(warn("bridge", "nobody can see whether one is running, so the PBX was asked anyway"))
    return around


async def _ask_bridge(
    visit: OneshotClient, sight: ProbeResult, config: Config, around: _Around, *, all_users: bool
) -> None:
    """Add what the bridge says, or why it says nothing."""
    problem = None
    if not sight.online:
        problem = f"may be running, but this login may not read {config.topics.base}/bridge/#"
    elif sight.owner not in {None, config.pbx.name}:
        problem = f"is running here, but for the PBX {sight.owner!r}"
    else:
        try:
            told = [_finding(each) for each in _objects(await visit.ask("check"))]
            around.users = await _all_users(visit) if all_users else []
        except NoAnswer as error:
            problem = str(error)
        else:
            around.findings += [_about_bridge(sight, config), *told]
    if problem is not None:
        message = f"{problem}; so the PBX was not asked: with --force it is"
        around.findings.append(fail("bridge", message, EXIT_UNREACHABLE))


def _about_bridge(sight: ProbeResult, config: Config) -> Finding:
    """Whether what the bridge says is about this configuration; secrets cannot be compared."""
    mine, its = (dict(_flat(tree)) for tree in (json.loads(to_json(config.public())), sight.config))
    differing = sorted(key for key in mine.keys() | its.keys() if mine.get(key) != its.get(key))
    if not its or not differing:
        return ok("bridge", "is running; what follows is what it says")
    named = ", ".join(differing[:_MOST_NAMED]) + (", …" if len(differing) > _MOST_NAMED else "")
    return warn(
        "bridge",
        f"is running with another configuration ({named}), and what follows is what it says of that one: restart it, "
        "or send it SIGHUP; with --force this one is tried",
    )


def _flat(tree: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


async def _all_users(visit: OneshotClient) -> Documents:
    """In parts: a broker may not take the answer for thousands in one message."""
    found: Documents = []
    while part := _objects(await visit.ask("users", skip=len(found), top=_PART)):
        found += part
        if len(part) != _PART:
            break
    return found


async def _try_topics(visit: OneshotClient, sight: ProbeResult, config: Config) -> list[Finding]:
    topics = config.topics
    findings = []
    if sight.owner not in {None, config.pbx.name}:
        message = f"{topics.base}/# belongs to the bridge of the PBX {sight.owner!r}: set another mqtt.base_topic"
        findings.append(fail("topics", message))
    findings.append(_topic_finding(f"{topics.base}/#", topics.bridge_check, came_back=sight.clear))
    if config.homeassistant.enabled:
        try:
            came_back = await visit.echo(topics.discovery_check)
        except BrokerUnavailable:  # some brokers put who publishes without a right out of the door
            async with visiting(config.mqtt, topics, "check"):
                came_back = False  # and it is not that the broker is gone
        findings.append(
            _topic_finding(
                f"{topics.discovery_prefix}/device/{topics.device_prefix}/#",
                topics.discovery_check,
                came_back=came_back,
            )
        )
    return findings


def _topic_finding(place: str, topic: str, *, came_back: bool) -> Finding:
    if came_back:
        return ok("topics", f"{place} can be published to")
    return fail("topics", f"nothing came back from {topic}: allow this login to write {place}, and to read {topic}")


def _objects(data: object) -> Documents:
    """A list of objects, as the bridge answers; others are left out."""
    if not isinstance(data, list):
        raise NoAnswer("the bridge that is running gives an answer that makes no sense: is it of another version?")
    return [each for each in data if isinstance(each, dict)]


def _finding(told: Mapping[str, object]) -> Finding:
    """As the bridge that is running tells it; a verdict of a newer one is worth a look."""
    code = told.get("exit_code")
    try:
        verdict = Verdict(str(told.get("verdict")))
    except ValueError:
        verdict = Verdict.WARN
    return Finding(str(told.get("about")), verdict, str(told.get("message")), code if isinstance(code, int) else 1)


@asynccontextmanager
async def _own_intake(config: Config, *, force: bool) -> AsyncIterator[tuple[Engine, PbxReader]]:
    """Log in to the PBX and read everything once, as the daemon would; `force`: even if it refused that before."""
    clock = Clock()
    engine = Engine(policy(config), (), _Nobody(), clock)
    refusals = LoginBackoff(config.pbx, None if force else state_directory())
    intake = PbxReader(
        config,
        engine,
        clock,
        random.Random(),  # noqa: S311  # jitter
        Statistics(clock),
        Pulse(clock),
        refusals,
        renews=False,
    )
    reading = asyncio.create_task(intake.run(), name="pbx")
    try:
        await wait_for(intake.reported, PATIENCE)
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
    told = document.get("call")
    call = told if isinstance(told, dict) else {}
    state = document.get("state")
    shown = {
        **document,
        "state": f"unknown ({document.get('reason')})" if state == "unknown" else state,
        "registered": None if document.get("registered") is None else "yes" if document["registered"] else "no",
        "call": " ".join(str(call[key]) for key in ("status", "direction", "party", "name") if call.get(key)),
    }
    for column in _COLUMNS:
        yield harmless(str(shown.get(column) or "-"))
