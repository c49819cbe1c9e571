"""Composition root: builds the parts from the configuration, runs them together, and stops them in order."""

import asyncio
import logging
import random
from collections.abc import Iterable
from urllib.parse import urlsplit

from bridge.aio import wait_for
from bridge.config import Config
from bridge.domain.clock import Clock
from bridge.domain.message import Message
from bridge.domain.presence import DEFAULT_PROFILES
from bridge.domain.privacy import CallerId
from bridge.engine.commands import CommandDesk
from bridge.engine.engine import Engine
from bridge.log import Published
from bridge.mqtt.application import Application, Hooks
from bridge.mqtt.outbox import Outbox
from bridge.mqtt.retained import RetainedTopics
from bridge.mqtt.router import CommandTopic, Listener, Router
from bridge.mqtt.session import Session
from bridge.outputs.hass.discovery import DiscoveryOutput
from bridge.outputs.hass.throttle import DiscoveryThrottle
from bridge.outputs.lights.output import LightsOutput
from bridge.outputs.state import StateOutput
from bridge.ports import Output
from bridge.runtime.pbx import Intake, policy
from bridge.runtime.requests import Controls
from bridge.runtime.supervision import Pulse, Supervision
from bridge.runtime.timing import USUAL, Timing
from bridge.sources.threecx import monitor_status, users
from bridge.sources.threecx.client.login_backoff import LoginBackoff
from bridge.sources.threecx.settings import Enabled, QueryOptions
from bridge.statistics import Statistics

PATIENCE = 5.0
"""Seconds that the first publish waits for the first word of the PBX, to spare everybody a flash of `unknown`."""

_STEP = 30.0
"""Seconds after which a loop that ticks must have ticked again."""

_logger = logging.getLogger(__name__)


