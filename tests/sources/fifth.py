"""A throw-away source of people: that it works shows that a source needs its own file and a row, and nothing else."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voluptuous import Optional

from bridge.domain.model import FactKind, Queue, UserRow
from bridge.domain.updates import Round
from bridge.options import Boolean, Duration, ListOf, Text
from bridge.ports import Report, Source
from bridge.sources.table import SourceType
from bridge.sources.threecx.settings import SourceSettings, source_settings
from bridge.sources.threecx.tools import Tools


@dataclass(frozen=True, slots=True)
class DirectorySettings(SourceSettings):
    """With an option of its own."""

    names: tuple[str, ...] = ()


class Directory:
    """Reports the people that its option names; their numbers begin with 9."""

    name = "directory"

    def __init__(self, tools: Tools, settings: SourceSettings) -> None:
        assert isinstance(settings, DirectorySettings)
        self._tools = tools
        self._settings = settings
        self._wake = asyncio.Event()

    def refresh(self) -> None:
        self._wake.set()

    async def run(self, report: Report) -> None:
        while True:
            self._wake.clear()
            found = (
                UserRow(
                    f"90{number}",
                    None,
                    name,
                    registered=True,
                    profile="Away",
                    queue=Queue.LOGGED_OUT,
                    department=None,
                    special=False,
                )
                for number, name in enumerate(self._settings.names)
            )
            rows = {row.dn: row for row in found}
            report(Round(self.name, rows, complete=True, total=len(rows), good_for=3600.0))
            await self._tools.rest(self.name, self._wake, self._settings.interval)


def _settings(options: Mapping[str, Any]) -> DirectorySettings:
    base = source_settings(options)
    return DirectorySettings(base.enabled, base.interval, base.query, options["names"])


def _factory(tools: Tools, settings: SourceSettings) -> Source:
    return Directory(tools, settings)


ROW = SourceType(
    name=Directory.name,
    kind=FactKind.PEOPLE,
    summary="A list of names",
    schema={
        Optional("enabled", default=True, description="A list of names"): Boolean(),
        Optional("interval", default="5s", description="From round to round"): Duration(0.5, 3600),
        Optional("names", default=[], description="Who there is"): ListOf(Text()),
    },
    factory=_factory,
    settings=_settings,
)
