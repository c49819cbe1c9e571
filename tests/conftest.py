import os
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio

from bridge.simulator import SimulatedPbx
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

# Hypothesis fails an example that takes over 200 ms, which says more about what else the machine does than about the
# code. A test that hangs is ended by the limit of a whole test.
# The same examples in every run of CI, which has to judge the change; new ones everywhere else, to find faults.
hypothesis.settings.register_profile("3cx2mqtt", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("3cx2mqtt")


def pytest_configure(config: pytest.Config) -> None:
    """Limit the duration of each test, unless the command line or a marker does."""
    if config.getoption("timeout", None) is None:
        config.option.timeout = limit(60.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pbx() -> SimulatedPbx:
    """Three users, 100 to 102, with states in the rows of GetMonitorStatus()."""
    return SimulatedPbx(users=3, version="20.0.8.1109", rows="extended")


@pytest_asyncio.fixture
async def url(pbx: SimulatedPbx) -> AsyncIterator[str]:
    async with pbx.serve() as address:
        yield address


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    folder = tmp_path / "broker"
    folder.mkdir()
    async with Mosquitto(folder) as mosquitto:
        yield mosquitto


@pytest_asyncio.fixture
async def subscriber(broker: Mosquitto) -> AsyncIterator[Subscriber]:
    async with Subscriber(broker.port) as client:
        yield client


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests neither depend on the environment they are started from nor leave files there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    of_systemd = ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    for name in ("THREECX2MQTT_CONFIG", "THREECX2MQTT_USB_PASSWORD", *of_systemd):
        monkeypatch.delenv(name, raising=False)
