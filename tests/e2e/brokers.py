"""Brokers that others wrote, each started on free loopback ports with a folder of its own."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port, program

_NODE_MODULES = Path(__file__).parents[2] / ".cache/node-red/node_modules"
_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"

_RABBITMQ_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
mqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}
mqtt.allow_anonymous = true
mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_ets
loopback_users = none
"""

Start = Callable[[Path], AbstractAsyncContextManager[int]]
"""Starts a broker in a folder for the length of the block; gives its MQTT port."""


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[int]:
    """The one that the other tests use."""
    async with Mosquitto(folder) as broker:
        yield broker.port


@asynccontextmanager
async def aedes(folder: Path) -> AsyncIterator[int]:
    """The broker library of Node.js, as Node-RED's and ioBroker's brokers use it."""
    port = free_port()
    script = folder / "broker.js"
    script.write_text(
        f"const aedes = require({str(_NODE_MODULES / 'aedes')!r})();\n"
        f"require('net').createServer(aedes.handle).listen({port}, '127.0.0.1');\n"
    )
    async with _served(port, program("node"), str(script)):
        yield port


@asynccontextmanager
async def rabbitmq(folder: Path) -> AsyncIterator[int]:
    """RabbitMQ with its MQTT plugin; its port mapper for Erlang nodes is a daemon, which is ended too."""
    port, amqp, distribution, mapper = (free_port() for _ in range(4))
    (folder / "rabbitmq.conf").write_text(_RABBITMQ_CONFIG.format(amqp=amqp, mqtt=port))
    (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
    environ = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    try:
        async with _served(port, _RABBITMQ, environ=environ):
            yield port
    finally:
        subprocess.run([program("epmd"), "-port", str(mapper), "-kill"], check=False, capture_output=True)


@asynccontextmanager
async def _served(port: int, *command: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(limit(60)):
            while not await _listens(port):
                assert process.returncode is None, f"{command[0]} ended with {process.returncode}"
                await asyncio.sleep(0.1)
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
