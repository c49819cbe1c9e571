"""From facts to one state per user: who is in which state, why, and whether that counts as busy."""

from dataclasses import dataclass

from bridge.domain.model import MonitorRow, State

BUSY = frozenset({State.RINGING, State.DIALING, State.ON_CALL, State.ON_HOLD, State.DO_NOT_DISTURB})

# The deciding fact in the bridge's own words, so that sources may alternate without a change.
_REASONS = {
    State.AVAILABLE: "available",
    State.AWAY: "profile: Away",
    State.DO_NOT_DISTURB: "profile: Out of office",
    State.RINGING: "ringing",
    State.DIALING: "dialing",
    State.ON_CALL: "on_call",
    State.ON_HOLD: "on_hold",
    State.OFFLINE: "not registered",
    State.UNKNOWN: "a state word the bridge does not know",
}


@dataclass(frozen=True, slots=True)
class Presence:
    """A user's state and the fact that decided it."""

    state: State
    reason: str

    @property
    def busy(self) -> bool | None:
        """Whether somebody in this state should be left alone; None while that is not known."""
        return None if self.state is State.UNKNOWN else self.state in BUSY


NO_NEWS = Presence(State.UNKNOWN, "no news from the PBX")
NOT_REPORTED = Presence(State.UNKNOWN, "not reported by the PBX")
NO_WORD = Presence(State.UNKNOWN, "monitor status tells no presence")

_BY_WORD = {state: Presence(state, reason) for state, reason in _REASONS.items()}


def derive(row: MonitorRow | None, *, fresh: bool) -> Presence:
    """One presence from what monitor status says. No news is never good news: not `fresh` means unknown."""
    if not fresh:
        return NO_NEWS
    if row is None:
        return NOT_REPORTED
    return NO_WORD if row.state is None else _BY_WORD[row.state]
