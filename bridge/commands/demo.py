"""The command `demo`: simulated PBX, broker, bridge and subscriber in one process, to try things out."""

import argparse
import asyncio
import json
import logging
import os
import random
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bridge.commands.output import print_now
from bridge.config import load
from bridge.errors import BridgeError
from bridge.runtime.bridge import Bridge
from bridge.simulator import SimulatedPbx
from bridge.simulator.life import live, settle
from bridge.simulator.lights import COMMAND_FILTERS, Look, SimulatedLights

_PEOPLE = 8
_BASE = "3cx"
_SHUTDOWN = 1.0
"""Seconds for the broker's shutdown."""

_INTRODUCTION = """\
3cx2mqtt demo: the real bridge between a simulated 3CX and a small MQTT broker.

  the board      http://127.0.0.1:{web}/     who is on the phone: open it in a browser
  simulated 3CX  {url}   {people} people who make calls, go away and come back
  MQTT broker    127.0.0.1:{port}             no login, forgets everything at the end

See it all from another terminal (apt install mosquitto-clients):

  mosquitto_sub -h 127.0.0.1 -p {port} -v -t '{base}/#'

What to look for:

  {base}/users/100/state        available, ringing, on_call, away …             (for a busy light)
  {base}/users/100/busy         ON or OFF                                       (for a switch)
  {base}/users/100              all that is known about the user, as JSON       (for Node-RED)
  {base}/users/100/call         a call rings, is answered, ends                 (as it happens)
  {base}/groups/Sales           who in the department Sales is in which state
  {base}/bridge/state           online while the bridge runs; its will, offline, when it is killed
  {base}/lights/ada/state       what a busy light shows, and why
  homeassistant/device/#     discovery payloads, by which Home Assistant adds all of them

The bridge drives three simulated lights at the broker: `ada` (Zigbee2MQTT) and `bruno` (Tasmota) follow 100 and 101,
`office` (WLED) shows the most important state of all users.

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
web: {{enabled: true, port: {web}}}
lights:
  - {{name: ada, driver: zigbee2mqtt, topic: zigbee2mqtt/ada, users: ["100"]}}
  - {{name: bruno, driver: tasmota, topic: bruno, users: ["101"]}}
  - {{name: office, driver: wled, topic: wled/office, users: ["*"]}}
groups:
  Sales: {{departments: [Sales]}}
  Support: {{departments: [Support]}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""
    parser.set_defaults(interrupted=0)  # Ctrl-C is the usual end


def main(_options: argparse.Namespace) -> int:
    """Run until Ctrl-C."""
    try:
        asyncio.run(_demo())
    except ExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is not None:
            raise
        raise BrokenPipeError from group  # the reader, such as `head`, has ended
    return 0


async def _demo() -> None:
    """Run simulator, broker and bridge in this process until cancelled, and print what a subscriber sees."""
    pbx = SimulatedPbx(users=_PEOPLE)
    settle(pbx)
    with tempfile.TemporaryDirectory(prefix="3cx2mqtt-demo-") as folder:
        async with _broker() as port, pbx.serve() as url:
            path = Path(folder, "config.yaml")
            places = {"url": url, "port": port, "base": _BASE, "web": _free_port()}
            path.write_text(  # noqa: ASYNC240  # a few lines in a folder of our own
                _CONFIG.format(client_id=pbx.client_id, client_secret=pbx.client_secret, **places)
            )
            print(_INTRODUCTION.format(people=_PEOPLE, config=path, **places), flush=True)
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
    # amqtt logs a warning for each client that tries MQTT 5 first, and its state machine one for each end
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
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
        # Since Python 3.12.1 amqtt's shutdown waits until every client has disconnected (asyncio.Server.wait_closed),
        # which a mosquitto_sub in another terminal does not do. The tasks of such clients are cancelled with the event
        # loop, which asyncio logs as an error.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SHUTDOWN):
                await broker.shutdown()


async def _watch(port: int, names: dict[str, str]) -> None:
    """Subscribe as any client would, and print each state, each call event and each change of a light."""
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
                print_now(f"{topic:<21} {names.get(topic.split('/')[-2], ''):<20} {_readable(payload)}")
            elif (seen := lights.obey(topic, payload)) is not None:
                print_now(_light_line(*seen))
    finally:
        await client.disconnect()


def _light_line(name: str, look: Look) -> str:
    """A line that shows a light: a dot in its colour, where the terminal has colours."""
    color, blinks = look
    shown = "(off)" if color is None else f"({color.hex}{', blinking' if blinks else ''})"
    if color is not None and sys.stdout.isatty():
        shown = f"\x1b[38;2;{color.red};{color.green};{color.blue}m●\x1b[0m {shown}"
    return f"{f'light {name}':<37} {shown}"


def _readable(payload: str) -> str:
    """A state as it is, a call event in a few words."""
    if not payload.startswith("{"):
        return payload
    event = json.loads(payload)
    return f"  {event['event_type']}, {event['direction']}, with {event['party']}, after {event['duration']} s"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
