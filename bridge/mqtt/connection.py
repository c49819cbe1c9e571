"""One MQTT connection: paho-mqtt driven by the running event loop. The only module that imports paho.

paho connects and shakes hands in blocking calls, so these run in a thread; from then on reads, writes and callbacks
happen in the loop. Every connection has a client object of its own: nothing that an earlier one left unsent can be
delivered late and spoil a newer retained value.
"""

import asyncio
import logging
import socket
import ssl
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
from bridge.errors import BrokerAuthError, BrokerError, BrokerUnavailable
from bridge.mqtt.settings import MqttSettings, Protocol

CONNECT_TIMEOUT = 10.0
"""Seconds for DNS, TCP, TLS and CONNACK together."""

ACKNOWLEDGEMENT = 60.0
"""Seconds that a broker may take to make room for another message."""

MOST_IN_FLIGHT = (1000, 1000, 20)
"""Unacknowledged messages at a time by QoS, unless the broker announces a smaller Receive Maximum.

At QoS 2 Mosquitto drops a client that has more than 20 under way (its max_inflight_messages), announced or not.
"""

_MOST_FILTERS = 8
"""In one subscription: AWS IoT Core takes no more."""

MOST_TAKEN = 4 * 1024 * 1024
"""Bytes in one message that a broker may send; it keeps longer ones to itself."""

_MOST_PACKETS_AT_ONCE = 200
_LARGEST = 268_435_455
"""The most that MQTT can carry; brokers that take less say so in MQTT 5."""
_OVERHEAD = 16
"""More than a PUBLISH holds beside topic and payload."""
_REFUSED_LOGIN = {134, 135, 138, 140}
_WRONG_VERSION = 132
_TAKEN_OVER = 142
_VERSIONS = {Protocol.V5: MQTTProtocolVersion.MQTTv5, Protocol.V311: MQTTProtocolVersion.MQTTv311}

_logger = logging.getLogger(__name__)

Receive = Callable[[str, bytes, bool], None]
"""Called with topic, payload and whether the broker sent it because it was retained."""


class WrongProtocol(BrokerUnavailable):
    """The broker does not speak this version of MQTT, or never answered the greeting: some do that instead."""

    def __init__(self, message: str, *, certain: bool = False) -> None:
        """`certain`: the broker has said so."""
        super().__init__(message)
        self.certain = certain


