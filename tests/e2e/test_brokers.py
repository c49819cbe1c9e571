"""The bridge at brokers that others wrote: what it publishes stays true there, and what cannot be done is said."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from bridge.simulator import SimulatedPbx
from tests.e2e.brokers import Start, aedes, mosquitto, rabbitmq
from tests.integration.test_oneshot import command
from tests.support.bridges import running, write_config
from tests.support.limits import limit
from tests.support.subscriber import Subscriber

GHOST = ("3cx/users/101", "3cx/users/101/state", "homeassistant/device/3cx2mqtt_hq/user_101/config")


@dataclass(frozen=True)
class Kind:
    """A broker, and what it can do."""

    start: Start
    wildcards: bool = True
    """Whether it sends what it retains to subscriptions with wildcards."""


@pytest.fixture(
    params=[Kind(mosquitto), Kind(aedes), Kind(rabbitmq, wildcards=False)], ids=lambda kind: kind.start.__name__
)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


async def test_what_it_retains_is_true_survives_a_restart_and_can_be_removed(
    tmp_path: Path, pbx: SimulatedPbx, url: str, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    def configured(users: str = "") -> Path:
        return write_config(
            tmp_path, pbx, url, port, users_source="interval: 500ms", users=users, mqtt="repair_interval: 1s"
        )

    async with kind.start(tmp_path) as port, Subscriber(port, protocol=MQTTProtocolVersion.MQTTv311) as subscriber:
        async with running(configured()):
            await subscriber.until_latest("3cx/bridge/state", "online", limit(20))
            since = subscriber.json("3cx/users/100")["since"]
            assert subscriber.latest["3cx/users/101/state"] == "available"
            assert GHOST[2] in subscriber.latest
            await subscriber.publish("3cx/bridge/pbx", "nonsense", retain=True)
            await subscriber.publish("3cx/users/100/busy", "", retain=True)
            await subscriber.until_latest("3cx/bridge/pbx", "online", limit(20))
            await subscriber.until_latest("3cx/users/100/busy", "OFF", limit(20))
        await subscriber.until_latest("3cx/bridge/state", "offline")
        await asyncio.sleep(max(0.0, 1.1 - time.time() % 1))  # `since` is in whole seconds
        async with running(configured("exclude: ['101'], forget_after: 0s")):
            await subscriber.until_latest("3cx/bridge/state", "online", limit(20))
            assert subscriber.json("3cx/users/100")["since"] == since
            await subscriber.until(lambda: not subscriber.latest.keys() & GHOST)
        await subscriber.until_latest("3cx/bridge/state", "offline")
        said = "the broker sends no retained messages to subscriptions with wildcards" in caplog.text
        assert said is not kind.wildcards
        code, output, errors = await command("cleanup", "-c", configured(), "--yes")
        assert " topics cleared" in output, errors
        assert (code, "there may be more than was found" in errors) == (0 if kind.wildcards else 1, not kind.wildcards)
        own = (
            "3cx/users/100",
            "3cx/users/100/state",
            "3cx/bridge/info",
            "homeassistant/device/3cx2mqtt_hq/bridge/config",
        )
        await subscriber.until(lambda: not subscriber.latest.keys() & own)


async def test_check_says_what_the_broker_can_do(tmp_path: Path, pbx: SimulatedPbx, url: str, kind: Kind) -> None:
    async with kind.start(tmp_path) as port:
        code, output, _ = await command("check", "-c", write_config(tmp_path, pbx, url, port))
    line = next(line for line in output.splitlines() if "retained" in line)
    assert line.startswith("ok " if kind.wildcards else "warn ")
    assert code == 0
