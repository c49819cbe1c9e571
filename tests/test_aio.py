import asyncio
import random
import threading

import pytest

from bridge.aio import Backoff, in_daemon_thread, wait_for
from tests.support.limits import limit


def test_waits_double_up_to_the_longest_and_start_over() -> None:
    class Even(random.Random):
        def random(self) -> float:
            return 0.0

    backoff = Backoff(1, 10, Even())
    assert [backoff.next() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.next() == 1


def test_jitter_shortens_waits_by_up_to_a_quarter() -> None:
    waits = [Backoff(8, 8, random.Random(seed)).next() for seed in range(100)]
    assert 6 <= min(waits) < 6.5
    assert 7.5 < max(waits) <= 8


async def test_waiting_for_an_event_ends_by_the_event_or_the_time() -> None:
    event = asyncio.Event()
    assert await wait_for(event, 0.001) is False
    event.set()
    assert await wait_for(event, 3600) is True


async def test_a_blocking_call_gives_its_result_or_error() -> None:
    assert await in_daemon_thread("t", lambda: threading.current_thread().name, lambda _: None) == "t"

    def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await in_daemon_thread("t", fail, lambda _: None)


async def test_the_result_of_a_cancelled_blocking_call_is_discarded() -> None:
    release, discarded = threading.Event(), asyncio.Event()
    task = asyncio.create_task(in_daemon_thread("t", release.wait, lambda _: discarded.set()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    await asyncio.wait_for(discarded.wait(), limit(5))
