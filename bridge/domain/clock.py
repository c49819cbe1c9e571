"""The two clocks the bridge reads, passed in as one value so that tests can turn the hands."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` (seconds) measures how old news is; `wall` (Unix seconds) dates what is published."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
