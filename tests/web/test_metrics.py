"""The metrics for Prometheus: current, well formed, and without labels that identify users."""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

from bridge import __version__
from bridge.domain.finding import Finding, fail, ok, warn
from bridge.domain.model import CallStatus, Direction, State
from bridge.domain.updates import Answered
from bridge.errors import SourceMissing
from bridge.statistics import Queue, Statistics
from bridge.web.metrics import Metrics
from tests.support.clock import FakeClock
from tests.support.world import CALL_CONTROL, MONITOR_STATUS, USERS, World, leg, user


class Shown:
    """An engine, its counters, and what the metrics say of them."""

    def __init__(self, clock: FakeClock, *findings: Finding, sources: Sequence[str] = (MONITOR_STATUS,)) -> None:
        self.world = World(clock, sources=sources)
        self.statistics = Statistics(clock.clock)
        self.findings: Iterable[Finding] = findings
        self.metrics = Metrics(self.world.engine, self.world.wire, self.statistics, lambda: self.findings)

    def value(self, name: str, **labels: str) -> float | None:
        found = [value for each, value in self.all(f"threecx2mqtt_{name}") if each == labels]
        assert len(found) <= 1
        return found[0] if found else None

    def all(self, name: str) -> list[tuple[Mapping[str, str], float]]:
        families = list(text_string_to_metric_families(self.metrics.text().decode()))
        return [(each.labels, each.value) for family in families for each in family.samples if each.name == name]


def test_before_anything_is_known(clock: FakeClock) -> None:
    shown = Shown(clock)
    shown.world.wire.in_sync = False
    assert shown.value("pbx_online") == 0
    assert shown.value("broker_connected") == 0
    assert shown.value("users_busy") == 0
    assert {labels["state"]: value for labels, value in shown.all("threecx2mqtt_users")} == dict.fromkeys(State, 0)
    assert shown.value("build_info", version=__version__, pbx_version="") == 1
    assert shown.all("threecx2mqtt_polls_total") == []


def test_users_by_state_and_who_is_busy(clock: FakeClock) -> None:
    shown = Shown(clock)
    shown.world.round({"100": State.ON_CALL, "101": State.RINGING, "102": State.AVAILABLE, "103": State.AVAILABLE})
    assert (shown.value("users", state="on_call"), shown.value("users", state="available")) == (1, 2)
    assert sum(value for _, value in shown.all("threecx2mqtt_users")) == 4
    assert shown.value("users_busy") == 2
    shown.world.round({"100": State.AVAILABLE, "101": State.RINGING, "102": State.AVAILABLE, "103": State.AVAILABLE})
    assert (shown.value("users", state="on_call"), shown.value("users", state="available")) == (0, 3)
    assert shown.value("users_busy") == 1


def test_calls_of_today_are_sums_of_all_users(clock: FakeClock) -> None:
    shown = Shown(clock, sources=(USERS, CALL_CONTROL))
    assert shown.all("threecx2mqtt_calls_today") == [({"outcome": each}, 0) for each in ("missed", "answered", "made")]
    world = shown.world
    world.users(user("101"), user("102"))
    world.snapshot(("101", "102"))
    for dn in ("101", "102"):
        world.pushed(dn, leg(CallStatus.DIALING, "7", direction=Direction.OUTBOUND))
        world.pushed(dn)
    assert shown.value("calls_today", outcome="made") == 2


def test_metrics_of_pbx_and_broker(clock: FakeClock) -> None:
    shown = Shown(clock)
    shown.world.engine.apply(Answered("20.0.8.1109"))
    assert (shown.value("pbx_online"), shown.value("broker_connected")) == (1, 1)
    assert shown.value("build_info", version=__version__, pbx_version="20.0.8.1109") == 1
    shown.world.wait(60)
    assert shown.value("pbx_online") == 0
    for _ in range(3):
        shown.statistics.connected()
    shown.statistics.published()
    shown.statistics.dropped(Queue.RECEIVE)
    assert (shown.value("broker_reconnects_total"), shown.value("messages_published_total")) == (2, 1)
    assert [shown.value("messages_dropped_total", queue=queue) for queue in ("publish", "receive")] == [0, 1]


