"""One bridge of a pair: watches the other one, takes the client id when nobody is active, and holds it as a lease.

The broker decides: it lets one connection use a client id, and ends the one before. So nobody connects with it blindly:
Mosquitto 2.0 closes the earlier connection without a reason, and two bridges would take it from each other for ever.
"""

import asyncio
import logging
import random
import re
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from bridge import __version__
from bridge.aio import Backoff, wait_for
from bridge.domain.clock import utc_text
from bridge.domain.message import Message, Rank
from bridge.errors import BrokerAuthError
from bridge.mqtt.connection import Connection
from bridge.mqtt.lease import Lease, boottime
from bridge.mqtt.opening import opened
from bridge.mqtt.settings import MqttSettings
from bridge.mqtt.standby import vacancy
from bridge.mqtt.standby.settings import StandbySettings
from bridge.mqtt.standby.vacancy import Standing, Vacancy, VacancyTiming
from bridge.mqtt.timing import USUAL as USUAL_MQTT
from bridge.mqtt.timing import MqttTiming
from bridge.topics import Topics, json_object, to_json

_LONGEST_HOST = 40
"""Characters of the machine's name in the client id of a watching bridge."""
_POLL = 0.02
_JITTER = 1.0
"""Seconds at random, so that two bridges that start together do not claim at the same moment."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PairTiming:
    """Seconds."""

    settle: float = 0.5
    """From the claim until the PBX is asked. A bridge whose client id has just been taken stops within that."""
    answer: float = 5.0
    """That the broker may take to acknowledge a claim and to pass it on."""
    look: float = 1.0
    """At most, between two looks at how things are."""
    vacancy: VacancyTiming = vacancy.USUAL


USUAL = PairTiming()


class Pair:
    """The part of one process in a pair; the session's Admission. It outlives connections and bridges."""

    def __init__(
        self,
        settings: MqttSettings,
        standby: StandbySettings,
        topics: Topics,
        instance: str,
        rng: random.Random,
        mqtt_timing: MqttTiming = USUAL_MQTT,
        timing: PairTiming = USUAL,
    ) -> None:
        name = re.sub(r"[^0-9A-Za-z-]", "", socket.gethostname())[:_LONGEST_HOST]
        self._watching_as = f"{settings.client_id}-standby-{name}-{secrets.token_hex(4)}"
        self._settings = settings
        self._after = standby.after
        self._topics = topics
        self._instance = instance
        self._rng = rng
        self._mqtt_timing = mqtt_timing
        self._timing = timing
        self._backoff = Backoff(*mqtt_timing.retry, rng)
        self._vacancy: Vacancy | None = None
        self._watcher: Connection | None = None
        self._keepalive: asyncio.Task[None] | None = None
        self._noted: str | None = None
        self._blind = False
        """Whether the last claim was not seen by the watching connection."""
        self._holding: Connection | None = None
        """The connection under the client id, once it may be relied on."""
        self._released = asyncio.Event()
        """Set while no bridge of this process works with the PBX, so that the client id may be claimed."""
        self.active = asyncio.Event()
        """Set while this process holds the client id, and its bridge is to work."""
        self.ended = asyncio.Event()
        """Set once it holds the client id no longer."""
        self.claimed_at: str | None = None
        """When this process became active last."""
        self.took_over = False
        """Whether another instance was active before."""
        self._alone = True
        """Whether no other instance was active since this one was."""
        self.broker_forgot = False
        """Whether the broker retained nothing when the client id was claimed, and no other instance was active since
        this one: then nobody knows better than this process."""

    @property
    def standby(self) -> str | None:
        """That this bridge stands by, and which one is active, for people; None: it is active itself."""
        if self.active.is_set():
            return None
        return f"standby; active: {self.other}" if self.other is not None else "standby; active: none"

    @property
    def watches(self) -> bool:
        """Whether it is connected to the broker to see who is active."""
        return self._watcher is not None and not self._watcher.lost.done()

    @property
    def other(self) -> str | None:
        """The instance that is active or has just claimed the client id; None where there is none."""
        found = self._vacancy
        if found is None or found.standing(boottime()) not in {Standing.OCCUPIED, Standing.CLAIMED}:
            return None
        return found.holder or "unknown"

    def permits(self) -> bool:
        """Whether something may be sent to the PBX now."""
        return self._holding is not None and self._holding.holds

    def release(self) -> None:
        """No earlier bridge of this process is at work any more."""
        self._released.set()

    async def admitted(self, progress: Callable[[], None]) -> None:
        """Watch until nobody has been active for long enough."""
        while not await wait_for(self._released, self._timing.look):
            progress()
        while True:
            began = boottime()
            progress()
            await self._open_watcher()
            if await self._is_free(progress):
                return
            self._stop_watching()
            if boottime() - began >= self._mqtt_timing.short_connection:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next())

    def lease(self) -> Lease | None:
        """A new one for each connection."""
        return Lease(self._settings.keepalive)

    async def entered(self, connection: Connection) -> None:
        """Claim: from now on `bridge/info` names this instance, and the other one waits for its `online`."""
        before = json_object(self._before or b"") or {}
        self.took_over = before.get("instance") not in {None, self._instance}
        bare = not before or (before.get("instance") == self._instance and "options" not in before)
        self.broker_forgot = bare and self._alone
        self.claimed_at = utc_text(time.time())
        connection.publish(self._claim(before), qos=1)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.answer):
                await connection.delivered()
                await asyncio.wait({connection.lost}, timeout=self._timing.settle)
                await self._see_own_claim()
        if not self._sees_own_claim:
            self._blind = self.watches  # brokers acknowledge subscriptions that they deny
            connection.abort()
        if not connection.lost.done():
            self._stop_watching()
            self._vacancy, self._noted, self._alone = None, None, True
            _logger.info("active: this bridge (instance %s) holds %s", self._instance, self._settings.client_id)
            self._holding = connection
            self.ended.clear()
            self.active.set()
            connection.lost.add_done_callback(lambda _: self._end())

    @property
    def _sees_own_claim(self) -> bool:
        return self._vacancy is not None and self._vacancy.holder == self._instance

    async def _see_own_claim(self) -> None:
        """Who does not see it would not see that of another bridge either."""
        while self.watches and not self._sees_own_claim:  # noqa: ASYNC110  # almost always at once
            await asyncio.sleep(_POLL)

    def left(self) -> None:
        """Without the client id nothing may go to the PBX."""
        self._stop_watching()
        self._end()

    def _end(self) -> None:
        self._holding = None
        if self.active.is_set():
            self._released.clear()
            self.active.clear()
            self.ended.set()

    @property
    def _before(self) -> bytes | None:
        """`bridge/info` as it was before the claim."""
        return None if self._vacancy is None else self._vacancy.info

    async def _open_watcher(self) -> None:
        """Connect as nobody in particular, and subscribe; without a will, as nobody waits for this connection."""
        after = self._after + _JITTER * self._rng.random()
        settings = replace(self._settings, client_id=self._watching_as)
        lease = Lease(settings.keepalive)
        self._watcher = connection = await opened(settings, self._receive, self._mqtt_timing, lease=lease)
        self._keepalive = asyncio.create_task(connection.tend(), name="mqtt-standby-keepalive")
        yields = 0.0 if self._alone else float(settings.keepalive)
        self._vacancy = Vacancy(self._instance, after, boottime(), self._timing.vacancy, yields=yields)
        topics = self._topics
        granted = await connection.subscribe((topics.bridge_info, topics.bridge_state, topics.bridge_health), qos=1)
        self._vacancy.subscribed(boottime())
        if (self._blind or not all(granted)) and not connection.lost.done():
            self._blind = False
            self._stop_watching()
            raise BrokerAuthError(
                f"this login may not read {topics.base}/bridge/#, so a bridge of a pair cannot see whether the other "
                "one is active: allow it to read that topic"
            )

    async def _is_free(self, progress: Callable[[], None]) -> bool:
        """Wait until the client id may be taken; False: the connection was lost."""
        while (connection := self._watcher) is not None and not connection.lost.done():
            found, now = self._vacancy, boottime()
            assert found is not None  # noqa: S101  # there is one for each connection
            standing = found.standing(now)
            self._note(standing)
            if standing is Standing.FREE and connection.holds:
                return True
            progress()
            wait = min(self._timing.look, max(0.01, found.free_at - now))
            await asyncio.wait({connection.lost}, timeout=wait)
        return False

    def _receive(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # paho's order
        found, now, topics = self._vacancy, boottime(), self._topics
        if found is None:
            return
        if topic == topics.bridge_state:
            found.note_state(payload, now)
        elif topic == topics.bridge_info:
            found.note_info(payload, now, retained=retained)
        elif topic == topics.bridge_health and not retained:
            found.note_health(now)

    def _claim(self, before: dict[str, object]) -> Message:
        """`bridge/info` as it was, but for who is active: the rest describes what is retained until that is replaced.

        `claiming` is gone again with the complete document, ahead of `online`.
        """
        own = {"version": __version__, "pbx": {"name": self._topics.pbx_name}}
        claim = {"instance": self._instance, "role": "active", "claimed_at": self.claimed_at, "claiming": True}
        payload = to_json({**own, **before, **claim}).encode(
            "utf-8", "replace"
        )  # others may have left half a character
        return Message(self._topics.bridge_info, payload, Rank.BRIDGE)

    def _note(self, standing: Standing) -> None:
        """Remember that another instance was active, and log what has changed."""
        if standing in {Standing.OCCUPIED, Standing.CLAIMED}:
            self._alone = False
        if standing is Standing.FREE:
            text = "nobody is active: taking over"
        elif standing is Standing.VACANT:
            text = "nobody is active"
        elif standing is Standing.CLAIMED:
            text = f"instance {self.other} is taking over"
        else:
            text = f"instance {self.other} is active"
        if text != self._noted:
            self._noted = text
            _logger.info("standby: %s", text)

    def _stop_watching(self) -> None:
        if self._keepalive is not None:
            self._keepalive.cancel()
            self._keepalive = None
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
