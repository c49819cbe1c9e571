"""Derives what is published about a user from the facts of all sources."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from bridge.domain.calls import Call, completed, most_important, shown
from bridge.domain.following import follow
from bridge.domain.model import CallStatus, Leg, Legs, MonitorRow, State, User, UserRow
from bridge.domain.presence import (
    NO_NEWS,
    NO_PRESENCE,
    NOT_REPORTED,
    UNKNOWN_WORD,
    Facts,
    Rules,
    derive,
    from_monitor_state,
    is_busy,
    profile_state,
)
from bridge.domain.privacy import CallerId
from bridge.engine.source_state import PeopleSourceState, SourceStates
from bridge.engine.user_record import UserRecord

_MOST_PROFILES = 1000
"""Profile names remembered."""

_logger = logging.getLogger(__name__)


class UserDerivation:
    """Reduces the facts of all sources to one User."""

    def __init__(self, rules: Rules, caller_id: CallerId, states: SourceStates) -> None:
        self._rules = rules
        self._caller_id = caller_id
        self._states = states
        self._profiles: dict[str, State | None] = {}
        """Profile names met so far → what they stand for."""

    def forget_profiles(self) -> None:
        """The PBX's labels of profiles have changed."""
        self._profiles.clear()

    def follow_calls(self, dn: str, record: UserRecord, now: int) -> None:
        """Update `record.calls` from the source that is preferred for this user; `now` is in Unix seconds."""
        sources = [each for each in self._states.preferred if each.covers(dn)]
        if not sources:
            record.lose_calls()
            return
        sources.sort(key=lambda each: each.in_doubt(dn))
        source = sources[0]
        legs = _completed(source.legs.get(dn, ()), [each.legs.get(dn, ()) for each in sources[1:]])
        before = record.calls if record.calls is not None else record.calls_before_silence
        if before and not source.description.pushes and self._push_was_lost(dn):
            legs = _with_unseen(legs, before)
        if legs or before or record.calls is None:
            after = follow(
                before,
                legs,
                now,
                other_source=record.calls_from is not source,
                interrupted=record.calls is None or record.interruptions != source.interruptions,
                open_ids=record.open_ids,
            )
            if not after and any(leg.status is None and leg.keeps for leg in legs):
                record.lose_calls()  # there is a call, but nobody knows how far on it is
            else:
                record.know_calls(after)
        record.calls_from, record.interruptions = source, source.interruptions

    def user(self, dn: str, record: UserRecord, now: int) -> User:
        """What is to be published. `since` is kept while the state is the same, also across a time without news."""
        fresh = self._states.fresh_people()
        profile, row = record.profile(fresh), record.monitor(fresh)
        presence = derive(self._facts(record, profile, row))
        call = most_important(record.calls) if record.calls else None
        return User(
            number=dn,
            name=record.name,
            state=presence.state,
            busy=is_busy(presence.state, self._rules.busy),
            since=_since(record, presence.state, call, now),
            reason=self._why_unknown(record) if presence.reason == NO_NEWS else presence.reason,
            profile=profile.profile if profile else None,
            registered=profile.registered if profile else None,
            queue=profile.queue if profile else None,
            call=shown(call, self._caller_id) if call else None,
            calls=None if record.calls is None else len(record.calls),
            department=self._department(record),
            monitor=_monitor(row, fresh),
        )

    def _push_was_lost(self, dn: str) -> bool:
        """Whether a source that pushed this user's calls lost its connection a moment ago."""
        return any(each.description.pushes and each.fresh and each.covers(dn) for each in self._states.calls.values())

    def _facts(self, record: UserRecord, profile: UserRow | None, row: MonitorRow | None) -> Facts:
        """The state in a monitor row counts only for what no other source is on to report."""
        call_status, name, registered = (
            (None, None, None) if row is None or row.state is None else from_monitor_state(row.state)
        )
        if self._states.profiles_expected:
            name, registered = (profile.profile, profile.registered) if profile else (None, None)
        no_profile = self._states.profiles_expected and profile is not None and profile.no_profile
        calls: frozenset[CallStatus] | None
        if self._states.calls_read:
            calls = None if record.calls is None else frozenset(call.status for call in record.calls)
        else:
            calls = None if call_status is None else frozenset({call_status})
        return Facts(
            calls=calls,
            calls_expected=self._states.calls_expected,
            profile=name,
            profile_state=None if name is None else self._profile_state(name),
            registered=None if self._rules.ignore_unregistered else registered,
            without_profile=self._without_profile(registered) if no_profile else None,
        )

    def _without_profile(self, registered: bool | None) -> State:  # noqa: FBT001  # a fact, not a switch
        """What a user is whose profile is not set in the PBX."""
        reachable = registered is True or self._rules.ignore_unregistered
        return self._rules.no_profile if reachable else State.UNKNOWN

    def _profile_state(self, profile: str) -> State | None:
        if profile not in self._profiles:
            found = profile_state(profile, self._rules.profiles, self._states.labels)
            if found is None:
                _logger.warning(
                    "the profile %r is not in presence.profiles: its users are unknown",
                    profile,
                    extra={"subject": profile},
                )
            if len(self._profiles) >= _MOST_PROFILES:
                self._profiles.clear()
            self._profiles[profile] = found
        return self._profiles[profile]

    def _why_unknown(self, record: UserRecord) -> str:
        if not self._states.fresh_people():
            return NO_NEWS
        if not record.rows:
            return NOT_REPORTED
        row = record.monitor(self._states.people.values())
        if self._states.profiles_expected or row is None:
            return NO_NEWS
        return NO_PRESENCE if row.state is None else UNKNOWN_WORD

    def _department(self, record: UserRecord) -> str | None:
        """The last one that was known: no user changes departments because the PBX does not answer."""
        row = record.profile(self._states.people.values())
        if row is not None and self._states.departments is not None:
            record.department = None if row.department is None else self._states.departments.get(row.department)
        return record.department


