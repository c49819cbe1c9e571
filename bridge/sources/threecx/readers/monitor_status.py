"""The source `monitor_status`: polls GetMonitorStatus() for all users, with the configured OData options."""

from contextlib import suppress
from functools import partial

from bridge.domain.model import MonitorRow
from bridge.domain.updates import Round
from bridge.errors import SourceError, SourceMissing, SourceQueryError
from bridge.ports import Report
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.odata import narrows
from bridge.sources.threecx.client.paging import Collection
from bridge.sources.threecx.directory import Kind
from bridge.sources.threecx.parse.shapes import monitor_shapes
from bridge.sources.threecx.poll import Poll, explain_query
from bridge.sources.threecx.settings import Enabled, SourceSettings
from bridge.sources.threecx.tools import Tools

NAME = "monitor_status"
KEY = f"sources.{NAME}"

_PHASE = 0.5
"""Half an interval after the users, which have the same interval unless configured otherwise."""


class MonitorStatus:
    """Reads the monitor rows of all users."""

    name = NAME

    def __init__(self, tools: Tools, settings: SourceSettings) -> None:
        self._tools = tools
        self._settings = settings
        self._rows: Collection[MonitorRow] = Collection(
            "GetMonitorStatus()",
            tools.xapi.monitor_status,
            tools.shapes.noting(
                partial(parse.monitor_row, caller_id=tools.caller_id, directory=tools.directory), monitor_shapes
            ),
            lambda row: row.dn,
            tools.xapi.url("Users/Pbx.GetMonitorStatus()"),
        )
        self._revision = 0
        required = settings.enabled is Enabled.TRUE
        self._poll = Poll(NAME, settings.interval, tools, self._read, self._explain, required=required, phase=_PHASE)

    def refresh(self) -> None:
        """Start the next round now."""
        self._poll.wake()

    async def run(self, report: Report) -> None:
        """Poll until cancelled and report every round, whether it succeeded or failed."""
        await self._poll.run(report)

    async def _read(self) -> Round:
        query = self._settings.query
        if self._revision != self._tools.directory.revision:  # other numbers may be shown in clear
            self._revision = self._tools.directory.revision
            self._rows.forget()
        try:
            reading = await self._rows.read(query)
        except SourceMissing:
            with suppress(SourceError):
                await self._tools.xapi.version()  # so that the message can name the build
            raise
        rows = {row.dn: row for row in reading.items}
        self._tools.directory.learn(NAME, dict.fromkeys(rows, Kind.USER), complete=reading.complete)
        complete = reading.complete and bool(rows) and not narrows(query)
        return Round(NAME, rows, complete, reading.total, self._tools.timing.good_for(self._settings.interval))

    def _explain(self, error: SourceError) -> str:
        if isinstance(error, SourceMissing):
            version = self._tools.xapi.pbx_version
            build = f" {version}" if version else ""
            return (
                f"this 3CX{build} has no GetMonitorStatus() (HTTP 404): builds 20.0.4 to 20.0.8 have it; "
                f"{self._tools.place(KEY + '.enabled')} {KEY}.enabled"
            )
        if isinstance(error, SourceQueryError):
            return explain_query(error, KEY, self._settings.query, self._tools)
        return str(error)
