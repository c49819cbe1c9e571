"""The agent: listens to the broker in one loop, and writes to the lights in another, of a thread of its own.

A USB device that hangs holds up its thread, but neither the keep-alives of MQTT nor the end of the process.
"""

import asyncio
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.aio import Backoff, in_daemon_thread
from bridge.domain.light import Color, Look
from bridge.domain.model import State
from bridge.errors import BrokerAuthError, BrokerError, BrokerUnavailable
from bridge.log import Recurring
from bridge.mqtt.connection import opened
from bridge.mqtt.settings import MqttSettings, Protocol, TlsSettings
from bridge.usb_light.following import Following, looks
from bridge.usb_light.lights import Library, Lights

FAREWELL = 3.0
"""Seconds that the lights may take to go off."""
SILENCE = 5.0
"""Seconds after which a topic that has said nothing is worth a word."""

_LASTING = 10.0
"""Seconds that a connection has to last to be a success."""

_OPTIONS = {
    "mqtt.username": "--username",
    "mqtt.password": "the password",
    "mqtt.tls.ca": "--ca",
    "mqtt.tls": "--ca",
}
"""How what errors of the broker call by its place in the bridge's configuration is called here."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks for. `brightness` is in percent; a colour that is None is off."""

    mqtt: MqttSettings
    dn: str
    colors: Mapping[State, Color | None]
    brightness: int
    blink_busy: bool
    serials: frozenset[str]


def mqtt_settings(
    host: str,
    port: int | None,
    login: tuple[str | None, str | None],
    ca: Path | None,
    dn: str,
    base_topic: str,
    *,
    tls: bool,
) -> MqttSettings:
    """For one connection that only listens. `login` is (username, password)."""
    return MqttSettings(
        host=host,
        port=port or (8883 if tls else 1883),
        username=login[0],
        password=login[1],
        tls=TlsSettings(enabled=tls, ca=ca, cert=None, key=None, insecure=False),
        protocol=Protocol.AUTO,
        client_id=f"3cx2mqtt-usb-{dn}-{socket.gethostname()}-{os.getpid()}",
        keepalive=30,
        base_topic=base_topic,
        qos=1,
        max_rate=0,
    )


def main(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Windows' own kind of loop cannot wait for paho's socket, so the other is taken."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner, suppress(asyncio.CancelledError):
        runner.run(_until_signal(settings))


async def _until_signal(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    life = asyncio.current_task()
    if life is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):  # on Windows Ctrl-C comes as KeyboardInterrupt
                loop.add_signal_handler(number, life.cancel)
    await run(settings, Library(), random.Random())  # noqa: S311  # jitter


async def run(settings: Settings, library: Library, rng: random.Random) -> None:
    """Follow the user until cancelled; then the lights are off."""
    following = Following(
        settings.mqtt.base_topic,
        settings.dn,
        looks(settings.colors, settings.brightness, blink_busy=settings.blink_busy),
    )
    beside = Beside(Lights(library, time.monotonic, settings.serials))
    beside.show(following.look)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(beside.run(), name="usb")
        tasks.create_task(Listener(settings.mqtt, following, beside.show, rng).run(), name="mqtt")


class Beside:
    """Runs `Lights` in a thread with a loop of its own, which is where busylight-core keeps Kuando lights awake."""

    def __init__(self, lights: Lights) -> None:
        self._lights = lights
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self._loop = self._runner.get_loop()

    def show(self, look: Look) -> None:
        """Show this from now on."""
        self._tell(self._lights.show, look)

    async def run(self) -> None:
        """Until cancelled; the lights are off then, or hang."""
        life = asyncio.create_task(in_daemon_thread("usb", self._live, lambda _: None), name="usb-thread")
        try:
            await asyncio.wait({life})
        finally:
            self._tell(self._lights.stop)
            await asyncio.wait({life}, timeout=FAREWELL)
            if not life.done():
                life.cancel()
                _logger.warning("a USB light hangs: it may stay on")
        await life

    def _live(self) -> None:
        with self._runner:
            self._runner.run(self._lights.run())

    def _tell(self, what: Callable[..., None], *arguments: Look) -> None:
        with suppress(RuntimeError):  # the loop is closed: the lights are off already
            self._loop.call_soon_threadsafe(what, *arguments)


class Listener:
    """Stays connected to the broker and tells what to show."""

    def __init__(
        self, settings: MqttSettings, following: Following, show: Callable[[Look], None], rng: random.Random
    ) -> None:
        self._settings = settings
        self._following = following
        self._show = show
        self._backoff = Backoff(0.5, 30.0, rng)
        self._long_backoff = Backoff(60.0, 900.0, rng)
        self._trouble = Recurring(_logger, SILENCE)
        self._silence = Recurring(_logger)

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._one_connection()
            except BrokerAuthError as error:
                self._trouble.failed(_in_words(error), logging.ERROR)
                pause = self._long_backoff.next()
            except BrokerUnavailable as error:
                self._trouble.failed(_in_words(error))
                pause = self._backoff.next()
            finally:
                self._following.forget()
                self._show(self._following.look)
            await asyncio.sleep(pause)

    async def _one_connection(self) -> None:
        """From connect to loss; always raises, in the end what the connection was lost by."""
        connection = await opened(self._settings, self._receive)
        clock = asyncio.get_running_loop().time
        since = clock()
        try:
            self._trouble.recovered("the broker is back")
            _logger.info("connected to %s:%d", self._settings.host, self._settings.port)
            await connection.subscribe(self._following.topics, qos=1)
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENCE):
                    await connection.tend()
            if not connection.lost.done():
                self._trouble.recovered("the broker is back")
                self._note_silence()
                await connection.tend()
        finally:
            connection.close()
        if clock() - since >= _LASTING:
            self._backoff.reset()
            self._long_backoff.reset()
        raise connection.lost.result()

    def _note_silence(self) -> None:
        if silent := ", ".join(self._following.silent):
            self._silence.failed(
                f"nothing is heard of {silent}: is it published (see '3cx2mqtt users'), and may this login read it?"
            )
        else:
            self._silence.recovered("everything is heard of again")

    def _receive(self, topic: str, payload: bytes, _retained: bool) -> None:  # noqa: FBT001  # as Receive demands
        before = self._following.state
        self._following.hear(topic, payload)
        state = self._following.state
        if state is not before:
            _logger.debug("%s", state)
        self._show(self._following.look)


def _in_words(error: BrokerError) -> str:
    text = str(error)
    for name, option in _OPTIONS.items():
        text = text.replace(name, option)
    return text
