"""The bridge's counters in the format of Prometheus. All are read at each scrape; none names a person."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.samples import Sample

from bridge import __version__
from bridge.domain.finding import Finding, Verdict
from bridge.domain.model import State
from bridge.ports import BridgeStatus, Publisher
from bridge.statistics import Polls, Statistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The format that every Prometheus reads."""

_QUANTILES = (0.5, 0.95)


class Metrics:
    """The metrics of one bridge, in a registry of its own: a process may run several bridges."""

    def __init__(
        self,
        status: BridgeStatus,
        publisher: Publisher,
        statistics: Statistics,
        findings: Callable[[], Iterable[Finding]],
        standby: Callable[[], str | None] = lambda: None,
        *,
        of_process: bool = True,
    ) -> None:
        """`findings` gives the state of the PBX and its sources, as `3cx2mqtt check` prints it.

        `standby` is None unless another bridge of the pair is to work. `of_process`: those of the process too.
        """
        self._standby = standby
        self._status = status
        self._publisher = publisher
        self._statistics = statistics
        self._findings = findings
        self._registry = CollectorRegistry()
        self._registry.register(self)
        if of_process:
            ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics as they are now, of CONTENT_TYPE."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry for each scrape."""
        yield _build(self._status.pbx_version)
        yield from self._connections()
        yield from self._users()
        yield from self._sources()
        yield from self._polls()

    def _connections(self) -> Iterator[Metric]:
        yield _gauge("pbx_online", "Whether the PBX answers (1) or not (0).", self._status.pbx_online)
        yield _gauge(
            "broker_connected",
            "Whether the broker is connected and has been brought up to date (1) or not (0).",
            self._publisher.in_sync,
        )
        yield _gauge(
            "standby",
            "Whether this bridge stands by while another one of the pair works (1).",
            self._standby() is not None,
        )
        yield _counter("broker_reconnects", "Connections to the broker after the first.", self._statistics.reconnects)
        yield _counter("messages_published", "Messages sent to the broker.", self._statistics.messages)
        dropped = CounterMetricFamily(
            _name("messages_dropped"), "Messages that a full queue dropped.", labels=["queue"]
        )
        for queue, count in self._statistics.drops.items():
            dropped.add_metric([queue.value], count)
        yield dropped

    def _users(self) -> Iterator[Metric]:
        users = self._status.users()
        states = Counter(user.state for user in users)
        by_state = GaugeMetricFamily(_name("users"), "Users that are published, by state.", labels=["state"])
        for state in State:
            by_state.add_metric([state.value], states[state])
        yield by_state
        yield _gauge("users_busy", "Users that are busy.", sum(user.busy is True for user in users))
        calls = GaugeMetricFamily(
            _name("calls_today"), "Calls of all users that ended today, by `time_zone`.", labels=["outcome"]
        )
        for outcome, count in self._status.calls_today().items():
            calls.add_metric([outcome], count)
        yield calls

    def _sources(self) -> Iterator[Metric]:
        failing = {finding.about for finding in self._findings() if finding.verdict is Verdict.FAIL}
        in_use = GaugeMetricFamily(
            _name("source_in_use"),
            "Whether the source is enabled and the PBX allows reading it (1).",
            labels=["source"],
        )
        fails = GaugeMetricFamily(
            _name("source_failing"),
            "Whether the source is enabled and its last read failed, though the PBX accepted the login (1).",
            labels=["source"],
        )
        for report in self._status.sources():
            in_use.add_metric([report.name], report.in_use)
            fails.add_metric([report.name], report.name in failing)
        yield in_use
        yield fails

    def _polls(self) -> Iterator[Metric]:
        rounds = CounterMetricFamily(_name("polls"), "Rounds read from the PBX.", labels=["source", "result"])
        last = GaugeMetricFamily(
            _name("poll_last_success_timestamp_seconds"), "When the last good round ended.", labels=["source"]
        )
        seconds = SummaryMetricFamily(
            _name("poll_duration_seconds"),
            "How long good rounds took; the quantiles are those of the last 200.",
            labels=["source"],
        )
        for source, polls in sorted(self._statistics.polls.items()):
            rounds.add_metric([source, "ok"], polls.ok)
            rounds.add_metric([source, "failed"], polls.failed)
            if polls.last_success is not None:
                last.add_metric([source], polls.last_success)
            seconds.samples += _quantiles(seconds.name, source, polls)
            seconds.add_metric([source], polls.ok, polls.total_seconds)
        yield from (rounds, last, seconds)


def _build(pbx_version: str | None) -> Metric:
    # a broken header can hold half a character (a lone surrogate), which UTF-8 cannot
    version = (pbx_version or "").encode("utf-8", "replace").decode()
    labels = ["version", "pbx_version"]
    family = GaugeMetricFamily(_name("build_info"), "Versions of the bridge and of 3CX; always 1.", labels=labels)
    family.add_metric([__version__, version], 1)
    return family


def _quantiles(name: str, source: str, polls: Polls) -> Sequence[Sample]:
    """Added by hand, since SummaryMetricFamily supports only sum and count."""
    return [
        Sample(name, {"source": source, "quantile": str(share)}, seconds)
        for share in _QUANTILES
        if (seconds := polls.quantile(share)) is not None
    ]


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(_name(name), documentation, value)


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(_name(name), documentation, value)


def _name(name: str) -> str:
    """With the prefix; Prometheus' names must start with a letter, hence the spelling."""
    return f"threecx2mqtt_{name}"