class Bridge:
    """One PBX, one broker, and everything between. `run` is its whole life."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        refusals: LoginBackoff | None = None,
        supervision: Supervision | None = None,
        timing: Timing = USUAL,
    ) -> None:
        """`refusals` is the memory of an earlier life: no login is tried again too soon because of a reload."""
        self._config = config
        self._supervision = supervision
        self._timing = timing
        self._clock = clock or Clock()
        self._rng = rng or random.Random()  # noqa: S311  # jitter
        self._topics = config.topics
        self._options = _options(config)
        self._outbox = outbox = Outbox()
        self._gate = DiscoveryThrottle(outbox, self._topics, self._clock.monotonic)
        self._lights = LightsOutput(self._topics, config.lights, outbox, self._clock)
        self._relight = asyncio.Event()
        self._lights.on_change = self._relight.set
        self._engine = Engine(policy(config), self._outputs(), self._gate, self._clock)
        self._born = asyncio.Event()
        self._synchronised = False
        self._partings: tuple[Message, ...] = ()
        self._refreshed = float("-inf")
        self._refresh_is_due = False
        self._statistics = Statistics(self._clock)
        self._pulse = Pulse(self._clock)
        refusals = refusals or LoginBackoff(config.pbx, None, self._clock.wall)
        self._intake = Intake(
            config, self._engine, self._clock, self._rng, self._statistics, self._pulse, refusals, timing.threecx
        )
        desk = CommandDesk(config.commands, lambda dn: self._engine.row(dn) is not None, self._intake.write)
        listeners = dict(self._lights.listeners)
        if config.homeassistant.enabled:
            birth = config.homeassistant.birth_topic
            listeners[birth] = _both(self._homeassistant_spoke, listeners.get(birth))
        self._controls = Controls(
            self._topics, outbox, self._engine, self._statistics, self._refresh, self._intake.findings
        )
        commands = tuple(self._command_topics(desk))
        self._router = Router(self._topics, self._controls.operations, listeners, outbox, commands, self._gate.received)
        self.session = Session(config.mqtt, self._application(), self._clock, self._rng, timing.mqtt)

    async def run(self) -> None:
        """Work until cancelled; then say `offline` and go."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.session.run(), name="mqtt")
            tasks.create_task(self.work(), name="bridge")

    def take_over(self, session: Session, earlier: "Bridge") -> None:
        """Use the session of an earlier bridge, whose connection to the same broker stays open, instead of its own.

        Lights that only the earlier one has get their farewell.
        """
        self._partings = earlier.partings()
        session.serve(self._application())
        self.session = session

    def partings(self) -> tuple[Message, ...]:
        """What the lights get in the end; from who never led them, what an earlier bridge had to say."""
        return tuple(self._lights.farewell()) if self._synchronised else self._partings

    async def work(self) -> None:
        """Everything but the session, until cancelled."""
        with Published(self._controls.publish_log, self._config.secrets()):
            await self._work()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._intake.run(), name="pbx")
            tasks.create_task(self._keep_time(), name="clock")
            tasks.create_task(self._controls.tell_health(), name="health")
            tasks.create_task(self._greet_homeassistant(), name="birth")
            if self._config.lights:
                tasks.create_task(self._keep_lights(), name="lights")
            if self._config.web.enabled:
                tasks.create_task(self._serve_web(), name="web")
            if self._supervision is not None:
                name, pulse = self._config.pbx.name, self._pulse
                tasks.create_task(self._supervision.attend(name, pulse, self._standing), name="supervision")

    def _standing(self) -> str:
        """How it stands, in one line for people."""
        trouble, lost = self._intake.trouble, self.session.why_not
        pbx = "PBX online"
        if not self._engine.pbx_online:
            pbx = f"no PBX: {trouble or 'it has not answered for a while'}"
        elif trouble is not None:
            pbx = f"PBX online, but {trouble}"
        broker = "broker online"
        if lost is not None:
            broker = f"no broker: {lost}"
        elif self.session.denial is not None:
            broker = f"broker online, but {self.session.denial}"
        return f"{self._engine.population} users; {pbx}; {broker}"

    def _application(self) -> Application:
        hooks = Hooks(
            prepare=self._ready,
            synchronise=self._synchronise,
            filters=self._router.filters,
            request_filters=self._router.request_filters,
            watched_filters=(self._topics.discovery("+"),),
            receive=self._router.receive,
            resend_denied=self._lights.not_told,
            farewell_messages=self.partings,
        )
        return Application(self._topics, self._outbox, hooks, self._statistics, self._pulse)

    def _command_topics(self, desk: CommandDesk) -> Iterable[CommandTopic]:
        topics = self._topics
        if self._config.commands.any:
            yield CommandTopic((topics.user_set("+"),), topics.user_of_set, desk.receive)
        if self._config.lights:
            yield CommandTopic((topics.light_set("+"), topics.lights_set), topics.light_of_set, self._lights.receive)

    def _outputs(self) -> Iterable[Output]:
        config = self._config
        yield self._lights  # first: nothing is more urgent than a light
        host = urlsplit(config.pbx.url).hostname or ""
        about = {
            "pbx": {"name": config.pbx.name, "host": host},
            "options": self._options,
            "config": config.public(),
        }
        monitor = config.monitor_status.enabled is not Enabled.FALSE
        yield StateOutput(self._topics, about, monitor=monitor)
        if config.homeassistant.enabled:
            profiles = tuple(DEFAULT_PROFILES) if config.commands.profile else ()
            yield DiscoveryOutput(
                self._topics,
                config.pbx.url,
                profiles=profiles,
                queue=config.commands.queue,
                monitor=monitor,
                lights=[light.name for light in config.lights],
                callers_in_clear=config.caller_id is CallerId.FULL,
            )

    async def _ready(self) -> None:
        self._lights.reconnected()
        await wait_for(self._intake.settled, PATIENCE)

    def _synchronise(self, retained: RetainedTopics) -> Iterable[Message]:
        if retained.owner not in {None, self._config.pbx.name}:
            _logger.error(
                "the topics under %s belong to the bridge of the PBX %r: give each bridge its own mqtt.base_topic "
                "(if that was this bridge's earlier pbx.name, its old topics stay until they are cleared)",
                self._config.mqtt.base_topic,
                retained.owner,
            )
        if not self._synchronised:
            self._synchronised = True
            self._engine.adopt(retained.remembered(), same_options=retained.options == self._options)
            self._lights.adopt(retained.lights())
        wanted = (*self._engine.snapshot(), *self._controls.retained(), *self._lights.retained())
        self._relight.set()
        staying = self._lights.topics
        partings, self._partings = [each for each in self._partings if each.topic not in staying], ()
        return [*partings, *self._gate.passing(retained.difference(self._gate.allowed(wanted)))]

    async def _keep_time(self) -> None:
        while True:
            self._pulse.expect("clock", _STEP)
            await asyncio.sleep(self._timing.tick)
            self._engine.tick()
            self._gate.tick()
            if self._refresh_is_due:
                self._refresh()

    async def _keep_lights(self) -> None:
        """Send commands to the lights when they are due."""
        while True:
            self._pulse.expect("lights", _STEP)
            wait = self._lights.tick() - self._clock.monotonic()
            await wait_for(self._relight, max(0.0, min(wait, self._timing.tick)))
            self._relight.clear()

    async def _serve_web(self) -> None:
        from bridge.web.metrics import Metrics  # noqa: PLC0415  # 3 MB that whoever needs no metrics need not load
        from bridge.web.server import Web  # noqa: PLC0415  # the same

        metrics = Metrics(self._engine, self._outbox, self._statistics, self._intake.findings)
        await Web(self._config.web, self._engine, self._outbox, metrics, self._rng).run()

    def _homeassistant_spoke(self, payload: bytes, _retained: bool) -> None:  # noqa: FBT001  # as the router calls it
        if payload == self._config.homeassistant.birth_payload.encode():
            self._born.set()

    async def _greet_homeassistant(self) -> None:
        """After a start of Home Assistant, publish discovery again; not at once, as every bridge does so."""
        while True:
            await self._born.wait()
            await asyncio.sleep(self._rng.uniform(1, 10))
            self._born.clear()
            for message in self._engine.snapshot():
                if self._topics.is_discovery(message.topic):
                    self._gate.publish(message)

    def _refresh(self) -> None:
        """Once a second at most: what is asked for meanwhile comes with the next second."""
        now = self._clock.monotonic()
        self._refresh_is_due = now < self._refreshed + self._timing.tick
        if self._refresh_is_due:
            return
        self._refreshed = now
        self._engine.refresh()
        deleted = self._gate.restore()
        for message in self._engine.snapshot() if deleted else ():
            if message.topic in deleted:
                self._gate.publish(message)
        self._intake.refresh()


def _both(one: Listener, other: Listener | None) -> Listener:
    """Home Assistant's birth may be a light's return too."""

    def heard(payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as Listener demands
        one(payload, retained)
        if other is not None:
            other(payload, retained)

    return heard


def _options(config: Config) -> dict[str, object]:
    """What decides who is published; compared with the last run's to know whether it changed meanwhile."""
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
