"""The 3CX client against the simulated PBX, with a clock that the test turns."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.sources.threecx.auth import TokenAuth
from bridge.sources.threecx.http import Http
from bridge.sources.threecx.refusals import Refusals
from bridge.sources.threecx.settings import PbxSettings
from bridge.sources.threecx.xapi import Xapi
from tests.support.clock import FakeClock


def settings(url: str, client_secret: str = "simulated-key", timeout: float = 2.0) -> PbxSettings:
    return PbxSettings("hq", url, "busylights", client_secret, verify_tls=True, timeout=timeout)


@asynccontextmanager
async def connected(pbx_settings: PbxSettings, clock: FakeClock, directory: Path | None = None) -> AsyncIterator[Xapi]:
    async with Http(pbx_settings) as http:
        refusals = Refusals(pbx_settings, directory, clock.clock.wall)
        yield Xapi(http, TokenAuth(http, pbx_settings, refusals, clock.clock))
