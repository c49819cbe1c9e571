"""Metrics and probes of a process with several bridges."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily

from bridge.web.metrics import Metrics
from bridge.web.probes import Endpoints, Probes

TENANT_UP = "threecx2mqtt_tenant_up"
"""The only metric that a single bridge does not have."""


@dataclass(frozen=True, slots=True)
class Tenants:
    """How the bridges of the process are doing, by name of their files."""

    started: Mapping[str, bool]
    """Those with a valid file: whether they have started."""
    broken: Mapping[str, str]
    """What keeps others from working: a wrong file, or an internal error."""


class ManyMetrics:
    """The metrics of all bridges, each with the label `pbx`, and those of the process."""

    def __init__(self, metrics: Mapping[str, Metrics], tenants: Callable[[], Tenants]) -> None:
        """`metrics` by `pbx.name`, as they are at each scrape."""
        self._metrics = metrics
        self._tenants = tenants
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    async def text(self) -> bytes:
        """All metrics as they are now, of Metrics' CONTENT_TYPE. Other tasks may run between two bridges."""
        families: dict[str, list[str]] = {}
        for name, metrics in list(self._metrics.items()):
            _add(families, name, metrics.text().decode())
            await asyncio.sleep(0)
        merged = "\n".join(line for lines in families.values() for line in lines)
        tenants = self._tenants()
        up = GaugeMetricFamily(
            TENANT_UP,
            "Whether the bridge of this file works (1), or its file is wrong or it fails (0).",
            labels=["file"],
        )
        for stem in sorted({*tenants.started, *tenants.broken}):
            up.add_metric([f"{stem}.yaml"], stem not in tenants.broken)
        return generate_latest(self._registry) + generate_latest(_Once(up)) + (merged + "\n").encode()


class _Once:
    """A family as a registry of its own."""

    def __init__(self, family: GaugeMetricFamily) -> None:
        self._family = family

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield self._family


_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


def _add(families: dict[str, list[str]], pbx: str, text: str) -> None:
    """Add the lines of one bridge's metrics to those of the others, family by family, as the format demands."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            lines = families.setdefault(line.split(" ", 3)[2], [])
            if not lines:
                lines.append(line)
        elif line.startswith("#"):
            if len(lines) == 1:
                lines.append(line)
        elif (match := _SAMPLE.fullmatch(line)) is not None:
            labels = f'pbx="{pbx}"' + (f",{match['labels']}" if match["labels"] else "")
            lines.append(f"{match['name']}{{{labels}}} {match['value']}")


class ManyProbes(Endpoints):
    """Answers by the state of the process."""

    def __init__(self, probes: Mapping[str, Probes], tenants: Callable[[], Tenants], metrics: ManyMetrics) -> None:
        """`probes` by `pbx.name`, as they are at each request."""
        self._probes = probes
        self._tenants = tenants
        self._counters = metrics

    def readiness(self) -> dict[str, object]:
        """Ready once every valid tenant has started: a PBX that is away is no reason to take the others away too."""
        tenants = self._tenants()
        missing = {stem: "has not started yet" for stem, started in tenants.started.items() if not started}
        problems = {name: dict(probes.missing()) for name, probes in self._probes.items()}
        standby = {name: text for name, probes in self._probes.items() if (text := probes.standby()) is not None}
        return {
            "ready": not missing,
            "missing": missing,
            "broken": {f"{stem}.yaml": problem for stem, problem in tenants.broken.items()},
            "problems": {name: found for name, found in problems.items() if found},
            **({"standby": standby} if standby else {}),
        }

    async def metrics(self) -> bytes:
        """Those of all bridges."""
        return await self._counters.text()
