"""How fast retained messages go out: the bridge's session, raw paho, and Mosquitto's own client in C."""

import asyncio
import random
import sys
import time
from collections.abc import Callable

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bridge.domain.clock import Clock
from bridge.domain.message import Message, Rank
from bridge.mqtt.application import Application, Hooks
from bridge.mqtt.outbox import Outbox
from bridge.mqtt.session import Session
from bridge.mqtt.settings import MqttSettings, Protocol, TlsSettings
from bridge.runtime.supervision import Pulse
from bridge.statistics import Statistics
from bridge.topics import Topics
from tests.support.mosquitto import program

_PAYLOAD = b"x" * 220
_ROUNDS = 3


async def measure(port: int, qos: int, count: int) -> str:
    """One line of results: messages a second, the best of three runs of each, in turn."""
    contenders = dict.fromkeys(("bridge", "paho", "c"), 0.0)
    for _ in range(_ROUNDS):
        for name, best in contenders.items():
            contenders[name] = max(best, await _contender(name, port, qos, count))
    bridge, paho, c = contenders.values()
    return (
        f"QoS {qos}, {count} retained messages of {len(_PAYLOAD)} bytes: bridge {bridge:,.0f}/s, "
        f"raw paho {paho:,.0f}/s ({bridge / paho:.0%}), mosquitto_pub -l {c:,.0f}/s"
    )


async def _contender(name: str, port: int, qos: int, count: int) -> float:
    if name == "c":
        return await _mosquitto_pub(port, qos, count)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.rate", name, str(port), str(qos), str(count)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return float(output)


async def _mosquitto_pub(port: int, qos: int, count: int) -> float:
    command = (program("mosquitto_pub"), "-p", str(port), "-V", "5", "-q", str(qos), "-r", "-t", "rate/c", "-l")
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    await process.communicate((_PAYLOAD + b"\n") * count)
    return count / (time.perf_counter() - began)


def _raw_paho(port: int, qos: int, count: int) -> float:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(20)  # Mosquitto's Receive Maximum, which paho leaves to its user
    client.connect("127.0.0.1", port)
    client.loop_start()
    began = time.perf_counter()
    infos: list[MQTTMessageInfo] = [
        client.publish(f"rate/paho/{number}", _PAYLOAD, qos, retain=True) for number in range(count)
    ]
    for info in infos:
        info.wait_for_publish()
    taken = time.perf_counter() - began
    client.disconnect()
    return count / taken


def _bridge(port: int, qos: int, count: int) -> float:
    return asyncio.run(_session(port, qos, count))


async def _session(port: int, qos: int, count: int) -> float:
    """What the bridge does at a start, from the first message to the broker's receipt of the last."""
    began, last = 0.0, "rate/last"
    done = asyncio.Event()

    async def prepare() -> None:
        return

    def synchronise(_retained: object) -> list[Message]:
        nonlocal began
        messages = [Message(f"rate/users/{number}", _PAYLOAD, Rank.STATE) for number in range(count)]
        began = time.perf_counter()
        return [*messages, Message(last, b"last", Rank.ONLINE)]

    def receive(_topic: str, _payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as Receive demands
        if not retained:
            done.set()

    settings = MqttSettings(
        host="127.0.0.1",
        port=port,
        username=None,
        password=None,
        tls=TlsSettings(enabled=False, ca=None, cert=None, key=None, insecure=False),
        protocol=Protocol.V5,
        client_id="rate",
        keepalive=30,
        base_topic="rate",
        qos=qos,
        max_rate=0,
    )
    hooks = Hooks(prepare, synchronise, lambda _: (), (last,), (), (), receive, lambda _: None, tuple)
    clock = Clock()
    application = Application(Topics("rate", "rate", "rate"), Outbox(), hooks, Statistics(clock), Pulse(clock))
    session = Session(settings, application, clock, random.Random())
    task = asyncio.create_task(session.run())
    await done.wait()
    taken = time.perf_counter() - began
    task.cancel()
    return count / taken


if __name__ == "__main__":
    _CONTENDERS: dict[str, Callable[[int, int, int], float]] = {"bridge": _bridge, "paho": _raw_paho}
    print(_CONTENDERS[sys.argv[1]](*map(int, sys.argv[2:])))
