"""When a light works, and what it does at other times."""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum
from zoneinfo import ZoneInfo


class Weekday(StrEnum):
    """In the order of `datetime.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class After(StrEnum):
    """What a light does out of hours: it is switched off, or left alone."""

    OFF = "off"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Hours:
    """When a light works. With `end` at or before `begin` they last past midnight, into the next day."""

    days: frozenset[int]
    """0 is Monday. Hours past midnight belong to the day on which they begin."""
    begin: time
    end: time
    after: After
    zone: ZoneInfo | None
    """None: the machine's."""

    def include(self, now: float) -> bool:
        """Whether `now` (Unix seconds) is within them, by local time: also where summer time begins or ends."""
        local = datetime.fromtimestamp(now, UTC).astimezone(self.zone)
        clock = local.time()
        if self.begin < self.end:
            return local.weekday() in self.days and self.begin <= clock < self.end
        yesterday = (local.weekday() - 1) % len(Weekday)
        return (local.weekday() in self.days and clock >= self.begin) or (yesterday in self.days and clock < self.end)
