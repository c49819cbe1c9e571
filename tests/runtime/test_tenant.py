"""One PBX across reloads: what a bridge leaves behind."""

import gc
from collections.abc import Callable
from pathlib import Path

from bridge.runtime.bridge import Bridge
from bridge.runtime.process import Process
from bridge.runtime.tenant import Tenant
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.client.login_backoff import LoginBackoff
from tests.support.beside import beside
from tests.support.bridges import read_config, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber


def bridges() -> int:
    gc.collect()
    return sum(isinstance(each, Bridge) for each in gc.get_objects())


async def test_no_bridge_outlives_its_reload(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    def configured(user: str) -> Path:
        return write_config(tmp_path, pbx, url, broker.port, users=f"exclude: ['{user}']")

    def gone(user: str) -> Callable[[], bool]:
        return lambda: f"3cx/users/{user}/state" not in subscriber.latest

    before = bridges()
    config = read_config(configured("nobody"))
    tenant = Tenant(LoginBackoff(config.pbx, None), Process())
    async with beside(tenant.run(config)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        for user in ("100", "101", "102", "100", "101"):
            tenant.change(read_config(configured(user)))
            await subscriber.until(gone(user))
        assert bridges() - before <= 2  # the one at work, and the one that it has replaced
