"""Keeps Python's garbage collector from looking through everything again and again.

A full collection looks at every object there is: with hundreds of bridges that takes a third of a second, in
which no call is reported. What was made at the start stays as long as the process, so it is set aside.
"""

import asyncio
import gc
from collections.abc import Callable

_THRESHOLDS = 20_000, 50, 500
"""In place of Python's 700, 10, 10: polls replace as many objects as they make, so what is left over is what counts."""
_QUIET = 20.0
"""Seconds without a bridge that starts or ends, after which what is there is what stays."""
_LOOK = 1.0


async def set_aside(generation: Callable[[], int]) -> None:
    """Once things are quiet, collect one last time and set aside what is left; again whenever `generation` changes.

    `generation` counts the bridges that have started or ended. Objects that were set aside are freed as usual when
    nothing refers to them any more; only circles of them wait for the next time.
    """
    gc.set_threshold(*_THRESHOLDS)
    known, quiet, done = generation(), 0.0, False
    while True:
        await asyncio.sleep(_LOOK)
        now = generation()
        quiet = quiet + _LOOK if now == known else 0.0
        done = done and now == known
        known = now
        if quiet >= _QUIET and not done:
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            done = True
