"""ioBroker's MQTT adapter publishes at each start what it saw last on every topic, which must not steer the PBX."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.simulator import SimulatedPbx
from tests.support.bridges import running, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, program
from tests.support.subscriber import Subscriber

_CACHE = Path(__file__).parents[2] / ".cache/node-red/node_modules/iobroker.mqtt"
_SCRIPT = Path(__file__).with_name("iobroker.js")


@asynccontextmanager
async def iobroker(port: int, states: Path) -> AsyncIterator[None]:
    """The adapter's client, once it has published all it remembers."""
    process = await asyncio.create_subprocess_exec(
        *(program("node"), str(_SCRIPT), str(port), str(states), str(_CACHE)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(limit(20)):
            while b"All states published" not in await process.stdout.readline():
                assert process.returncode is None
        yield
    finally:
        process.kill()
        await process.communicate()


async def test_a_start_of_iobroker_neither_steers_the_pbx_nor_leaves_anything_wrong(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    states = tmp_path / "states.json"
    config = write_config(
        tmp_path, pbx, url, broker.port, users_source="interval: 500ms", more="commands: {profile: true}"
    )
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        async with iobroker(broker.port, states):
            await subscriber.publish("3cx/users/101/set", json.dumps({"profile": "Away"}))
            await subscriber.until_latest("3cx/users/101/state", "away")
            async with asyncio.timeout(limit(10)):
                while (
                    not states.exists()
                    or json.loads(states.read_text()).get("mqtt.0.3cx.users.101.state", {}).get("val") != "away"
                ):
                    await asyncio.sleep(0.05)
        await subscriber.publish("3cx/users/101/set", json.dumps({"profile": "Available"}))
        await subscriber.until_latest("3cx/users/101/state", "available")
        log = len(subscriber.log)

        def replayed() -> list[str]:
            return [each[1] for each in subscriber.log[log:] if each[0] == "3cx/users/101/set"]

        async with iobroker(broker.port, states):  # its own memory may say that 101 is away
            await subscriber.until(lambda: bool(replayed()))
            assert set(replayed()) <= {"null", ""}
            await subscriber.until_latest("3cx/users/101/state", "available")
        assert subscriber.json("3cx/users/101")["profile"] == "Available"
        assert pbx.users["101"].profile == "Available"
