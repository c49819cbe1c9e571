"""One MQTT connection: paho-mqtt driven by the running event loop. The only module that imports paho.

paho resolves names, connects and shakes hands in blocking calls, so these run in a thread; from then on reads, writes
and callbacks happen in the loop. Every connection has a paho client of its own: paho queues unsent QoS 1 messages
without bound and sends them after a reconnect, where they would overwrite newer retained values.
"""

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.aio import in_daemon_thread, wait_for
from bridge.domain.message import Message
from bridge.errors import BrokerError, BrokerUnavailable
from bridge.mqtt.denials import DeniedPublishes
from bridge.mqtt.failures import BrokerFailures
from bridge.mqtt.in_flight import InFlight
from bridge.mqtt.lease import Lease
from bridge.mqtt.limits import BrokerLimits
from bridge.mqtt.loop_io import LoopIo
from bridge.mqtt.settings import MqttSettings, Protocol
from bridge.mqtt.timing import USUAL, MqttTiming
from bridge.mqtt.tls import tls_context

_MOST_FILTERS = 8
"""In one SUBSCRIBE: AWS IoT Core takes no more."""

_LONGEST_RECEIVED = 4 * 1024 * 1024
"""Bytes in one message that a broker may send; it keeps longer ones to itself."""

_VERSIONS = {Protocol.V5: MQTTProtocolVersion.MQTTv5, Protocol.V311: MQTTProtocolVersion.MQTTv311}

_logger = logging.getLogger(__name__)

Receive = Callable[[str, bytes, bool], None]
"""Called with topic, payload and whether the broker sent it because it was retained."""


