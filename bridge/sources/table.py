"""The table of sources: all that other parts know about a source stands in its row.

The configuration takes schema and settings from here, the runtime the factory, the engine the description, and `check`
goes by the same rows. A new source is a module (with its parser) and a row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.domain.model import FactKind, SourceDescription
from bridge.ports import Source
from bridge.sources.threecx.settings import (
    ACTIVE_CALLS_SCHEMA,
    CALL_CONTROL_SCHEMA,
    MONITOR_STATUS_SCHEMA,
    QUEUES_SCHEMA,
    SYSTEM_SCHEMA,
    USERS_SOURCE_SCHEMA,
    SourceSettings,
    call_control_settings,
    source_settings,
)

if TYPE_CHECKING:  # commands that only read the configuration, such as `health`, need not load an HTTP client
    from bridge.sources.threecx.tools import Tools

Schema = Mapping[Any, Any]
"""Of voluptuous: markers with a description → options."""


@dataclass(frozen=True, slots=True)
class SourceType:
    """A row of the table. Fields without a docstring are as in SourceDescription."""

    name: str
    """The key under `sources:`."""
    kind: FactKind
    summary: str
    """What is read, for the schema of the configuration."""
    schema: Schema
    """The options of its section. `enabled` is one of them: a boolean, or a choice of `auto`, `true` and `false`."""
    factory: "Callable[[Tools, SourceSettings], Source]"
    settings: Callable[[Mapping[str, Any]], SourceSettings] = source_settings
    """From options that the schema has passed."""
    monitor_rows: bool = False
    pushes: bool = False
    introduces_users: bool = False
    uncovered_advice: str = ""

    def description(self, settings: SourceSettings) -> SourceDescription:
        """What the engine needs to know, with these settings."""
        return SourceDescription(
            name=self.name,
            kind=self.kind,
            why_off=None if settings.on else f"switched off by sources.{self.name}.enabled",
            required=settings.required,
            monitor_rows=self.monitor_rows,
            pushes=self.pushes,
            introduces_users=self.introduces_users,
            uncovered_advice=self.uncovered_advice,
        )


def _monitor_status(tools: "Tools", settings: SourceSettings) -> Source:
    from bridge.sources.threecx.readers.monitor_status import MonitorStatus  # noqa: PLC0415  # see TYPE_CHECKING

    return MonitorStatus(tools, settings)


def _users(tools: "Tools", settings: SourceSettings) -> Source:
    from bridge.sources.threecx.readers.users import Users  # noqa: PLC0415  # see TYPE_CHECKING

    return Users(tools, settings)


def _active_calls(tools: "Tools", settings: SourceSettings) -> Source:
    from bridge.sources.threecx.readers.active_calls import ActiveCalls  # noqa: PLC0415  # see TYPE_CHECKING

    return ActiveCalls(tools, settings)


def _call_control(tools: "Tools", settings: SourceSettings) -> Source:
    from bridge.sources.threecx.client.call_control import CallControlApi  # noqa: PLC0415  # see TYPE_CHECKING
    from bridge.sources.threecx.readers.call_control import CallControl  # noqa: PLC0415  # see TYPE_CHECKING

    return CallControl(tools, settings, CallControlApi(tools.client, tools.timing.heartbeat, tools.shapes))


def _queues(tools: "Tools", settings: SourceSettings) -> Source:
    from bridge.sources.threecx.readers.queues import Queues  # noqa: PLC0415  # see TYPE_CHECKING

    return Queues(tools, settings)


def _system(tools: "Tools", settings: SourceSettings) -> Source:
    from bridge.sources.threecx.readers.system import System  # noqa: PLC0415  # see TYPE_CHECKING

    return System(tools, settings)


_ROWS = (
    SourceType(
        name="monitor_status",
        kind=FactKind.PEOPLE,
        summary="GET /xapi/v1/Users/Pbx.GetMonitorStatus()",
        schema=MONITOR_STATUS_SCHEMA,
        factory=_monitor_status,
        monitor_rows=True,
    ),
    SourceType(
        name="users",
        kind=FactKind.PEOPLE,
        summary="GET /xapi/v1/Users",
        schema=USERS_SOURCE_SCHEMA,
        factory=_users,
    ),
    SourceType(
        name="active_calls",
        kind=FactKind.CALLS,
        summary="GET /xapi/v1/ActiveCalls",
        schema=ACTIVE_CALLS_SCHEMA,
        factory=_active_calls,
    ),
    SourceType(
        name="call_control",
        kind=FactKind.CALLS,
        summary="Calls by push: wss /callcontrol/ws",
        schema=CALL_CONTROL_SCHEMA,
        factory=_call_control,
        settings=call_control_settings,
        pushes=True,
        introduces_users=True,
        uncovered_advice="add them to the extensions that this API client may monitor, in Integrations > API of the "
        "3CX admin console",
    ),
    SourceType(
        name="queues",
        kind=FactKind.QUEUES,
        summary="GET /xapi/v1/Queues: names and agents; who waits comes from the sources of calls",
        schema=QUEUES_SCHEMA,
        factory=_queues,
    ),
    SourceType(
        name="system",
        kind=FactKind.SYSTEM,
        summary="GET /xapi/v1/SystemStatus: calls, trunks, licence",
        schema=SYSTEM_SCHEMA,
        factory=_system,
    ),
)

TABLE = {row.name: row for row in _ROWS}
"""By name, in the order in which the configuration and `bridge/info` list the sources."""
