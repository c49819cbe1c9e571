"""Composition root: builds the parts of one bridge from the configuration and runs them together."""

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping

from bridge.aio import until, wait_for
from bridge.config import Config
from bridge.domain.clock import Clock
from bridge.domain.finding import Finding
from bridge.domain.message import Message
from bridge.engine.commands import CommandDesk
from bridge.engine.engine import Engine
from bridge.log import Published
from bridge.mqtt.answers import Answers
from bridge.mqtt.application import Application, Hooks
from bridge.mqtt.outbox import Outbox
from bridge.mqtt.router import CommandTopic, Listener, Router
from bridge.mqtt.session import Session
from bridge.mqtt.standby.pair import Pair
from bridge.outputs.hass.throttle import DiscoveryThrottle
from bridge.outputs.lights.output import LightsOutput
from bridge.runtime import lights, outputs
from bridge.runtime.about import about
from bridge.runtime.homeassistant import DiscoveryRepublisher, both
from bridge.runtime.pbx import Instruments, PbxReader
from bridge.runtime.periodic import every_tick
from bridge.runtime.policy import policy
from bridge.runtime.process import Process
from bridge.runtime.recordings import Recordings
from bridge.runtime.refresh import Refresh
from bridge.runtime.requests import Requests
from bridge.runtime.status import status_line
from bridge.runtime.supervision import Pulse
from bridge.runtime.synchronisation import Synchronisation
from bridge.runtime.timing import USUAL, Timing
from bridge.runtime.web import Parts, WebSide
from bridge.sources.threecx.client.login_backoff import LoginBackoff
from bridge.statistics import Statistics