class Connection:
    """One connection from CONNECT to its end. `lost` is done once it has ended, with the error that ended it."""

    def __init__(
        self,
        settings: MqttSettings,
        protocol: Protocol,
        will: Message | None,
        receive: Receive,
        timing: MqttTiming = USUAL,
        limits: BrokerLimits | None = None,
        lease: Lease | None = None,
    ) -> None:
        """`limits` is what an earlier connection to this broker has shown of it; for `lease` see `holds`."""
        self._settings = settings
        self.limits = limits or BrokerLimits(time.monotonic)
        self.protocol = protocol
        self._receive = receive
        self._timing = timing
        self._lease = lease
        self._failures = failures = BrokerFailures(settings)
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[BrokerError] = self._loop.create_future()
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._subscribing: dict[int, asyncio.Future[list[bool]]] = {}
        """SUBSCRIBEs without an answer yet, by packet identifier."""
        self._in_flight = InFlight(settings.qos)
        self._one_at_a_time = self.limits.one_at_a_time
        if self._one_at_a_time:
            self._in_flight.narrow(1)
        self._hears_acknowledgements = bool(settings.qos) or self._one_at_a_time
        self._published_at = -math.inf
        self.acknowledged: Callable[[str], None] = lambda _topic: None
        """Called with the topic of a publish that the broker has acknowledged."""
        self.denied = DeniedPublishes(failures)
        self._room = asyncio.Event()
        self._unreadable = False
        self._client = self._new_client(will)
        self._io = LoopIo(self._client, self._room.set, self._read)

    async def open(self) -> None:
        """Connect and wait for the broker's CONNACK, or raise the BrokerError that says why not."""
        try:
            async with asyncio.timeout(self._timing.connect):
                await in_daemon_thread("mqtt-connect", self._connect, lambda _: self.abort())
                self._attach()
                await _first_of(self._accepted, self.lost)
        except TimeoutError:
            connected = self._io.attached
            self.abort()
            raise self._failures.no_answer(self._timing.connect, connected=connected) from None
        except (OSError, ValueError) as error:
            raise self._failures.cannot_connect(error) from error
        except BaseException:
            self.abort()
            raise
        if not self._accepted.done() or self.lost.done():
            raise self.lost.result()

    async def tend(self) -> None:
        """Send the pings of MQTT's keep-alive, until the connection is lost."""
        while not self.lost.done():
            self._tend_lease()
            self._client.loop_misc()
            await asyncio.wait({self.lost}, timeout=1.0)

    @property
    def holds(self) -> bool:
        """Whether the connection stands and its lease, if it has one, has not run out."""
        return not self.lost.done() and (self._lease is None or self._lease.holds)

    def publish(self, message: Message, qos: int) -> None:
        """Send now. A connection that breaks meanwhile shows in `lost`; nothing is kept for later."""
        limits = self.limits
        if not limits.takes(message):
            return
        qos = min(max(qos, message.least_qos, int(self._one_at_a_time)), limits.qos)
        info = self._client.publish(message.topic, message.payload, qos, message.retain and limits.retains)
        self._published_at = self._loop.time()
        if qos and self._hears_acknowledgements and info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._in_flight.add(info.mid, message)
        self._io.want_write()

    @property
    def has_room(self) -> bool:
        """Whether another message may be sent without waiting."""
        return self._in_flight.has_room and not self._io.writing

    def awaits(self, topic: str) -> bool:
        """Whether something published to `topic` is not acknowledged yet; at QoS 0 nothing ever is."""
        return self._in_flight.awaits(topic)

    async def room(self) -> None:
        """Wait until another message may be sent; a broker that acknowledges nothing for long is given up."""
        while not self.has_room and not self.lost.done():
            self._room.clear()
            if not await wait_for(self._room, self._timing.acknowledgement):
                text = f"{self._failures.broker} has acknowledged nothing for {self._timing.acknowledgement:g} s"
                self._lose(BrokerUnavailable(text))

    async def delivered(self) -> None:
        """Wait until the broker has acknowledged everything."""
        while (self._in_flight or self._io.writing) and not self.lost.done():
            self._room.clear()
            await self._room.wait()

    @property
    def guards(self) -> bool:
        """Whether `others_only` subscriptions are possible: by MQTT 5."""
        return self.protocol is Protocol.V5

    async def subscribe(
        self, filters: Sequence[str], qos: int, *, as_published: bool = False, others_only: bool = False
    ) -> list[bool]:
        """Subscribe, wait for the broker's answer, and return which of `filters` it granted.

        `as_published` keeps the retain flag of messages that come while the subscription stands, and `others_only`
        brings no message of this connection back; MQTT 5 alone can do either.
        """
        granted: list[bool] = []
        qos = min(qos, self.limits.qos)
        options: Any = qos
        if self.protocol is Protocol.V5:
            options = SubscribeOptions(qos=qos, retainAsPublished=as_published, noLocal=others_only)
        for first in range(0, len(filters), _MOST_FILTERS):
            granted += await self._subscribe([(each, options) for each in filters[first : first + _MOST_FILTERS]])
        return granted

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Unsubscribe without waiting for the answer."""
        self._client.unsubscribe(list(filters))
        self._io.want_write()

    def close(self) -> None:
        """Send DISCONNECT: the broker then does not publish the will."""
        self._client.disconnect()
        self.abort()

    def abort(self) -> None:
        """Drop the connection as it is; the broker will publish the will."""
        self._io.detach()
        self._client.on_disconnect = None
        left = self._client.socket()
        if left is not None:
            left.close()
        self._lose(BrokerUnavailable("closed"))

    def _tend_lease(self) -> None:
        lease = self._lease
        if lease is None:
            return
        if not lease.holds:
            self._lose(BrokerUnavailable(f"{self._failures.broker} has sent nothing for a keep-alive"))
        lease.look()
        if lease.ping_due():
            self._client._send_pingreq()  # noqa: SLF001  # paho itself pings after a whole keep-alive, too late here
            self._io.want_write()

    def _read(self) -> None:
        if self._lease is not None:
            self._lease.received()

    def _new_client(self, will: Message | None) -> Client:
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            protocol=_VERSIONS[self.protocol],
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(0)  # the window is kept here, where waiting values can still be replaced
        if will is not None:
            client.will_set(
                will.topic, will.payload, qos=min(1, self.limits.qos), retain=will.retain and self.limits.retains
            )
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        client.connect_timeout = self._timing.connect
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        if self._hears_acknowledgements:
            client.on_publish = self._on_publish  # at QoS 0 a third of the time would go into calling it
        client.on_subscribe = self._on_subscribe
        return client

    def _connect(self) -> None:
        """Runs in a thread: reads the certificates, which may have been renewed, then blocks in paho."""
        settings = self._settings
        if settings.tls.enabled:
            self._client.tls_set_context(tls_context(settings.tls))
        properties = None
        if self.protocol is Protocol.V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own gap
            properties.MaximumPacketSize = _LONGEST_RECEIVED
        self._client.connect(settings.host, settings.port, settings.keepalive, properties=properties)

    def _attach(self) -> None:
        connected: object = self._client.socket()
        if connected is None:
            raise BrokerUnavailable(f"{self._failures.broker} closed the connection")
        if not isinstance(connected, socket.socket):
            raise TypeError("paho's socket is a websocket, which was not asked for")
        self._client.on_socket_close = lambda *_: self._io.detach()
        if self._lease is not None:
            self._lease.begin()
        self._io.attach(connected)

    async def _subscribe(self, wanted: list[tuple[str, Any]]) -> list[bool]:
        _, packet = self._client.subscribe(wanted)
        answer: asyncio.Future[list[bool]] = self._loop.create_future()
        if packet is not None:
            self._subscribing[packet] = answer
            self._io.want_write()
            self._io.expect()
            # Counted from the last byte, as a SUBACK may come behind any number of messages.
            while not (answer.done() or self.lost.done()) and self._io.idle < self._timing.connect:
                await _first_of(answer, self.lost, timeout=self._timing.connect - self._io.idle)
        if answer.done():
            return answer.result()
        self._lose(BrokerUnavailable(f"{self._failures.broker} did not answer a subscription"))
        return [False] * len(wanted)

    def _lose(self, error: BrokerError) -> None:
        if not self.lost.done():
            self.lost.set_result(error)
        self._room.set()

    def _on_connect(
        self, _client: Client, _userdata: Any, _flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            again = self.limits.refused_will(code.value)
            self._lose(self._failures.refused(code.value, str(code), limits_known=again))
            return
        self.limits.announced(properties)
        if self._lease is not None:
            self._lease.shorten(getattr(properties, "ServerKeepAlive", None))
        self._in_flight.narrow(getattr(properties, "ReceiveMaximum", None))
        if not self._accepted.done():
            self._accepted.set_result(None)

    def _on_disconnect(
        self, _client: Client, _userdata: Any, _flags: DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if not self.lost.done():
            # Mosquitto 2.0 with `max_queued_messages 0` denies a publish, and closes the connection because of it.
            suspects = [*self._in_flight.messages, *self.denied.messages]
            self.limits.closed(
                suspects if self._hears_acknowledgements else None,
                one_at_a_time=self._one_at_a_time,
                after=self._loop.time() - self._published_at,
            )
        self._lose(self._failures.closed(code.value, str(code), accepted=self._accepted.done()))

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._io.note_message()
        try:
            topic = message.topic
        except UnicodeDecodeError:
            level = logging.DEBUG if self._unreadable else logging.WARNING
            self._unreadable = True
            _logger.log(level, "%s sent a message whose topic is not UTF-8: ignored", self._failures.broker)
            return
        try:
            self._receive(topic, bytes(message.payload), message.retain)
        except Exception:  # paho would hand over this message for ever, and read no other
            _logger.exception(
                "internal error in handling a message on %s, please report it",
                ascii(topic[:100]),
                extra={"subject": topic},
            )

    def _on_publish(
        self, _client: Client, _userdata: Any, packet: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        message = self._in_flight.acknowledged(packet)
        if message is not None:
            self.acknowledged(message.topic)
            if code.is_failure:
                self.denied.add(message, str(code))
            else:
                self.denied.allowed(message.topic)
        self._room.set()

    def _on_subscribe(
        self, _client: Client, _userdata: Any, packet: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        granted = self._subscribing.pop(packet, None)
        if granted is not None and not granted.done():
            granted.set_result([not code.is_failure for code in codes])


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription to `topic_filter` receives `topic`."""
    return topic_matches_sub(topic_filter, topic)


async def _first_of(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:  # noqa: ASYNC109  # wait's
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