def test_rounds_are_counted_and_timed_by_source(clock: FakeClock) -> None:
    shown = Shown(clock)
    for hundredths in range(1, 101):
        shown.statistics.polled(USERS, hundredths / 100)
    shown.statistics.poll_failed(USERS)
    shown.statistics.poll_failed(MONITOR_STATUS)
    assert shown.value("polls_total", source="users", result="ok") == 100
    assert shown.value("polls_total", source="users", result="failed") == 1
    assert shown.value("polls_total", source="monitor_status", result="ok") == 0
    assert shown.value("poll_duration_seconds", source="users", quantile="0.5") == 0.51
    assert shown.value("poll_duration_seconds", source="users", quantile="0.95") == 0.96
    assert shown.value("poll_duration_seconds_count", source="users") == 100
    assert round(shown.value("poll_duration_seconds_sum", source="users") or 0, 6) == 50.5
    assert shown.value("poll_duration_seconds", source="monitor_status", quantile="0.5") is None
    assert shown.value("poll_last_success_timestamp_seconds", source="users") == FakeClock.START
    assert shown.value("poll_last_success_timestamp_seconds", source="monitor_status") is None


def test_a_source_that_fails_differs_from_one_that_is_not_enabled(clock: FakeClock) -> None:
    shown = Shown(clock, sources=(MONITOR_STATUS, USERS))
    shown.world.round({"100": State.AVAILABLE})
    shown.world.fail(SourceMissing("this build has none"), USERS)
    shown.findings = (
        ok("token", "…"),
        warn("monitor_status", "…"),
        fail("users", "…"),
        ok("active_calls", "switched off by sources.active_calls.enabled"),
    )
    names = ("monitor_status", "users", "active_calls", "call_control")
    assert [shown.value("source_in_use", source=name) for name in names] == [1, 0, 0, 0]
    assert [shown.value("source_failing", source=name) for name in names] == [0, 1, 0, 0]


def test_no_single_source_fails_while_the_pbx_refuses_the_login(clock: FakeClock) -> None:
    shown = Shown(clock, fail("token", "refused"))
    assert {value for _, value in shown.all("threecx2mqtt_source_failing")} == {0}


def test_no_user_is_named(clock: FakeClock) -> None:
    """By letters, as the digits of a number may well be part of a value."""
    shown = Shown(clock, fail("call_control", "does not cover 1 of 2 users (DESKA): add them"))
    shown.world.round({"DESKA": State.ON_CALL, "DESKB": State.AWAY})
    assert b"DESK" not in shown.metrics.text()


def test_a_version_that_is_no_text_does_no_harm(clock: FakeClock) -> None:
    shown = Shown(clock)
    shown.world.engine.apply(Answered('20"\\\n\udcff'))
    assert shown.value("build_info", version=__version__, pbx_version='20"\\\n?') == 1


def test_two_bridges_in_one_process_count_for_themselves(clock: FakeClock) -> None:
    one, other = Shown(clock), Shown(clock)
    one.statistics.published()
    assert (one.value("messages_published_total"), other.value("messages_published_total")) == (1, 0)


def test_the_process_is_measured_too(clock: FakeClock) -> None:
    shown = Shown(clock)
    for name in ("process_resident_memory_bytes", "process_start_time_seconds", "process_cpu_seconds_total"):
        ((labels, value),) = shown.all(name)
        assert (labels, value > 0) == ({}, True)


def test_names_follow_the_conventions(clock: FakeClock) -> None:
    shown = Shown(clock)
    shown.statistics.polled(USERS, 0.1)
    for family in text_string_to_metric_families(shown.metrics.text().decode()):
        assert family.name.startswith(("threecx2mqtt_", "process_"))
        assert family.documentation.endswith(".")
        assert family.type in {"gauge", "counter", "summary"}