class Bridge:
    """One PBX and one broker, wired together: what the parts do is their own business."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        refusals: LoginBackoff | None = None,
        timing: Timing = USUAL,
        process: Process | None = None,
        pair: Pair | None = None,
    ) -> None:
        """`refusals` outlives a bridge, so that a reload does not repeat a refused login too soon.

        `process` None: a new one, with no other bridge in it. `pair`: there is another bridge with the same
        configuration, and this one works while `pair` says so.
        """
        self._config = config
        self._process = process = process or Process()
        self._timing = timing
        self._pair = pair
        self._clock = clock = clock or Clock()
        self._rng = rng = rng or random.Random()  # noqa: S311  # jitter
        self._topics = topics = config.topics
        self._outbox = outbox = Outbox()
        self._statistics = Statistics(clock, process.identity.instance)
        self.pulse = Pulse(clock)
        """Which of its loops are on time."""
        # The engine publishes through the throttle, which passes all but discovery; lights go to the outbox directly.
        intervals = timing.discovery_interval, timing.group_discovery_interval
        self._throttle = DiscoveryThrottle(outbox, topics, clock.monotonic, *intervals)
        self._web = WebSide(config, clock, process)
        self._lights = LightsOutput(topics, config.lights, outbox, clock, self._web.light)
        self._about = about(config, process.identity)
        discovery = outputs.discovery(config)
        # Lights first: they are the most urgent.
        rendering = (self._lights, outputs.states(config, self._about), *discovery)
        rules = policy(config, timing.threecx, timing.engine)
        self._engine = engine = Engine(rules, rendering, self._throttle, clock, self._web.observers)
        self._republisher = DiscoveryRepublisher(
            config.homeassistant, lambda: engine.snapshot(discovery), self._throttle, rng, self._repair
        )
        self._refusals = refusals = refusals or LoginBackoff(config.pbx, None, clock.wall)
        self._pbx = self._reader(refusals)
        actions = (engine.refresh, self._republisher.restore, self._pbx.refresh, self._repair)
        self._refresh = Refresh(clock.monotonic, timing.tick, actions)
        self._requests = Requests(
            topics, outbox, engine, self._statistics, self._refresh.request, self._findings, self._pbx.shapes
        )
        self.synchronisation = Synchronisation(
            config, engine, self._lights, self._throttle, self._requests, outbox.wanted
        )
        self._desk = CommandDesk(config.commands, lambda dn: engine.row(dn) is not None, self._pbx.write)
        self._recordings = Recordings(config, self._pbx.recorder, clock)
        operations = {**self._requests.operations, "record": self._recordings.request}
        self._answers = Answers(topics, operations, outbox, self._statistics, clock.monotonic)
        self._router = self._new_router()
        self.session = Session(config.mqtt, self._application(), clock, rng, timing.mqtt, pair)
        self._web.attach(self._parts())

    async def run(self) -> None:
        """Work until cancelled; the session then publishes `offline` and disconnects."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.session.run(), name="mqtt")
            tasks.create_task(self.work(), name="bridge")

    def take_over(self, session: Session, earlier: "Bridge") -> None:
        """Use the session of an earlier bridge, whose connection to the same broker stays open, instead of its own.

        Lights that only the earlier bridge has get their farewell messages.
        """
        self.synchronisation.inherit(earlier.synchronisation)
        session.serve(self._application())
        self.session = session

    def farewell_messages(self) -> tuple[Message, ...]:
        """What the lights are sent when the bridge stops."""
        return self.synchronisation.farewell_messages()

    async def work(self) -> None:
        """Everything but the session, until cancelled."""
        secret = self._config.secrets()
        with Published(self._requests.publish_log, secret), Published(self._web.warning, secret):
            if self._pair is None:
                await self._work()
            else:
                await self._work_in_pair(self._pair)

    async def _work_in_pair(self, pair: Pair) -> None:
        """Stand by until this process becomes the active one, then work until it is that no longer."""
        pair.release()
        if not pair.active.is_set():
            await until(pair.active, self._stand_by())
        if pair.took_over:
            pair.took_over = False
            self._refusals.taken_over()
        self._about["claimed_at"] = pair.claimed_at
        await until(pair.ended, self._work())

    async def _stand_by(self) -> None:
        """What people and service managers see of a bridge that waits; nothing is asked of the PBX or published."""
        async with asyncio.TaskGroup() as tasks:
            self._start_beside(tasks)
            await asyncio.Event().wait()

    async def _work(self) -> None:
        config, pulse = self._config, self.pulse
        each_tick = (self._engine.tick, self._throttle.tick, self._refresh.tick)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pbx.run(), name="pbx")
            tasks.create_task(every_tick(pulse, self._timing, each_tick), name="clock")
            tasks.create_task(self._answers.run(), name="answers")
            tasks.create_task(self._requests.publish_health(self._timing.health_interval), name="health")
            if config.commands.record:
                tasks.create_task(self._recordings.run(), name="recordings")
            if config.homeassistant.enabled:
                tasks.create_task(self._republisher.run(), name="homeassistant")
            if config.lights:
                tasks.create_task(lights.drive(self._lights, pulse, self._clock, self._timing), name="lights")
            self._start_beside(tasks)

    def _parts(self) -> Parts:
        problems = self._findings, self._pbx.findings, self._broker_problem, self._standby
        return Parts(self._engine, self._outbox, self._statistics, *problems)

    def _reader(self, refusals: LoginBackoff) -> PbxReader:
        instruments = Instruments(self._clock, self._rng, self._statistics, self.pulse)
        permitted = (lambda: True) if self._pair is None else self._pair.permits
        threecx = self._timing.threecx
        return PbxReader(self._config, self._engine, instruments, refusals, threecx, permitted=permitted)

    def _new_router(self) -> Router:
        commands, received = tuple(self._command_topics()), self._throttle.received
        answers, monotonic = self._answers, self._clock.monotonic
        return Router(self._topics, answers, self._listeners(), self._outbox, commands, received, monotonic)

    def _start_beside(self, tasks: asyncio.TaskGroup) -> None:
        """The web server, and the reports to the service manager."""
        config = self._config
        if config.web.enabled or self._process.exhibition is not None:
            desk = self._desk if config.commands.any else None
            tasks.create_task(self._web.serve(self._lights, desk, self._rng, self._timing.web), name="web")
        supervision = self._process.supervision
        if supervision is not None:
            # Last: `attend` reports that the bridge is ready, so all the others have to run by then.
            watched = supervision.attend(config.pbx.name, self.pulse, self.status)
            tasks.create_task(watched, name="supervision")

    def _standby(self) -> str | None:
        """That this bridge stands by, for people; None: it does not."""
        return None if self._pair is None else self._pair.standby

    def _broker_problem(self) -> str | None:
        """What keeps the bridge from the broker, for people; None where it is connected."""
        watches = self._pair is not None and self._pair.watches
        return None if watches else self.session.why_not

    def status(self) -> str:
        """How it is doing, in one line for people."""
        lost = self._broker_problem()
        if (standby := self._standby()) is not None:
            return standby if lost is None else f"standby; no broker: {lost}"
        return status_line(
            self._engine.population,
            pbx_online=self._engine.pbx_online,
            pbx_problem=self._pbx.problem,
            broker_lost=lost,
            broker_denial=self.session.denial,
        )

    def _application(self) -> Application:
        hooks = Hooks(
            prepare=self._ready,
            synchronise=self.synchronisation.synchronise,
            current=self.synchronisation.current,
            filters=self._router.filters,
            request_filters=self._router.request_filters,
            watched_filters=(self._topics.discovery("+"),),
            receive=self._router.receive,
            resend_denied=self._lights.resend,
            farewell_messages=self.farewell_messages,
        )
        return Application(self._topics, self._outbox, hooks, self._statistics, self.pulse)

    def _findings(self) -> Iterator[Finding]:
        yield from self.session.findings()
        yield from self._pbx.findings()

    def _repair(self) -> None:
        self.session.repair()

    async def _ready(self) -> None:
        self._lights.reconnected()
        if self._pair is not None and self._pair.broker_forgot:
            await self.synchronisation.recall()
        # A restart must not publish `unknown` for a second: lights would flash and automations would run.
        await wait_for(self._pbx.settled, self._timing.first_answer)

    def _command_topics(self) -> Iterable[CommandTopic]:
        topics = self._topics
        if self._config.commands.any:
            yield CommandTopic((topics.user_set("+"),), topics.user_of_set, self._desk.receive)
        if self._config.lights:
            yield CommandTopic((topics.light_set("+"), topics.lights_set), topics.light_of_set, self._lights.receive)

    def _listeners(self) -> Mapping[str, Listener]:
        listeners = dict(self._lights.listeners)
        if self._config.homeassistant.enabled:
            topic = self._config.homeassistant.birth_topic
            listeners[topic] = both(self._republisher.receive, listeners.get(topic))
        return listeners
