"""The agent: MQTT in one event loop, the lights in another, which has a thread of its own.

A USB device that hangs blocks its thread, but neither the keep-alives of MQTT nor the end of the process.
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
from bridge.log import RepeatedFailure
from bridge.mqtt.opening import opened
from bridge.mqtt.settings import MqttSettings, Protocol, TlsSettings
from bridge.usb_light.following import Following, looks
from bridge.usb_light.lights import Library, Lights
from bridge.usb_light.timing import USUAL, UsbTiming

_OPTIONS = {
    "mqtt.username": "--username",
    "mqtt.password": "the password",
    "mqtt.tls.ca": "--ca",
    "mqtt.tls": "--ca",
}
"""Options of the bridge's configuration that errors of the broker name, and what they are called here."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the command line. `brightness` is in percent; a colour that is None is off."""

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
    """Settings of one connection that only subscribes. `login` is (username, password)."""
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
    """Run until SIGTERM or SIGINT. With a selector loop on Windows too: its own kind cannot wait for paho's socket."""
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


async def run(settings: Settings, library: Library, rng: random.Random, timing: UsbTiming = USUAL) -> None:
    """Follow the user until cancelled; the lights are switched off then."""
    following = Following(
        settings.mqtt.base_topic,
        settings.dn,
        looks(settings.colors, settings.brightness, blink_busy=settings.blink_busy),
    )
    thread = LightsThread(Lights(library, time.monotonic, settings.serials, timing), timing)
    thread.show(following.look)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(thread.run(), name="usb")
        tasks.create_task(Listener(settings.mqtt, following, thread.show, rng, timing).run(), name="mqtt")


class LightsThread:
    """Runs `Lights` in a thread with a loop of its own; busylight-core's keep-alives for Kuando run in that loop."""

    def __init__(self, lights: Lights, timing: UsbTiming = USUAL) -> None:
        self._lights = lights
        self._timing = timing
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self._loop = self._runner.get_loop()

    def show(self, look: Look) -> None:
        """Show this from now on."""
        self._call(self._lights.show, look)

    async def run(self) -> None:
        """Run until cancelled; the lights are off then, unless one hangs."""
        life = asyncio.create_task(in_daemon_thread("usb", self._live, lambda _: None), name="usb-thread")
        try:
            await asyncio.wait({life})
        finally:
            self._call(self._lights.stop)
            await asyncio.wait({life}, timeout=self._timing.farewell)
            if not life.done():
                life.cancel()
                _logger.warning("a USB light does not react: it may stay on")
        await life

    def _live(self) -> None:
        with self._runner:
            self._runner.run(self._lights.run())

    def _call(self, method: Callable[..., None], *arguments: Look) -> None:
        with suppress(RuntimeError):  # the loop is closed: the lights are off already
            self._loop.call_soon_threadsafe(method, *arguments)


class Listener:
    """Stays connected to the broker, and calls `show` with the look to show."""

    def __init__(
        self,
        settings: MqttSettings,
        following: Following,
        show: Callable[[Look], None],
        rng: random.Random,
        timing: UsbTiming = USUAL,
    ) -> None:
        self._settings = settings
        self._following = following
        self._show = show
        self._timing = timing
        self._backoff = Backoff(0.5, 30.0, rng)
        self._long_backoff = Backoff(60.0, 900.0, rng)
        self._failures = RepeatedFailure(_logger, timing.no_data)
        self._no_data = RepeatedFailure(_logger)

    async def run(self) -> None:
        """Connect again and again, until cancelled."""
        while True:
            try:
                await self._one_connection()
            except BrokerAuthError as error:
                self._failures.failed(_in_words(error), logging.ERROR)
                pause = self._long_backoff.next()
            except BrokerUnavailable as error:
                self._failures.failed(_in_words(error))
                pause = self._backoff.next()
            finally:
                self._following.forget()
                self._show(self._following.look)
            await asyncio.sleep(pause)

    async def _one_connection(self) -> None:
        """From connect to loss; always raises: the error by which the connection was lost."""
        connection = await opened(self._settings, self._receive)
        clock = asyncio.get_running_loop().time
        since = clock()
        try:
            self._failures.recovered("MQTT broker reachable again")
            _logger.info("connected to %s:%d", self._settings.host, self._settings.port)
            await connection.subscribe(self._following.topics, qos=1)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.no_data):
                    await connection.tend()
            if not connection.lost.done():
                self._failures.recovered("MQTT broker reachable again")
                self._report_no_data()
                await connection.tend()
        finally:
            connection.close()
        if clock() - since >= self._timing.lasting:
            self._backoff.reset()
            self._long_backoff.reset()
        raise connection.lost.result()

    def _report_no_data(self) -> None:
        if missing := ", ".join(self._following.missing):
            self._no_data.failed(
                f"no message on {missing}: is it published (see '3cx2mqtt users'), and may this login read it?"
            )
        else:
            self._no_data.recovered("all topics have messages again")

    def _receive(self, topic: str, payload: bytes, _retained: bool) -> None:  # noqa: FBT001  # as Receive demands
        before = self._following.state
        self._following.receive(topic, payload)
        state = self._following.state
        if state is not before:
            _logger.debug("%s", state)
        self._show(self._following.look)


def _in_words(error: BrokerError) -> str:
    """The message, with the command's own options in place of the configuration's."""
    text = str(error)
    for name, option in _OPTIONS.items():
        text = text.replace(name, option)
    return text
