"""What every source of the PBX works with."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.aio import wait_for
from bridge.domain.clock import Clock
from bridge.domain.privacy import CallerId
from bridge.log import RepeatedFailures
from bridge.ports import Liveness
from bridge.sources.threecx.client.authorised import AuthorisedClient
from bridge.sources.threecx.client.xapi import Xapi
from bridge.sources.threecx.directory import Directory
from bridge.sources.threecx.shapes import Shapes
from bridge.sources.threecx.timing import USUAL, ThreecxTiming
from bridge.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Tools:
    """Shared by all sources of one PBX."""

    client: AuthorisedClient
    xapi: Xapi
    """The configuration API, over `client`."""
    place: Callable[[str], str]
    """Where an option was written: `sources.users.filter` → `config.yaml:14`."""
    failures: RepeatedFailures
    """Logs what keeps several sources from working once, not once per source."""
    clock: Clock
    rng: random.Random
    statistics: Statistics
    liveness: Liveness
    shapes: Shapes = field(default_factory=Shapes)
    caller_id: CallerId = CallerId.MASKED
    timing: ThreecxTiming = USUAL
    directory: Directory = field(default_factory=Directory)
    """The PBX's own numbers, as far as its sources have read them."""

    async def rest(self, source: str, wake: asyncio.Event, seconds: float, least: float = 0.0) -> None:
        """Sleep for `seconds`, or until `wake` is set but for `least` seconds at any rate.

        `source` does not count as stuck meanwhile.
        """
        self.liveness.expect(source, seconds + self.timing.step)
        await asyncio.sleep(least)
        await wait_for(wake, seconds - least)
