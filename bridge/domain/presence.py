"""The rules that turn facts about a user into one state, the reason for it, and whether it counts as busy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.domain.model import CallStatus, State

DEFAULT_PROFILES = {
    "Available": State.AVAILABLE,
    "Away": State.AWAY,
    "Out of office": State.DO_NOT_DISTURB,
    "Custom 1": State.AVAILABLE,
    "Custom 2": State.DO_NOT_DISTURB,
}
"""3CX's five profiles. Its clients show `Out of office` as "Do Not Disturb"; `Custom 1` is a kind of available."""

DEFAULT_BUSY = (State.RINGING, State.DIALING, State.ON_CALL, State.ON_HOLD, State.DO_NOT_DISTURB)
"""States in which a user is busy unless `presence.busy` says otherwise."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`presence:`. The keys of `profiles` are as `profile_key` returns them."""

    profiles: Mapping[str, State]
    busy: frozenset[State]
    ignore_unregistered: bool
    no_profile: State = State.AVAILABLE
    """What a registered user without a profile is."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one user now. What no source reports, or reported too long ago, is None."""

    calls: frozenset[CallStatus] | None
    calls_expected: bool
    """Whether a source of calls is in use, so that `calls` None means that the user may be on a call."""
    profile: str | None
    profile_state: State | None
    """What the profile means; None where the rules do not name it."""
    registered: bool | None
    without_profile: State | None = None
    """What it means that no profile is set in the PBX; None: one is set, or it is not known."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A user's state and the fact that decided it. `reason` is never a source's wording: sources may alternate."""

    state: State
    reason: str


NO_PROFILE = "no profile set"
NO_NEWS = "no news from the PBX"
NO_CALL_NEWS = "no news about calls"
NOT_REPORTED = "not reported by the PBX"
NO_PRESENCE = "monitor status reports no presence"
UNKNOWN_WORD = "a state word the bridge does not know"


def _profile(facts: Facts) -> str:
    return f"profile: {facts.profile}"


def _no_news(facts: Facts) -> str:
    known = facts.profile is not None or facts.registered is not None or facts.without_profile is not None
    return NO_CALL_NEWS if known else NO_NEWS


# The first row whose condition holds decides. A missing answer never counts as a good one: the rows below the calls
# apply only where it is known that there are none, and where nothing is known the state is `unknown`.
PRECEDENCE: tuple[tuple[State, Callable[[Facts], bool], Callable[[Facts], str]], ...] = (
    (State.ON_CALL, lambda facts: _has(facts, CallStatus.ON_CALL), lambda _: "on_call"),
    (State.ON_HOLD, lambda facts: _has(facts, CallStatus.ON_HOLD), lambda _: "on_hold"),
    (State.RINGING, lambda facts: _has(facts, CallStatus.RINGING), lambda _: "ringing"),
    (State.DIALING, lambda facts: _has(facts, CallStatus.DIALING), lambda _: "dialing"),
    (State.UNKNOWN, lambda facts: facts.calls is None and facts.calls_expected, _no_news),
    (State.DO_NOT_DISTURB, lambda facts: facts.profile_state is State.DO_NOT_DISTURB, _profile),
    (State.AWAY, lambda facts: facts.profile_state is State.AWAY, _profile),
    (State.OFFLINE, lambda facts: facts.registered is False, lambda _: "not registered"),
    (State.AVAILABLE, lambda facts: facts.profile_state is State.AVAILABLE, _profile),
    (State.AVAILABLE, lambda facts: facts.without_profile is State.AVAILABLE, lambda _: NO_PROFILE),
    (State.UNKNOWN, lambda facts: facts.without_profile is not None, lambda _: NO_PROFILE),
    (
        State.UNKNOWN,
        lambda facts: facts.profile is not None,
        lambda facts: f"profile: {facts.profile} is not in presence.profiles",
    ),
    (State.UNKNOWN, lambda _: True, lambda _: NO_NEWS),
)


def derive(facts: Facts) -> Presence:
    """The one state that follows from `facts`."""
    return next(Presence(state, reason(facts)) for state, holds, reason in PRECEDENCE if holds(facts))


def is_busy(state: State, busy: frozenset[State]) -> bool | None:
    """Whether `state` counts as busy; None while the state is not known."""
    return None if state is State.UNKNOWN else state in busy


def profile_key(name: str) -> str:
    """The form in which profile names are compared: builds differ in case, blanks and punctuation."""
    return "".join(character for character in name.casefold() if character.isalnum())


def profile_state(profile: str, profiles: Mapping[str, State], labels: Mapping[str, str]) -> State | None:
    """What `profile` means by its label (`Lunch`), else by its name (`Custom 1`); None where the rules name neither.

    `labels` maps the names of this PBX's custom profiles to the labels that its users see; a PBX might report either.
    """
    key = profile_key(profile)
    by_label = [label for name, label in labels.items() if profile_key(name) == key]
    by_name = [name for name, label in labels.items() if profile_key(label) == key]
    found = (profiles.get(profile_key(name)) for name in (*by_label, profile, *by_name))
    return next((state for state in found if state is not None), None)


def from_monitor_state(state: State) -> tuple[CallStatus | None, str | None, bool | None]:
    """The facts behind the state in a monitor row: (call, profile, registered), as other sources report them."""
    return _FACTS_BEHIND[state]


_FACTS_BEHIND: dict[State, tuple[CallStatus | None, str | None, bool | None]] = {
    State.ON_CALL: (CallStatus.ON_CALL, None, None),
    State.ON_HOLD: (CallStatus.ON_HOLD, None, None),
    State.RINGING: (CallStatus.RINGING, None, None),
    State.DIALING: (CallStatus.DIALING, None, None),
    State.AVAILABLE: (None, "Available", True),
    State.AWAY: (None, "Away", True),
    State.DO_NOT_DISTURB: (None, "Out of office", True),
    State.OFFLINE: (None, None, False),
    State.UNKNOWN: (None, None, None),
}


def _has(facts: Facts, status: CallStatus) -> bool:
    return facts.calls is not None and status in facts.calls
