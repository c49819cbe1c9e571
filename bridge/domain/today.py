"""What one user's calls of a day add up to."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from bridge.domain.model import CallEvent, CallEventType, Direction, Outcome


@dataclass(frozen=True, slots=True)
class MissedCall:
    """The last call that was missed."""

    at: int
    """When it ended, Unix seconds."""
    party: str | None
    """As `privacy.caller_id` allows."""


@dataclass(frozen=True, slots=True)
class Today:
    """Calls that ended on one day and were seen to end."""

    date: date
    missed: int = 0
    answered: int = 0
    """Calls from others, answered here."""
    made: int = 0
    """Dialled from here, answered or not."""
    talk_time: int = 0
    """Seconds of all calls that were connected here."""
    last_missed: MissedCall | None = None

    def counted(self, event: CallEvent, now: int) -> "Today":
        """With a call that ended at `now` (Unix seconds); all other events change nothing."""
        if event.event_type is not CallEventType.ENDED:
            return self
        made = _was_dialled(event)
        missed = event.outcome is Outcome.MISSED
        return replace(
            self,
            missed=self.missed + missed,
            answered=self.answered + (event.answered and made is False),
            made=self.made + (made is True),
            talk_time=self.talk_time + (event.duration if event.answered else 0),
            last_missed=MissedCall(now, event.party) if missed else self.last_missed,
        )

    def joined(self, earlier: "Today") -> "Today":
        """Both together; of another day nothing is added."""
        if earlier.date != self.date:
            return self
        return Today(
            date=self.date,
            missed=self.missed + earlier.missed,
            answered=self.answered + earlier.answered,
            made=self.made + earlier.made,
            talk_time=self.talk_time + earlier.talk_time,
            last_missed=self.last_missed or earlier.last_missed,
        )


def local_date(now: float, zone: ZoneInfo | None) -> date:
    """The day at `now` (Unix seconds) by the clocks of `zone`; None: by this machine's."""
    return datetime.fromtimestamp(now, UTC).astimezone(zone).date()


def _was_dialled(event: CallEvent) -> bool | None:
    """Whether the call began here; None: it was internal, and nobody saw it begin."""
    if event.outcome is Outcome.NOT_ANSWERED or event.direction is Direction.OUTBOUND:
        return True
    if event.direction is Direction.INBOUND:
        return False
    return event.dialled
