"""Trying things out with no PBX and no broker of one's own: the commands `simulate` and `demo`."""

import asyncio
import json
import logging
import os
import random
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

from bridge.config import load
from bridge.errors import BridgeError
from bridge.runtime.bridge import Bridge
from bridge.simulator import Rows, SimulatedPbx
from bridge.simulator.life import live
from bridge.simulator.lights import COMMAND_FILTERS, Look, SimulatedLights
from bridge.simulator.prompt import HELP, Prompt

_PEOPLE = 8
_BASE = "3cx"

_SIMULATE = """\
A simulated 3CX {version} with {users} people is at {url}  (Ctrl-C ends it)

In config.yaml:

pbx:
  url: {url}
  client_id: {client_id}
  client_secret: {client_secret}

People call and go away by themselves until you type the first command, which ends all their calls:

{help}
"""

_DEMO = """\
3cx2mqtt demo: the real bridge between a simulated 3CX and a small MQTT broker.

  simulated 3CX  {url}   {people} people who make calls, go away and come back
  MQTT broker    127.0.0.1:{port}             no login, forgets everything at the end

See it all from another terminal (apt install mosquitto-clients):

  mosquitto_sub -h 127.0.0.1 -p {port} -v -t '{base}/#'

What to look for:

  {base}/users/100/state        one word: available, ringing, on_call, away …   (for a busy light)
  {base}/users/100/busy         ON or OFF                                       (for a switch)
  {base}/users/100              all that is known about the user, as JSON       (for Node-RED)
  {base}/users/100/call         a call rings, is answered, ends                 (as it happens)
  {base}/bridge/state           online while the bridge runs; the broker says offline when it dies
  {base}/lights/ada/state       what a busy light shows, and why
  homeassistant/device/#     what lets Home Assistant show all of them by itself

Three simulated lights hang on the broker, and the bridge drives them: `ada` (Zigbee2MQTT) and `bruno` (Tasmota) follow
100 and 101, `office` (WLED) shows the most important state of everybody.

The configuration in use: {config}

Now the users' states and calls and the lights, as they arrive at a subscriber of this broker (Ctrl-C ends the demo):
"""

_CONFIG = """\
pbx:
  name: demo
  url: {url}
  client_id: {client_id}
  client_secret: {client_secret}
sources:
  users: {{interval: 1s}}
  monitor_status: {{interval: 1s}}
mqtt: {{host: 127.0.0.1, port: {port}, base_topic: {base}, protocol: 3.1.1}}
lights:
  - {{name: ada, driver: zigbee2mqtt, topic: zigbee2mqtt/ada, users: ["100"]}}
  - {{name: bruno, driver: tasmota, topic: bruno, users: ["101"]}}
  - {{name: office, driver: wled, topic: wled/office, users: ["*"]}}
"""


async def simulate(*, port: int, users: int, version: str, rows: Rows) -> None:
    """Serve a simulated PBX on loopback until cancelled, and do what is typed."""
    pbx = SimulatedPbx(users=users, version=version, rows=rows)
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(pbx.serve(port=port))
        except OSError as error:
            raise BridgeError(f"cannot serve on port {port}: {error.strerror}") from error
        print(
            _SIMULATE.format(
                version=version,
                users=users,
                url=url,
                client_id=pbx.client_id,
                client_secret=pbx.client_secret,
                help=HELP,
            ),
            flush=True,
        )
        life = asyncio.create_task(live(pbx, rng=random.Random(), tell=_print_now), name="people")  # noqa: S311
        try:
            prompt = Prompt(pbx)
            async for line in _typed():
                if life.cancel():
                    for call in list(pbx.exchange.calls):
                        pbx.exchange.end(call)
                print(prompt.do(line), flush=True)
            await asyncio.Event().wait()
        finally:
            life.cancel()


async def _typed() -> AsyncIterator[str]:
    """What is typed, line by line; a thread reads it, since a terminal or a file cannot be waited for otherwise."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, name="prompt", daemon=True).start()
    while (line := await lines.get()) is not None:
        if line.strip():
            yield line.strip()


async def demo() -> None:
    """Run simulator, broker and bridge in this process until cancelled, and print what a subscriber sees."""
    pbx = SimulatedPbx(users=_PEOPLE, rows="extended")
    with tempfile.TemporaryDirectory(prefix="3cx2mqtt-demo-") as folder:
        async with _broker() as port, pbx.serve() as url:
            path = Path(folder, "config.yaml")
            path.write_text(  # noqa: ASYNC240  # a few lines in a folder of our own
                _CONFIG.format(url=url, client_id=pbx.client_id, client_secret=pbx.client_secret, port=port, base=_BASE)
            )
            print(_DEMO.format(url=url, people=_PEOPLE, port=port, base=_BASE, config=path), flush=True)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(Bridge(load(path, os.environ)).run(), name="bridge")
                tasks.create_task(live(pbx, rng=random.Random()), name="people")  # noqa: S311  # invented people
                tasks.create_task(_watch(port, {dn: user.name for dn, user in pbx.users.items()}), name="subscriber")


@asynccontextmanager
async def _broker() -> AsyncIterator[int]:
    """An MQTT 3.1.1 broker on a free loopback port."""
    try:
        from amqtt.broker import Broker  # noqa: PLC0415  # an optional extra
    except ImportError as error:
        raise BridgeError(
            "the demo needs the broker amqtt, which is not installed: pip install '3cx2mqtt[demo]'"
        ) from error
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it warns of clients that try MQTT 5 first
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    port = _free_port()
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        yield port
    finally:
        await broker.shutdown()


async def _watch(port: int, names: dict[str, str]) -> None:
    """A subscriber like any other: prints each state that the broker delivers, and what the lights look like."""
    from amqtt.client import MQTTClient  # noqa: PLC0415  # an optional extra
    from amqtt.mqtt.constants import QOS_0  # noqa: PLC0415  # the same

    client = MQTTClient()
    await client.connect(f"mqtt://127.0.0.1:{port}/")
    filters = [*(f"{_BASE}/users/+/{topic}" for topic in ("state", "call")), *COMMAND_FILTERS]
    await client.subscribe([(each, QOS_0) for each in filters])
    lights = SimulatedLights()
    try:
        while True:
            message = await client.deliver_message()
            if message is None or message.data is None:
                continue
            topic, payload = message.topic, message.data.decode()
            if topic.startswith(f"{_BASE}/"):
                _print_now(f"{topic:<21} {names.get(topic.split('/')[-2], ''):<15} {_readable(payload)}")
            elif (seen := lights.obey(topic, payload)) is not None:
                _print_now(_lit(*seen))
    finally:
        await client.disconnect()


def _lit(name: str, look: Look) -> str:
    """A light as a lamp in its colour, where the terminal has colours."""
    shade, blinks = look
    lamp = "(off)" if shade is None else f"({shade.hex}{', blinking' if blinks else ''})"
    if shade is not None and sys.stdout.isatty():
        lamp = f"\x1b[38;2;{shade.red};{shade.green};{shade.blue}m●\x1b[0m {lamp}"
    return f"{f'light {name}':<37} {lamp}"


def _readable(payload: str) -> str:
    """A state word as it is, an event in a few words."""
    if not payload.startswith("{"):
        return payload
    event = json.loads(payload)
    return f"  {event['event_type']}, {event['direction']}, with {event['party']}, after {event['duration']} s"


def _print_now(line: str) -> None:
    print(f"  {datetime.now():%H:%M:%S}  {line}", flush=True)  # noqa: DTZ005  # the reader's own time


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
