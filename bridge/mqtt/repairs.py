"""Publishes again what other clients write over or empty, while the bridge is connected."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from bridge.domain.allowance import Allowance
from bridge.domain.message import Message, Rank
from bridge.mqtt.application import Application
from bridge.mqtt.timing import MqttTiming

_AT_ONCE = 5
"""Repairs of one topic in a row; then one in each `MqttTiming.repair_pause`, or two programs would fight for ever."""
_MOST_TOPICS = 200_000
"""Topics that wait for their repair; with more, the read-back after the next connect finds the rest."""
_PER_TURN = 50
"""Topics repaired before other tasks get their turn."""

_logger = logging.getLogger(__name__)


class Repairs:
    """Has the last word on the own topics, within a minute of the last that others write there."""

    def __init__(self, timing: MqttTiming, monotonic: Callable[[], float]) -> None:
        self._timing = timing
        self._monotonic = monotonic
        self._allowances: dict[str, Allowance] = {}
        """Of topics that were repaired of late."""
        self._waiting: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._warned = False

    def clear(self) -> None:
        """Forget what waits: after the next connect everything is compared."""
        self._waiting.clear()

    def received(self, application: Application, topic: str, payload: bytes, *, blamed: bool = True) -> None:
        """Another client has published this under one of our topics, or the broker has it retained.

        Not `blamed`: it may have been there since before we connected.
        """
        if not application.outbox.wanted.agrees(topic, payload):
            self.wrong(application, topic, foreign=bool(payload), blamed=blamed)

    def wrong(self, application: Application, topic: str, *, foreign: bool, blamed: bool = True) -> None:
        """The broker does not retain what it should; `foreign`: but something else."""
        if blamed:
            self._warn(application, topic, foreign=foreign)
        if len(self._waiting) < _MOST_TOPICS:
            self._waiting[topic] = None
            self._wake.set()

    async def run(self, application: Callable[[], Application]) -> None:
        """Repair until cancelled."""
        pause: float | None = None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()
            due: list[str] = []
            waits: list[float] = []
            for topic in self._waiting:
                if wait := self._allowance(topic).take():
                    waits.append(wait)
                else:
                    due.append(topic)
            for first in range(0, len(due), _PER_TURN):
                topics = set(due[first : first + _PER_TURN])
                for topic in topics:
                    self._waiting.pop(topic, None)
                self._repair(application(), topics)
                await asyncio.sleep(0)
            pause = min(waits, default=None)
            self._forget_full()

    def _repair(self, application: Application, topics: set[str]) -> None:
        outbox = application.outbox
        if not outbox.complete:
            return  # the next connect compares everything
        current = {message.topic: message for message in application.hooks.current(topics)}
        for topic in topics:
            if topic in current:
                outbox.publish(current[topic])
            elif topic not in outbox.wanted and not application.topics.is_discovery(topic):
                outbox.publish(Message(topic, b"", Rank.CLEAR))

    def _allowance(self, topic: str) -> Allowance:
        if topic not in self._allowances:
            self._allowances[topic] = Allowance(1 / self._timing.repair_pause, _AT_ONCE, self._monotonic)
        return self._allowances[topic]

    def _forget_full(self) -> None:
        """A new allowance would allow as much."""
        if not self._waiting:
            self._allowances = {topic: each for topic, each in self._allowances.items() if not each.is_full}

    def _warn(self, application: Application, topic: str, *, foreign: bool) -> None:
        level = logging.DEBUG if self._warned else logging.WARNING
        self._warned = True
        _logger.log(
            level,
            "another client %s %s, a topic of this bridge, where what is true is published again, as at any such topic "
            "from now on: give the other clients an account that may not write to %s/#",
            "wrote to" if foreign else "cleared",
            ascii(topic[:200]),
            application.topics.base,
        )
