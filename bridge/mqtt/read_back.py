"""Reading back what the broker retains."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from time import monotonic

from bridge.aio import wait_for
from bridge.domain.message import Message, Rank
from bridge.mqtt.connection import Connection, matches
from bridge.mqtt.retained import RetainedTopics
from bridge.mqtt.timing import MqttTiming
from bridge.topics import Topics


class Wildcards(StrEnum):
    """When a broker sends retained messages to subscriptions with wildcards."""

    AT_ONCE = "at once"
    """Ahead of all that is published after the subscription, as Mosquitto does."""
    LATE = "late"
    """Some time later, as EMQX does."""
    NEVER = "never"
    """As RabbitMQ does, which sends them to subscriptions by name alone."""
    UNKNOWN = "unknown"
    """This login may not publish or read `bridge/check`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a read-back went."""

    wildcards: Wildcards
    late: float = 0.0
    """Seconds from the echo to the probe."""
    whole: bool = True
    """False: there was more than the time allowed to read."""
    by_name: bool = True
    """Whether retained messages come to a subscription by name; if not, nothing of them can be read."""

    @property
    def problem(self) -> str | None:
        """What cannot be done on this broker, for people; None where all that it retains can be seen."""
        if self.wildcards is Wildcards.NEVER and not self.by_name:
            return (
                "the broker sends no retained messages: `since` does not survive a restart, and topics of users that "
                "are gone stay for ever"
            )
        if self.wildcards is Wildcards.NEVER:
            return (
                "the broker sends no retained messages to subscriptions with wildcards, as RabbitMQ does: of what an "
                "earlier run left, only what bridge/info and bridge/users name is found and cleared, and nothing under "
                "another mqtt.base_topic or pbx.name"
            )
        if not self.whole:
            return (
                "other clients have left so much under the own topics that reading it takes too long: it is cleared "
                "while it comes"
            )
        return None


class ReadBack:
    """Collects retained messages on one connection. The session passes on what it receives meanwhile."""

    def __init__(self, topics: Topics, timing: MqttTiming, own: Sequence[str] | None = None) -> None:
        """`own` are the topic filters to read; None: everything that the bridge retains."""
        self._topics = topics
        self._timing = timing
        self.retained = RetainedTopics(topics)
        self._own = (*topics.of_bridge(), *topics.filters_of_all()) if own is None else tuple(own)
        self._reading = False
        self._echo: bytes | None = None
        """The payload that marks the end, until it has come back."""
        self._probe: bytes | None = None
        """What is retained under `bridge/check` to see whether it is sent, until it has come."""
        self._echoed_at: float | None = None
        self._late = 0.0
        """Seconds from the echo to the probe; 0: in the right order."""
        self._progress = asyncio.Event()
        self._asked: list[str] = []

    def receive(self, topic: str, payload: bytes, *, retained: bool) -> bool:
        """Take a message that belongs to the read-back; says whether it does."""
        if topic == self._topics.bridge_check:
            self._note_own(payload, retained=retained)
        elif not payload and self._topics.is_discovery(topic):
            return False  # nobody retains nothing: a user of Home Assistant deletes a device right now
        elif retained and (self._reading or any(matches(each, topic) for each in self._own)):
            self.retained.add(topic, payload)
        else:
            return False
        self._progress.set()
        return True

    async def read(self, connection: Connection, signatures: Sequence[str], keep: Sequence[str]) -> Reading:
        """Collect what is retained of our own, and under `signatures` of other base topics.

        Brokers send retained messages ahead of anything published after the subscription, so the echo of a message
        to ourselves marks the end. Not all do: so a retained message of our own shows whether, and when, a wildcard
        brings it. Where none does, the topics that `bridge/info` and `bridge/users` name are read one by one.

        All at QoS 0, since brokers drop what exceeds a client's queue at QoS 1: Mosquitto returned 1,020 of 30,000.

        By MQTT 5 the subscriptions to our own topics stay, and bring what other clients publish there; else only
        those in `keep` do.
        """
        self._reading = True
        reading = await self._own_topics(connection, signatures)
        if reading.wildcards is Wildcards.NEVER or not reading.whole:
            reading = await self._by_name(connection, reading)
        if reading.wildcards is not Wildcards.NEVER and (elsewhere := self.retained.elsewhere()):
            await self._collect(connection, elsewhere)
        connection.publish(Message(self._topics.bridge_check, b"", Rank.BRIDGE), qos=0)  # the probe
        self._reading = False
        self._release(connection, keep)
        return reading

    async def read_again(
        self, connection: Connection, reading: Reading, names: Sequence[str], keep: Sequence[str]
    ) -> bool:
        """Collect what is retained of our own, at a broker of which `reading` is known; says whether all could be read.

        `names` are all topics, for brokers that serve no wildcards.
        """
        self._reading = True
        await self._ask(connection, (self._topics.bridge_check,))
        if reading.wildcards is Wildcards.NEVER:
            await self._collect(connection, names)
        else:
            self._late = reading.late
            await self._ask(connection, self._own, others_only=True)
            await self._collect(connection, ())
        self._reading = False
        self._release(connection, keep)
        return self._has_echoed

    def _release(self, connection: Connection, keep: Sequence[str]) -> None:
        stays = {*keep, *(self._own if connection.guards else ())}
        connection.unsubscribe([each for each in dict.fromkeys(self._asked) if each not in stays])

    async def _own_topics(self, connection: Connection, signatures: Sequence[str]) -> Reading:
        check = self._topics.bridge_check
        await self._ask(connection, (check,))
        self._probe = secrets.token_hex(8).encode()
        connection.publish(Message(check, self._probe, Rank.BRIDGE), qos=0)
        await self._ask(connection, self._own, others_only=True)
        whole = await self._collect(connection, (f"{self._topics.base}/bridge/+", *signatures))
        if whole and not self._has_echoed:
            return Reading(Wildcards.UNKNOWN)
        if whole and not self._probe_came:
            return Reading(Wildcards.NEVER)
        return Reading(Wildcards.LATE if self._late else Wildcards.AT_ONCE, self._late, whole=whole)

    async def _by_name(self, connection: Connection, reading: Reading) -> Reading:
        """Read what the bridge names and wildcards did not bring, and count all else that it names as retained."""
        await self._ask(connection, (self._topics.bridge_check,))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.longest_own):
                await self._collect(connection, self.retained.unread())
        self.retained.assume()
        return replace(reading, by_name=self._probe_came)

    async def _collect(self, connection: Connection, filters: Sequence[str]) -> bool:
        """Collect what is retained under `filters`; False: the time allowed was not enough.

        Where the broker withholds the echo (no right), a pause must do, once it has answered a later subscription: a
        connection may stall.
        """
        self._echo = secrets.token_hex(8).encode()
        self._progress.clear()
        await self._ask(connection, filters)
        connection.publish(Message(self._topics.bridge_check, self._echo, Rank.BRIDGE, retain=False), qos=0)
        await self._ask(connection, (self._topics.bridge_state,))
        began = monotonic()
        while (left := began + self._allowed - monotonic()) > 0:
            pause = self._pause
            if not await wait_for(self._progress, min(pause, left)):
                if pause <= left:
                    return True
                break
            self._progress.clear()
        return self._has_echoed and self._probe_came

    async def _ask(self, connection: Connection, filters: Sequence[str], *, others_only: bool = False) -> None:
        self._asked += filters
        await connection.subscribe(filters, qos=0, as_published=others_only, others_only=others_only)

    def _note_own(self, payload: bytes, *, retained: bool) -> None:
        if retained and payload == self._probe:
            self._probe = None
            if self._echoed_at is not None:
                self._late = monotonic() - self._echoed_at
        elif not retained and payload == self._echo:
            self._echo = None
            self._echoed_at = monotonic()

    @property
    def _has_echoed(self) -> bool:
        return self._echo is None

    @property
    def _probe_came(self) -> bool:
        return self._probe is None

    @property
    def _pause(self) -> float:
        """Seconds without a message after which nothing more is to be expected."""
        timing = self._timing
        if self._echo is not None:
            return timing.quiet
        if self._probe is not None:
            return timing.late
        return max(timing.quiet_after_late, 2 * self._late) if self._late else timing.quiet_after_echo

    @property
    def _allowed(self) -> float:
        """Seconds for all of it."""
        own = min(self._timing.longest_own, len(self.retained.roster) * self._timing.read_back_per_user)
        return self._timing.longest_read_back + own
