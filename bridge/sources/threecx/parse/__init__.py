"""From 3CX's JSON to domain values: the only package that knows 3CX's field names.

Sources: the official OpenAPI files of XAPI 20.0.4 to 20.0.10 (`Pbx.MonitoringState {DN, Expiration}`, `Pbx.User`,
`Pbx.ActiveCall`, `@odata.count`), 3CX's Call Control documentation and examples, and captures by others. No capture of
a real GetMonitorStatus() answer is known, so any object with a DN-like key is accepted as a row and kept whole.
"""

from bridge.sources.threecx.parse.active_calls import ActiveCall, active_call, numbers_in
from bridge.sources.threecx.parse.call_control import (
    Event,
    EventType,
    Extension,
    Participant,
    Snapshot,
    event,
    participant,
    snapshot,
)
from bridge.sources.threecx.parse.envelope import Page, error_message, page
from bridge.sources.threecx.parse.monitor import MAX_ROW_BYTES, monitor_row
from bridge.sources.threecx.parse.queues import QUEUE_FIELDS, QUEUE_RELATION, queue
from bridge.sources.threecx.parse.system import SYSTEM_FIELDS, system
from bridge.sources.threecx.parse.users import (
    CHANGEABLE,
    DEPARTMENT_FIELDS,
    NUMBER_FIELD,
    USER_FIELDS,
    USER_KEY,
    department,
    number,
    profile_labels,
    user_changes,
    user_row,
)

__all__ = [
    "CHANGEABLE",
    "DEPARTMENT_FIELDS",
    "MAX_ROW_BYTES",
    "NUMBER_FIELD",
    "QUEUE_FIELDS",
    "QUEUE_RELATION",
    "SYSTEM_FIELDS",
    "USER_FIELDS",
    "USER_KEY",
    "ActiveCall",
    "Event",
    "EventType",
    "Extension",
    "Page",
    "Participant",
    "Snapshot",
    "active_call",
    "department",
    "error_message",
    "event",
    "monitor_row",
    "number",
    "numbers_in",
    "page",
    "participant",
    "profile_labels",
    "queue",
    "snapshot",
    "system",
    "user_changes",
    "user_row",
]
