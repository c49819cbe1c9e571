"""Rows of Queues."""

from collections.abc import Mapping

from bridge.domain.queues import Queue
from bridge.errors import SourceProtocolError
from bridge.sources.threecx.parse.envelope import as_text

QUEUE_FIELDS = ("Number", "Name")
QUEUE_RELATION = "Agents"
"""Its rows have the number of each agent, and no login: 3CX keeps that for all queues of a user together."""


def queue(raw: object) -> Queue:
    """One queue. Agents are not known where the row has no readable list of them."""
    number = as_text(raw.get("Number")) if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or number is None:
        raise SourceProtocolError("a queue without a number")
    name = raw.get("Name")
    return Queue(number, name if isinstance(name, str) and name else None, _agents(raw.get(QUEUE_RELATION)))


def _agents(rows: object) -> frozenset[str] | None:
    if not isinstance(rows, list):
        return None
    numbers = [as_text(row.get("Number")) if isinstance(row, Mapping) else None for row in rows]
    return None if None in numbers else frozenset(number for number in numbers if number is not None)
