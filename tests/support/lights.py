"""A simulated light on a real broker: obeys its make's commands, keeps its own state, goes offline and comes back."""

import asyncio
from typing import Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.outputs.lights.firmware import CASES, Firmware
from tests.support.limits import limit


class SimulatedLight:
    """The first light of CASES for this driver. `commands` are all payloads that it was sent, retained ones too."""

    def __init__(self, port: int, driver: str) -> None:
        case = CASES[driver][0]
        self.firmware: Firmware = case.firmware()
        self.commands: list[tuple[str, bool]] = []
        self.failure: BaseException | None = None
        self._port = port
        self._availability = case.availability
        self._payloads = (case.online[0], case.offline[0])
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._filter = f"{case.options.topic.replace('%prefix%', 'cmnd')}/#"
        if driver == "tasmota":
            self._filter = f"cmnd/{case.options.topic}/#"

    async def __aenter__(self) -> Self:
        await self.plug_in()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.unplug()
        assert self.failure is None, self.failure

    async def plug_in(self) -> None:
        """Switch the power on: it subscribes and publishes that it is online."""
        client = Client(CallbackAPIVersion.VERSION2)
        if self._availability is not None:
            client.will_set(self._availability, self._payloads[1], qos=1, retain=True)
        subscribed = asyncio.Event()
        client.on_subscribe = lambda *_: self._call(subscribed.set)
        client.on_message = lambda _, __, message: self._call(
            self._take, message.topic, message.payload.decode(), message.retain
        )
        await asyncio.to_thread(client.connect, "127.0.0.1", self._port)
        client.loop_start()
        client.subscribe(self._filter, qos=1)
        await asyncio.wait_for(subscribed.wait(), limit(10))
        self._client = client
        if self._availability is not None:
            client.publish(self._availability, self._payloads[0], qos=1, retain=True)

    async def unplug(self) -> None:
        """Switch the power off: it does not disconnect cleanly, so the broker publishes its will."""
        if self._client is not None:
            client, self._client = self._client, None
            sock = client.socket()
            client.on_disconnect = None
            await asyncio.to_thread(client.loop_stop)
            if sock is not None:
                sock.close()

    async def until(self, *, on: bool, color: tuple[int, int, int] | None = None, blinking: bool = False) -> None:
        """Wait until it shows this."""
        try:
            async with asyncio.timeout(limit(10)):
                while not self._shows(on, color, blinking):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            light = self.firmware
            raise AssertionError(f"it shows {light.on}, {light.color}, {light.period}; {self.commands}") from None

    def _shows(self, on: bool, color: tuple[int, int, int] | None, blinking: bool) -> bool:
        light = self.firmware
        if self.failure is not None:
            raise self.failure
        return light.on is on and (color is None or (light.color == color and (light.period is not None) is blinking))

    def _call(self, function: object, *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)  # type: ignore[arg-type]  # a callable

    def _take(self, topic: str, payload: str, retained: bool) -> None:
        if topic == self._availability:
            return
        self.commands.append((payload, retained))
        try:
            self.firmware.receive(topic, payload)
        except AssertionError as error:
            self.failure = error
        self._changed.set()