class Connection:
    """A live connection. `lost` ends with the error that ended it."""

    def __init__(self, settings: MqttSettings, protocol: Protocol, will: Message | None, receive: Receive) -> None:
        self._settings = settings
        self._protocol = protocol
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[BrokerError] = self._loop.create_future()
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: dict[int, asyncio.Future[list[bool]]] = {}
        self._in_flight: dict[int, Message] = {}
        """By packet identifier."""
        self.acknowledged: Callable[[str], None] = lambda _topic: None
        """Called when the broker has acknowledged something published to a topic."""
        self._denied: dict[str, tuple[Message, ReasonCode]] = {}
        """What the broker did not let be published last, by topic; MQTT 5 alone tells, and not at QoS 0."""
        self.denied_more = asyncio.Event()
        """Set when the broker does not let something be published."""
        self._window = MOST_IN_FLIGHT[settings.qos]
        self._room = asyncio.Event()
        self._received = 0
        self._largest = _LARGEST
        self._too_long: set[str] = set()
        self._unreadable = False
        self._client = self._new_client(protocol, will)
        self._socket: socket.socket | None = None
        self._writing = False

    async def open(self) -> None:
        """Connect and wait for the broker's CONNACK, or raise the BrokerError that says why not."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await in_daemon_thread("mqtt-connect", self._connect, lambda _: self.abort())
                self._attach()
                await _first_of(self._accepted, self.lost)
        except TimeoutError:
            silent = WrongProtocol if self._socket is not None else BrokerUnavailable
            self.abort()
            raise silent(f"no answer from {self._place} within {CONNECT_TIMEOUT:g} s") from None
        except (OSError, ValueError) as error:
            raise BrokerUnavailable(f"cannot connect to {self._place}: {_in_words(error)}") from error
        except BaseException:
            self.abort()
            raise
        if not self._accepted.done() or self.lost.done():
            raise self.lost.result()

    async def tend(self) -> None:
        """Keep-alives, until the connection is lost."""
        while not self.lost.done():
            self._client.loop_misc()
            await asyncio.wait({self.lost}, timeout=1.0)

    def publish(self, message: Message, qos: int) -> None:
        """Send now. A connection that breaks meanwhile shows in `lost`; nothing is kept for later."""
        if len(message.payload) + len(message.topic.encode()) + _OVERHEAD > self._largest:
            level = logging.DEBUG if message.topic in self._too_long else logging.WARNING
            self._too_long.add(message.topic)
            _logger.log(  # it would close the connection, and again after each connect
                level,
                "%s is not published: %d bytes are more than the broker takes in one message (%d)",
                ascii(message.topic),
                len(message.payload),
                self._largest,
            )
            return
        info = self._client.publish(message.topic, message.payload, max(qos, message.least_qos), message.retain)
        if qos and info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._in_flight[info.mid] = message
        self._want_write()

    @property
    def has_room(self) -> bool:
        """Whether another message may be sent without waiting."""
        return len(self._in_flight) < self._window and not self._writing

    def awaits(self, topic: str) -> bool:
        """Whether something published to `topic` is not acknowledged yet; at QoS 0 nothing ever is."""
        return any(message.topic == topic for message in self._in_flight.values())

    @property
    def denial(self) -> str | None:
        """What the broker does not let be published, None where there is no such thing. One topic stands for all."""
        for topic, (_, code) in self._denied.items():
            who = "this client" if self._settings.username is None else repr(self._settings.username)
            more = f" and {len(self._denied) - 1} more topics" if len(self._denied) > 1 else ""
            return (
                f"{self._place} does not let {who} publish to {topic!a}{more} ({code}): mend its access list "
                "(docs/mosquitto.acl)"
            )
        return None

    def forget_denied(self, *, retained: bool) -> frozenset[str]:
        """What is `retained` will be said again, or all; gives the topics of which it still holds."""
        self.denied_more.clear()
        kept = {topic: found for topic, found in self._denied.items() if retained and not found[0].retain}
        self._denied = kept
        return frozenset(kept)

    async def room(self) -> None:
        """Wait until another message may be sent; a broker that acknowledges nothing for long is given up."""
        while not self.has_room and not self.lost.done():
            self._room.clear()
            if not await wait_for(self._room, ACKNOWLEDGEMENT):
                self._lose(BrokerUnavailable(f"{self._place} has acknowledged nothing for {ACKNOWLEDGEMENT:g} s"))

    async def delivered(self) -> None:
        """Wait until the broker has acknowledged everything."""
        while (self._in_flight or self._writing) and not self.lost.done():
            self._room.clear()
            await self._room.wait()

    async def subscribe(self, filters: Sequence[str], qos: int, *, as_published: bool = False) -> list[bool]:
        """Subscribe, wait for the broker's word, and return which of `filters` it granted; a few at a time.

        `as_published` keeps the retain flag of messages that come while the subscription stands; MQTT 5 alone can.
        """
        if len(filters) > _MOST_FILTERS:
            first, rest = filters[:_MOST_FILTERS], filters[_MOST_FILTERS:]
            granted = await self.subscribe(first, qos, as_published=as_published)
            return granted + await self.subscribe(rest, qos, as_published=as_published)
        wanted: list[tuple[str, Any]] = [(topic_filter, qos) for topic_filter in filters]
        if self._protocol is Protocol.V5:
            options = SubscribeOptions(qos=qos, retainAsPublished=as_published)
            wanted = [(topic_filter, options) for topic_filter in filters]
        _, mid = self._client.subscribe(wanted)
        answer: asyncio.Future[list[bool]] = self._loop.create_future()
        if mid is not None:
            self._subscribed[mid] = answer
            self._want_write()
            await _first_of(answer, self.lost, timeout=CONNECT_TIMEOUT)
        if answer.done():
            return answer.result()
        self._lose(BrokerUnavailable(f"{self._place} did not answer a subscription"))
        return [False] * len(filters)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Unsubscribe without waiting for the answer."""
        self._client.unsubscribe(list(filters))
        self._want_write()

    def close(self) -> None:
        """Say goodbye: the broker then keeps the will to itself."""
        self._client.disconnect()
        self.abort()

    def abort(self) -> None:
        """Drop the connection as it is; the broker will publish the will."""
        self._detach()
        self._client.on_disconnect = None
        left = self._client.socket()
        if left is not None:
            left.close()
        self._lose(BrokerUnavailable("closed"))

    @property
    def _place(self) -> str:
        return f"the MQTT broker {self._settings.host}:{self._settings.port}"

    def _new_client(self, protocol: Protocol, will: Message | None) -> Client:
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            protocol=_VERSIONS[protocol],
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(0)  # the window is kept here, where waiting values can still be replaced
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        if settings.tls.enabled:
            client.tls_set_context(_tls_context(settings))
        client.connect_timeout = CONNECT_TIMEOUT
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        if settings.qos:
            client.on_publish = self._on_publish  # at QoS 0 a third of the time would go into calling it
        client.on_subscribe = self._on_subscribe
        return client

    def _connect(self) -> None:
        properties = None
        if self._protocol is Protocol.V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own gap
            properties.MaximumPacketSize = MOST_TAKEN
        settings = self._settings
        self._client.connect(settings.host, settings.port, settings.keepalive, properties=properties)

    def _attach(self) -> None:
        connected: object = self._client.socket()
        if connected is None:
            raise BrokerUnavailable(f"{self._place} closed the connection")
        if not isinstance(connected, socket.socket):
            raise TypeError("paho's socket is a websocket, which nobody asked for")
        self._socket = connected
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.on_socket_close = lambda *_: self._detach()
        self._loop.add_reader(connected, self._readable)
        self._want_write()

    def _detach(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None
            self._writing = False

    def _readable(self) -> None:
        """Read on while whole messages come in: paho reads one packet a call when nothing is in flight."""
        for _ in range(_MOST_PACKETS_AT_ONCE):
            before = self._received
            self._client.loop_read()
            if self._received == before and not self._pending():
                break
        else:
            if self._pending():
                self._loop.call_soon(self._readable)  # nobody else hears of what TLS has unpacked already
        self._want_write()

    def _pending(self) -> bool:
        """Whether TLS holds bytes that the loop cannot see."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _want_write(self) -> None:
        if self._socket is not None and not self._writing and self._client.want_write():
            self._writing = True
            self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        self._client.loop_write()
        if self._socket is not None and not self._client.want_write():
            self._writing = False
            self._loop.remove_writer(self._socket)
            self._room.set()

    def _lose(self, error: BrokerError) -> None:
        if not self.lost.done():
            self.lost.set_result(error)
        self._room.set()

    def _on_connect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._lose(self._refusal(code))
            return
        self._largest = getattr(properties, "MaximumPacketSize", self._largest)
        allowed = getattr(properties, "ReceiveMaximum", None)
        if isinstance(allowed, int) and allowed > 0:
            self._window = min(self._window, allowed)
        if not self._accepted.done():
            self._accepted.set_result(None)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if code.value == _TAKEN_OVER:
            self._lose(
                BrokerUnavailable(
                    f"another client with the id {self._settings.client_id!r} took over the session at {self._place}: "
                    "give each bridge its own pbx.name or mqtt.client_id"
                )
            )
        elif code.value in _REFUSED_LOGIN:
            self._lose(self._refusal(code))
        elif not self._accepted.done():
            self._lose(WrongProtocol(f"{self._place} closed the connection before it answered ({code})"))
        else:
            self._lose(BrokerUnavailable(f"{self._place} closed the connection ({code})"))

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._received += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            level = logging.DEBUG if self._unreadable else logging.WARNING
            self._unreadable = True
            _logger.log(level, "%s sent a message with a topic that is no UTF-8: passed over", self._place)
            return
        try:
            self._receive(topic, bytes(message.payload), message.retain)
        except Exception:  # paho would choke on this message for ever, and read no other
            _logger.exception("a message on %s failed in a way that should not happen", ascii(topic[:100]))

    def _on_publish(
        self, _client: Client, _userdata: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        message = self._in_flight.pop(mid, None)
        if message is not None:
            self.acknowledged(message.topic)
            if code.is_failure:
                self._denied[message.topic] = (message, code)
                self.denied_more.set()
            else:
                self._denied.pop(message.topic, None)
        self._room.set()

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: Any,
        mid: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        granted = self._subscribed.pop(mid, None)
        if granted is not None and not granted.done():
            granted.set_result([not code.is_failure for code in codes])

    def _refusal(self, code: ReasonCode) -> BrokerError:
        if code.value == _WRONG_VERSION:
            return WrongProtocol(f"{self._place} does not speak this version of MQTT", certain=True)
        if code.value in _REFUSED_LOGIN:
            who = "a connection without a login"
            if self._settings.username is not None:
                who = f"the login of {self._settings.username!r}"
            return BrokerAuthError(f"{self._place} refused {who} ({code}): check mqtt.username and mqtt.password")
        return BrokerUnavailable(f"{self._place} refused the connection ({code})")


async def opened(settings: MqttSettings, receive: Receive) -> Connection:
    """Connect without a will, by MQTT 5, or by 3.1.1 where the broker refuses that; BrokerError says why not."""
    first = Protocol.V5 if settings.protocol is Protocol.AUTO else settings.protocol
    connection = Connection(settings, first, None, receive)
    try:
        await connection.open()
    except WrongProtocol:
        if settings.protocol is not Protocol.AUTO:
            raise
        connection = Connection(settings, Protocol.V311, None, receive)
        await connection.open()
    return connection


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription to `topic_filter` hears of `topic`."""
    return topic_matches_sub(topic_filter, topic)


async def _first_of(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:  # noqa: ASYNC109  # wait's
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


class _TlsSocket(ssl.SSLSocket):
    """paho forgets a socket whose handshake fails, and leaves it to the garbage collector, which may take hours."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # as SSLSocket has it
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, verified against `tls.ca` or the system's CAs; a client certificate where one is set."""
    tls = settings.tls
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except OSError as error:
        raise BrokerUnavailable(f"mqtt.tls: the certificates cannot be used: {error}") from error
    context.sslsocket_class = _TlsSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _in_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted ({error.verify_message}); set mqtt.tls.ca to the file of your CA"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason}): does it speak TLS on this port?"
    if isinstance(error, socket.gaierror):
        return "the host name cannot be resolved"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
