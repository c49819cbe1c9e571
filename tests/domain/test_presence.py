from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.model import CallStatus, State
from bridge.domain.presence import (
    DEFAULT_PROFILES,
    PRECEDENCE,
    Facts,
    derive,
    from_monitor_state,
    is_busy,
    profile_key,
    profile_state,
)

PROFILES = {profile_key(name): state for name, state in DEFAULT_PROFILES.items()}
NONE: frozenset[CallStatus] = frozenset()
ON_CALL, ON_HOLD, RINGING, DIALING = CallStatus.ON_CALL, CallStatus.ON_HOLD, CallStatus.RINGING, CallStatus.DIALING


def facts(
    *calls: CallStatus, profile: str | None = "Available", registered: bool | None = True, reported: bool = True
) -> Facts:
    state = None if profile is None else profile_state(profile, PROFILES, {})
    return Facts(frozenset(calls) if reported else None, True, profile, state, registered)


def unset(*calls: CallStatus, means: State = State.AVAILABLE, **more: bool | None) -> Facts:
    return replace(facts(*calls, profile=None, **more), without_profile=means)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "state", "reason"),
    [
        (facts(), State.AVAILABLE, "profile: Available"),
        (facts(ON_CALL), State.ON_CALL, "on_call"),
        (facts(ON_CALL, ON_HOLD, RINGING, DIALING), State.ON_CALL, "on_call"),
        (facts(ON_HOLD, RINGING), State.ON_HOLD, "on_hold"),
        (facts(RINGING, DIALING), State.RINGING, "ringing"),
        (facts(DIALING), State.DIALING, "dialing"),
        (facts(ON_CALL, profile="Away", registered=False), State.ON_CALL, "on_call"),
        (facts(RINGING, profile="Out of office"), State.RINGING, "ringing"),
        (facts(profile="Out of office"), State.DO_NOT_DISTURB, "profile: Out of office"),
        (facts(profile="Out of office", registered=False), State.DO_NOT_DISTURB, "profile: Out of office"),
        (facts(profile="Away", registered=False), State.AWAY, "profile: Away"),
        (facts(registered=False), State.OFFLINE, "not registered"),
        (facts(profile=None, registered=False), State.OFFLINE, "not registered"),
        (facts(profile="Custom 1"), State.AVAILABLE, "profile: Custom 1"),
        (facts(profile="Custom 2"), State.DO_NOT_DISTURB, "profile: Custom 2"),
        (facts(profile="Siesta"), State.UNKNOWN, "profile: Siesta is not in presence.profiles"),
        (facts(profile=None), State.UNKNOWN, "no news from the PBX"),
        (unset(), State.AVAILABLE, "no profile set"),
        (unset(means=State.UNKNOWN), State.UNKNOWN, "no profile set"),
        (unset(registered=False), State.OFFLINE, "not registered"),
        (unset(RINGING), State.RINGING, "ringing"),
        (unset(registered=None, reported=False), State.UNKNOWN, "no news about calls"),
        (facts(reported=False), State.UNKNOWN, "no news about calls"),
        (facts(reported=False, profile="Away"), State.UNKNOWN, "no news about calls"),
        (facts(reported=False, profile=None, registered=None), State.UNKNOWN, "no news from the PBX"),
    ],
)
def test_the_first_fact_that_counts_decides(known: Facts, state: State, reason: str) -> None:
    presence = derive(known)
    assert (presence.state, presence.reason) == (state, reason)


def expected(known: Facts) -> State:
    """The same in the words of the documentation."""
    calls = known.calls or NONE
    if ON_CALL in calls or ON_HOLD in calls:
        return State.ON_CALL if ON_CALL in calls else State.ON_HOLD
    if calls:
        return State.RINGING if RINGING in calls else State.DIALING
    if known.calls is None and known.calls_expected:
        return State.UNKNOWN
    if known.profile_state in {State.DO_NOT_DISTURB, State.AWAY}:
        return known.profile_state
    if known.registered is False:
        return State.OFFLINE
    return known.profile_state or State.UNKNOWN


def test_every_combination_of_facts_has_its_state() -> None:
    subsets = [
        None,
        *(
            frozenset(kept for kept, bit in zip(CallStatus, bits, strict=True) if bit)
            for bits in product((0, 1), repeat=4)
        ),
    ]
    profiles = (None, State.AVAILABLE, State.AWAY, State.DO_NOT_DISTURB)
    reached = set()
    for calls, calls_expected, profile, registered in product(subsets, (True, False), profiles, (None, True, False)):
        known = Facts(calls, calls_expected, None if profile is None else "Some", profile, registered)
        reached.add(derive(known).state)
        assert derive(known).state is expected(known), known
    assert reached == set(State)


def test_no_state_but_unknown_without_a_report_about_calls() -> None:
    known = {State.AVAILABLE, State.AWAY, State.DO_NOT_DISTURB, State.OFFLINE}
    nothing = Facts(None, True, None, None, None)
    assert derive(nothing).state is State.UNKNOWN
    for profile, registered in product((*DEFAULT_PROFILES, None), (True, False, None)):
        assert derive(facts(profile=profile, registered=registered, reported=False)).state not in known


def test_the_table_ends_with_a_row_that_always_holds() -> None:
    state, holds, _ = PRECEDENCE[-1]
    assert state is State.UNKNOWN
    assert holds(Facts(None, False, None, None, None))


@pytest.mark.parametrize("state", list(State))
def test_a_state_in_a_monitor_row_stands_for_the_facts_that_other_sources_report(state: State) -> None:
    call, profile, registered = from_monitor_state(state)
    calls = NONE if call is None else frozenset({call})
    derived = derive(Facts(calls, True, profile, None if profile is None else DEFAULT_PROFILES[profile], registered))
    assert derived.state is state


@pytest.mark.parametrize("written", ["Out of office", "out of OFFICE", "OutOfOffice", "out_of-office "])
def test_case_and_spacing_of_profiles_are_forgiven(written: str) -> None:
    assert profile_state(written, PROFILES, {}) is State.DO_NOT_DISTURB


def test_labels_of_custom_profiles_are_known() -> None:
    labels = {"Custom 1": "Lunch", "Custom 2": "Business Trip"}
    own = PROFILES | {profile_key("lunch"): State.AWAY}
    assert profile_state("Custom 1", own, labels) is State.AWAY
    assert profile_state("Lunch", own, labels) is State.AWAY
    assert profile_state("Lunch", PROFILES, labels) is State.AVAILABLE
    assert profile_state("Business Trip", PROFILES, labels) is State.DO_NOT_DISTURB
    assert profile_state("Siesta", own, labels) is None


@given(st.sampled_from(State), st.frozensets(st.sampled_from([s for s in State if s is not State.UNKNOWN])))
def test_busy_is_what_the_rules_name_and_never_guessed(state: State, busy: frozenset[State]) -> None:
    assert is_busy(state, busy) is (None if state is State.UNKNOWN else state in busy)
