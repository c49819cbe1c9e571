"""The page of all metrics, from what a bridge without users serves on /metrics."""

from collections.abc import Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from bridge.domain.clock import Clock
from bridge.domain.message import Message
from bridge.domain.model import SourceReport, User
from bridge.sources.table import TABLE
from bridge.statistics import Statistics
from bridge.web.metrics import Metrics
from docs_site.markdown import code, prose, table

_HEAD = """# Metrics

What `/metrics` serves with `web.enabled: true`, in the format of Prometheus.
[Monitoring](../monitoring.md) has more about each, alerts and a dashboard.

In a [fleet](../fleet.md) each has the label `pbx` too, and `threecx2mqtt_tenant_up` says by `file` which bridges work.
"""


class _Status:
    """A bridge that has nothing to show but its sources; publishes nowhere."""

    in_sync = True
    pbx_online = True
    pbx_version = None

    def publish(self, message: Message) -> None:
        """Does nothing: metrics publish no messages."""

    def users(self) -> Sequence[User]:
        """None."""
        return ()

    def calls_today(self) -> Mapping[str, int]:
        """None, by outcome."""
        return dict.fromkeys(("missed", "answered", "made"), 0)

    def sources(self) -> Sequence[SourceReport]:
        """All that there are."""
        return [SourceReport(name, in_use=True) for name in TABLE]


def families() -> list[Metric]:
    """Every family of metrics, with samples."""
    statistics = Statistics(Clock())
    statistics.polled("users", 0.1)
    status = _Status()
    text = Metrics(status, status, statistics, list).text().decode()
    return list(text_string_to_metric_families(text))


def page() -> str:
    """The page as Markdown."""
    rows = (
        (*map(", ".join, (_names(family), [family.type], _labels(family))), prose(family.documentation))
        for family in families()
    )
    return f"{_HEAD}\n{table(('metric', 'type', 'labels', 'meaning'), rows)}"


def _names(family: Metric) -> list[str]:
    return [code(name) for name in dict.fromkeys(sample.name for sample in family.samples)]


def _labels(family: Metric) -> list[str]:
    return [code(label) for label in dict.fromkeys(label for sample in family.samples for label in sample.labels)]
