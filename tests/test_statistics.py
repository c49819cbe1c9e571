from bridge.statistics import Queue, Statistics
from tests.support.clock import FakeClock


def test_polls_messages_and_reconnects_are_counted(clock: FakeClock) -> None:
    statistics = Statistics(clock.clock, "1f6a90c3")
    for number in range(100):
        statistics.polled("users", number / 100)
    statistics.poll_failed("active_calls")
    statistics.connected()
    statistics.connected()
    statistics.published()
    statistics.dropped(Queue.PUBLISH)
    clock.turn(90)
    report = statistics.report(users=7)
    memory = report.pop("memory")
    assert isinstance(memory, int)
    assert memory > 1_000_000
    nothing = {"ok": 0, "failed": 1, "last_success": None, "p50": None, "p95": None}
    assert report == {
        "instance": "1f6a90c3",
        "uptime": 90,
        "polls": {
            "users": {"ok": 100, "failed": 0, "last_success": "2026-11-22T10:00:00Z", "p50": 0.5, "p95": 0.95},
            "active_calls": nothing,
        },
        "users": 7,
        "published": 1,
        "dropped": {"publish": 1, "receive": 0},
        "reconnects": 1,
    }


def test_durations_are_those_of_the_latest_polls(clock: FakeClock) -> None:
    statistics = Statistics(clock.clock)
    for seconds in (*[9.0] * 500, *[1.0] * 200):
        statistics.polled("users", seconds)
    assert statistics.report(0)["polls"] == {
        "users": {"ok": 700, "failed": 0, "last_success": "2026-11-22T10:00:00Z", "p50": 1.0, "p95": 1.0}
    }