def _monitor(row: MonitorRow | None, fresh: Sequence[PeopleSourceState]) -> str | None:
    """The row as it is published; `{}` where a complete round had none for the user."""
    if row is not None:
        return row.json
    return "{}" if any(each.complete for each in fresh if each.description.monitor_rows) else None


def _with_unseen(legs: Legs, calls: tuple[Call, ...]) -> Legs:
    """The polled calls, completed by what a pushing source reported until it lost its connection a moment ago.

    3CX's list of active calls shows held calls as connected, and no phones that ring because of a queue. Until the
    connection is back or the grace is over, what is known about these is kept.
    """
    known = {call.key: call for call in calls}
    polled = {leg.id for leg in legs}
    lost = [call for call in calls if call.key not in polled]
    ringing = [call for call in lost if call.status is CallStatus.RINGING and call.via is not None]
    unseen = tuple(Leg(call.key, None) for call in ringing) if polled <= known.keys() else ()
    return tuple(_still_held(leg, [known[leg.id]] if leg.id in known else lost) for leg in legs) + unseen


def _completed(legs: Legs, others: Sequence[Legs]) -> Legs:
    """The calls of the preferred source; what it leaves open about the other side, other sources may know."""
    if not any(others):
        return legs
    found = []
    for leg in legs:
        accounts = [each for other in others for each in other if each.id == leg.id]
        found.append(reduce(completed, accounts, leg))
    return tuple(found)


def _still_held(leg: Leg, calls: Sequence[Call]) -> Leg:
    """The leg, keeping the status `on_hold` if one of `calls` had it; those with the same party count first."""
    alike = [call for call in calls if call.party == leg.party] or calls
    held = leg.status is CallStatus.ON_CALL and any(call.status is CallStatus.ON_HOLD for call in alike)
    return replace(leg, keeps=True) if held else leg


def _since(record: UserRecord, state: State, call: Call | None, now: int) -> int:
    before, held = record.user, record.before_silence
    if held is not None and held[0] is state:
        since = held[1]
    elif before is not None and before.state is state:
        since = before.since
    elif call is not None and call.status.value == state.value:
        since = call.since
    else:
        since = now
    if state is not State.UNKNOWN:
        record.before_silence = None
    elif before is not None and before.state is not State.UNKNOWN:
        record.before_silence = (before.state, before.since)
    return since
