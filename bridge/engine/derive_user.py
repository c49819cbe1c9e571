"""From everything known about a user to what is published about them."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from bridge.domain.calls import Call, follow, most_important, shown
from bridge.domain.model import CallStatus, Leg, Legs, State, User, UserRow
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
from bridge.engine.source_state import Feeds, Known

_logger = logging.getLogger(__name__)


class Derivation:
    """Reduces the facts of all sources to one User."""

    def __init__(self, rules: Rules, caller_id: CallerId, feeds: Feeds) -> None:
        self._rules = rules
        self._caller_id = caller_id
        self._feeds = feeds
        self._profiles: dict[str, State | None] = {}

    def forget_profiles(self) -> None:
        """The PBX's labels of profiles changed."""
        self._profiles.clear()

    def follow_calls(self, dn: str, known: Known, now: int) -> None:
        """Bring `known.calls` up to date; `now` is in Unix seconds."""
        feed = next((feed for feed in self._feeds.in_charge if feed.covers(dn)), None)
        if feed is None:
            known.calls, known.calls_from = None, None
            return
        legs = feed.legs.get(dn, ())
        control = self._feeds.control
        if known.calls and feed is not control and control.fresh and control.covers(dn):
            legs = _with_unseen(legs, known.calls)
        if legs or known.calls or known.calls is None:
            known.calls = follow(known.calls or (), legs, now, other_source=known.calls_from is not feed)
        known.calls_from = feed

    def user(self, dn: str, known: Known, now: int) -> User:
        """What is to be published about the user; `since` holds while the state holds, silence left out."""
        profile = known.profile if self._feeds.users.fresh else None
        presence = derive(self._facts(known, profile))
        call = most_important(known.calls) if known.calls else None
        return User(
            number=dn,
            name=known.name,
            state=presence.state,
            busy=is_busy(presence.state, self._rules.busy),
            since=_since(known, presence.state, call, now),
            reason=self._why_unknown(known) if presence.reason == NO_NEWS else presence.reason,
            profile=profile.profile if profile else None,
            registered=profile.registered if profile else None,
            queue=profile.queue if profile else None,
            call=shown(call, self._caller_id) if call else None,
            calls=None if known.calls is None else len(known.calls),
            department=self._department(known),
            monitor=self._monitor(known),
        )

    def _facts(self, known: Known, profile: UserRow | None) -> Facts:
        """A monitor row's state word counts where no source is on that would know better."""
        call_word, name, registered = self._words(known)
        if self._feeds.users.on:
            name, registered = (profile.profile, profile.registered) if profile else (None, None)
        calls: frozenset[CallStatus] | None
        if any(feed.on for feed in self._feeds.calls):
            calls = None if known.calls is None else frozenset(call.status for call in known.calls)
        else:
            calls = None if call_word is None else frozenset({call_word})
        return Facts(
            calls=calls,
            calls_expected=self._feeds.calls_expected,
            profile=name,
            profile_state=None if name is None else self._profile_state(name),
            registered=None if self._rules.ignore_unregistered else registered,
        )

    def _words(self, known: Known) -> tuple[CallStatus | None, str | None, bool | None]:
        row = known.monitor
        if row is None or row.state is None or not self._feeds.monitor.fresh:
            return None, None, None
        return from_monitor_state(row.state)

    def _profile_state(self, profile: str) -> State | None:
        if profile not in self._profiles:
            found = profile_state(profile, self._rules.profiles, self._feeds.labels)
            if found is None:
                _logger.warning("the profile %r is not in presence.profiles: its users are unknown", profile)
            self._profiles[profile] = found
        return self._profiles[profile]

    def _why_unknown(self, known: Known) -> str:
        if not any(feed.fresh for feed in self._feeds.rows):
            return NO_NEWS
        if known.monitor is None and known.profile is None:
            return NOT_REPORTED
        if self._feeds.users.on or known.monitor is None:
            return NO_NEWS
        return NO_PRESENCE if known.monitor.state is None else UNKNOWN_WORD

    def _department(self, known: Known) -> str | None:
        """The last one that was known: nobody moves because the PBX is silent."""
        if known.profile is not None and self._feeds.departments is not None:
            number = known.profile.department
            known.department = None if number is None else self._feeds.departments.get(number)
        return known.department

    def _monitor(self, known: Known) -> str | None:
        feed = self._feeds.monitor
        if not feed.fresh:
            return None
        if known.monitor is not None:
            return known.monitor.json
        return "{}" if feed.complete else None


def _with_unseen(legs: Legs, calls: tuple[Call, ...]) -> Legs:
    """What is polled, and what only Call Control knew, which was lost a moment ago and may be back in another.

    ActiveCalls takes held calls for connected ones and does not see phones that ring because of a queue: what was known
    of these stays.
    """
    known = {call.key: call for call in calls}
    polled = {leg.id for leg in legs}
    lost = [call for call in calls if call.key not in polled]
    ringing = [call for call in lost if call.status is CallStatus.RINGING and call.via is not None]
    unseen = tuple(Leg(call.key, None) for call in ringing) if polled <= known.keys() else ()
    return tuple(_still_held(leg, [known[leg.id]] if leg.id in known else lost) for leg in legs) + unseen


def _still_held(leg: Leg, calls: Sequence[Call]) -> Leg:
    """`calls` are those that it may be; of several the one with the same party."""
    alike = [call for call in calls if call.party == leg.party] or calls
    held = leg.status is CallStatus.ON_CALL and any(call.status is CallStatus.ON_HOLD for call in alike)
    return replace(leg, keeps=True) if held else leg


def _since(known: Known, state: State, call: Call | None, now: int) -> int:
    before, held = known.user, known.before_silence
    if held is not None and held[0] is state:
        since = held[1]
    elif before is not None and before.state is state:
        since = before.since
    elif call is not None and call.status.value == state.value:
        since = call.since
    else:
        since = now
    if state is not State.UNKNOWN:
        known.before_silence = None
    elif before is not None and before.state is not State.UNKNOWN:
        known.before_silence = (before.state, before.since)
    return since
