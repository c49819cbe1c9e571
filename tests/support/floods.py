"""Clients and a PBX that send far more than anybody needs, each until it is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from bridge.simulator import SimulatedPbx
from tests.support.beside import beside

_TURN = 0.02
"""Seconds between two portions."""
_FIRST = 1_000_000
"""No participant of the simulated PBX has so high an id."""


class Flood:
    """Sends until cancelled."""

    def __init__(self, send: Callable[[int], None], rate: float) -> None:
        """`send` is called `rate` times a second, with a number that rises."""
        self._send = send
        self._rate = rate
        self.sent = 0

    async def run(self) -> None:
        """Send a portion at a time, as a client that has a lot to say would."""
        while True:
            for _ in range(int(self._rate * _TURN)):
                self._send(self.sent)
                self.sent += 1
            await asyncio.sleep(_TURN)


@asynccontextmanager
async def messages(port: int, topic: str, payload: str, rate: float = 1500) -> AsyncIterator[Flood]:
    """Messages at QoS 0; `{}` in topic and payload is another number in each."""
    client = Client(CallbackAPIVersion.VERSION2)
    await asyncio.to_thread(client.connect, "127.0.0.1", port)
    client.loop_start()

    def send(number: int) -> None:
        client.publish(topic.replace("{}", str(number)), payload.replace("{}", str(number)))

    flood = Flood(send, rate)
    async with beside(flood.run()):
        yield flood
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)


@asynccontextmanager
async def events(
    pbx: SimulatedPbx, dn: str, participant: Mapping[str, object] | None, rate: float = 1000
) -> AsyncIterator[Flood]:
    """Events of the websocket, each about another participant; with `participant` they say what it is like.

    `{}` in `dn` is another number in each.
    """
    if participant is not None:
        pbx.stream.attach = lambda entity: {**participant, "id": _id(entity)} if _id(entity) >= _FIRST else None
    flood = Flood(
        lambda n: pbx.stream.event(f"/callcontrol/{dn.replace('{}', str(n))}/participants/{_FIRST + n}", 0), rate
    )
    async with beside(flood.run()):
        yield flood


def _id(entity: str) -> int:
    return int(entity.rpartition("/")[2])


def resident(pid: int) -> float:
    """Memory of a process, in MB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024
