"""Metrics and probes of a process with several bridges."""

import json

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from bridge.statistics import Statistics
from bridge.web.many import ManyMetrics, ManyProbes, Tenants
from bridge.web.metrics import Metrics
from bridge.web.probes import Probes
from tests.support.clock import FakeClock
from tests.support.world import World


class Process:
    """Two bridges, `hq` and `lab`."""

    def __init__(self, clock: FakeClock) -> None:
        self.worlds = {name: World(clock) for name in ("hq", "lab")}
        self.standby: str | None = None
        self.tenants = Tenants({"hq": True, "lab": True}, {"wrong": "line 1"})
        self.metrics = {
            name: Metrics(world.engine, world.wire, Statistics(clock.clock), list, of_process=False)
            for name, world in self.worlds.items()
        }
        self.probes = {
            name: Probes(world.engine, world.wire, lambda: "no broker", self.metrics[name], lambda: self.standby)
            for name, world in self.worlds.items()
        }

    def many(self) -> ManyMetrics:
        return ManyMetrics(self.metrics, lambda: self.tenants)

    async def ready(self) -> tuple[int, dict[str, object]]:
        application = web.Application()
        application.add_routes(ManyProbes(self.probes, lambda: self.tenants, self.many()).routes())
        async with TestClient(TestServer(application)) as client, client.get("/readyz") as answer:
            return answer.status, json.loads(await answer.text())


async def test_each_family_stands_once_with_the_samples_of_all(clock: FakeClock) -> None:
    process = Process(clock)
    text = (await process.many().text()).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    names = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(names) == len(set(names))
    users = families["threecx2mqtt_users"]
    assert {sample.labels["pbx"] for sample in users.samples} == {"hq", "lab"}
    alone = {family.name for family in text_string_to_metric_families(process.metrics["hq"].text().decode())}
    assert alone <= families.keys()
    up = {sample.labels["file"]: sample.value for sample in families["threecx2mqtt_tenant_up"].samples}
    assert up == {"hq.yaml": 1.0, "lab.yaml": 1.0, "wrong.yaml": 0.0}
    assert "process_resident_memory_bytes" in families


async def test_labels_with_odd_letters_come_through(clock: FakeClock) -> None:
    process = Process(clock)
    process.tenants = Tenants({'a"b\\c': True}, {})
    families = text_string_to_metric_families((await process.many().text()).decode())
    (up,) = (family for family in families if family.name == "threecx2mqtt_tenant_up")
    assert up.samples[0].labels == {"file": 'a"b\\c.yaml'}


async def test_it_is_ready_once_all_have_started_whatever_is_away(clock: FakeClock) -> None:
    process = Process(clock)
    process.tenants = Tenants({"hq": True, "lab": False}, {"wrong": "line 1"})
    status, body = await process.ready()
    assert (status, body["ready"], body["missing"]) == (503, False, {"lab": "has not started yet"})
    process.tenants = Tenants({"hq": True, "lab": True}, {"wrong": "line 1"})
    status, body = await process.ready()
    assert (status, body["broken"]) == (200, {"wrong.yaml": "line 1"})
    assert "does not answer" in str(body["problems"])
    process.standby = "standby; active: 1a2b3c4d"
    _, body = await process.ready()
    assert body["standby"] == {"hq": process.standby, "lab": process.standby}
