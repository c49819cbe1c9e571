"""Small helpers around the event loop."""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Backoff:
    """Waits that double from `first` to `most` seconds, each shortened by up to a quarter at random.

    The jitter keeps several bridges from logging in at the same moment after an outage.
    """

    def __init__(self, first: float, most: float, rng: random.Random) -> None:
        self._first = first
        self._most = most
        self._rng = rng
        self._next = first

    def reset(self) -> None:
        """Start over after a success."""
        self._next = self._first

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        wait, self._next = self._next, min(self._next * 2, self._most)
        return wait * (1 - self._rng.random() / 4)


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set, for at most `seconds`; returns whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def until(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` until `event` is set, then cancel it and wait for its end. Raises what `work` fails with."""
    doing = asyncio.create_task(work, name="until")
    waiting = asyncio.create_task(event.wait(), name="until-event")
    try:
        await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        doing.cancel()
        waiting.cancel()
        await asyncio.wait({doing, waiting})
    if not doing.cancelled():
        doing.result()


async def in_daemon_thread(name: str, function: Callable[[], T], discard: Callable[[T], None]) -> T:
    """Run a blocking call in a thread of its own that does not delay the end of the process.

    asyncio.to_thread would: the interpreter joins the threads of its pool at exit. When the waiting task is cancelled,
    the call goes on; its result is passed to `discard`, on the loop.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            if error is None:
                discard(result)  # type: ignore[arg-type]  # a T whenever there is no error
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # as above

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except BaseException as exception:  # noqa: BLE001  # raised in the waiting task
            error = exception
        with suppress(RuntimeError):  # the loop is closed, so no task waits
            loop.call_soon_threadsafe(deliver, result, error)

    # Not a TaskGroup's child: a thread cannot be cancelled, so nothing could wait for its end.
    threading.Thread(target=work, name=name, daemon=True).start()
    return await future
