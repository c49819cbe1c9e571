"""The limit on how often everything is read again."""

from bridge.runtime.refresh import Refresh
from tests.support.clock import FakeClock


def test_requests_within_the_interval_are_merged_and_carried_out_after_it(clock: FakeClock) -> None:
    done: list[str] = []
    refresh = Refresh(clock.clock.monotonic, 1.0, (lambda: done.append("guard"), lambda: done.append("read")))
    for _ in range(3):
        refresh.request()
    assert done == ["guard", "read"]
    clock.turn(0.5)
    refresh.tick()
    assert done == ["guard", "read"]
    clock.turn(0.5)
    for _ in range(3):
        refresh.tick()
    assert done == ["guard", "read"] * 2


def test_without_a_request_a_tick_does_nothing(clock: FakeClock) -> None:
    done: list[str] = []
    Refresh(clock.clock.monotonic, 1.0, (lambda: done.append("read"),)).tick()
    assert done == []
