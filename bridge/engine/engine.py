"""Takes in what the sources report, and hands on what changed by it. Never waits."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bridge.domain.calls import Call, changes, event
from bridge.domain.clock import Clock
from bridge.domain.message import Message
from bridge.domain.model import (
    Answered,
    Bridge,
    Calls,
    Departments,
    Failure,
    Labels,
    Remembered,
    Round,
    SourceReport,
    Update,
    User,
    UserCalls,
    UserRow,
)
from bridge.domain.presence import Rules
from bridge.domain.privacy import CallerId
from bridge.engine.derive_user import Derivation
from bridge.engine.groups import Groups
from bridge.engine.roster import Roster
from bridge.engine.settings import UsersSettings
from bridge.engine.source_state import CallFeed, Feed, Feeds
from bridge.errors import SourceAuthError, SourceMissing, SourcePermissionError, SourceQueryError
from bridge.log import Recurring
from bridge.ports import Output, Publisher

SHORTEST_BOUND = 20.0
"""No source is given up for silent before so many seconds."""

MONITOR_STATUS, USERS, ACTIVE_CALLS, CALL_CONTROL = "monitor_status", "users", "active_calls", "call_control"

_MOST_NAMED = 20
_CLOCKS_AGREE = 2.0
_WRONG_YEAR = 366 * 86400.0
"""A clock that is further off is broken rather than wrong."""

_NOT_USABLE = SourceMissing | SourcePermissionError | SourceQueryError | SourceAuthError
"""Failures that say why a source is not in use, rather than that the network hiccuped."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """The configuration's say in what is published."""

    users: UsersSettings
    rules: Rules
    caller_id: CallerId
    groups: Mapping[str, Iterable[str]]
    sources: Mapping[str, str | None]
    """Each of the four sources → why it is off, or None."""
    push_required: bool
    """Whether Call Control is more than welcome: without it calls count as not known, where they are not polled."""
    bound: float
    """Seconds without any answer after which the PBX counts as gone."""


class Engine:
    """Merges updates and publishes differences."""

    def __init__(self, policy: Policy, outputs: Iterable[Output], publisher: Publisher, clock: Clock) -> None:
        self._policy = policy
        self._outputs = tuple(outputs)
        self._publisher = publisher
        self._clock = clock
        on = {name: why_off is None for name, why_off in policy.sources.items()}
        self._feeds = Feeds(
            Feed(MONITOR_STATUS, on[MONITOR_STATUS]),
            Feed(USERS, on[USERS]),
            CallFeed(ACTIVE_CALLS, on[ACTIVE_CALLS]),
            CallFeed(CALL_CONTROL, on[CALL_CONTROL], policy.push_required),
        )
        self._roster = Roster(policy.users, self._feeds, clock)
        self._derivation = Derivation(policy.rules, policy.caller_id, self._feeds)
        self._groups = Groups(policy.groups)
        sources = tuple(
            SourceReport(name, in_use=False, reason=why_off or "not read yet")
            for name, why_off in policy.sources.items()
        )
        self._bridge = Bridge(pbx_online=False, pbx_version=None, sources=sources, roster=(), busy=0, count=None)
        self._totals: dict[str, int | None] = {}
        self._last_answer: float | None = None
        self._pbx_ahead = 0.0
        """Seconds by which the PBX's clock is ahead of ours."""
        self._uncovered = Recurring(_logger)
        self._busy = 0

    @property
    def settled(self) -> bool:
        """Whether every source has been heard, for better or worse: before that there is little true to say."""
        return all(feed.spoken for feed in self._feeds.all if feed.on)

    @property
    def pbx_online(self) -> bool:
        """Whether the PBX answers."""
        return self._last_answer is not None

    @property
    def pbx_version(self) -> str | None:
        """The build of 3CX, such as `20.0.8.1109`, once the PBX has told."""
        return self._bridge.pbx_version

    @property
    def population(self) -> int:
        """How many users are published."""
        return len(self._roster)

    @property
    def pushed(self) -> bool:
        """Whether the calls of every published user are pushed, so that polling them is a mere precaution."""
        control = self._feeds.control
        return control.live and len(self._roster) > 0 and all(map(control.covers, self._roster))

    def apply(self, update: Update) -> None:
        """Take in what a source reports and publish what it changes."""
        match update:
            case UserCalls():
                self._apply_user_calls(update)
            case Calls():
                self._apply_calls(update)
            case Round():
                self._apply_round(update)
            case Failure():
                self._apply_failure(update)
            case Labels():
                self._apply_labels(update)
            case Departments():
                if update.names != self._feeds.departments:
                    self._feeds.departments = update.names
                    self._publish(self._roster)
            case Answered():
                self._answered()
                self._show(pbx_version=update.version or self._bridge.pbx_version)
        self._publish_groups()

    def tick(self) -> None:
        """Let go of what is past its bound. To be called about once a second."""
        now = self._clock.monotonic()
        if self._feeds.expire(now):
            self._feeds.rank()
            self._publish(self._roster)
        if self._last_answer is not None and now - self._last_answer > self._policy.bound:
            _logger.warning("the PBX has not answered for %.0f s", now - self._last_answer)
            self._last_answer = None
        self._show()
        self._publish_groups()

    def refresh(self) -> None:
        """Let the next round remove as many users as it will."""
        self._roster.lift_guard()

    def adopt(self, remembered: Mapping[str, Remembered], *, same_options: bool) -> None:
        """Take over what the broker retains from an earlier run: who was published, in which state, since when.

        Where the options differ from that run's, whoever is not reported by then goes at once.
        """
        self._roster.adopt(remembered, same_options=same_options)
        self._say_goodbye()
        self._publish(self._roster)
        self._show()
        self._publish_groups()

    def snapshot(self, outputs: Iterable[Output] | None = None) -> Iterator[Message]:
        """Everything that should be retained now; with `outputs`, the part of it that these render.

        Other tasks may run between two messages: each user is rendered as it is when its turn comes.
        """
        chosen = self._outputs if outputs is None else tuple(outputs)
        for output in chosen:
            yield from output.bridge(None, self._bridge)
            for group in self._groups:
                yield from output.group(None, group)
        for dn in tuple(self._roster.known):
            known = self._roster.known.get(dn)
            if known is not None and known.user is not None:
                for output in chosen:
                    yield from output.user(None, known.user)

    def users(self) -> list[User]:
        """All users as published, by number."""
        return [known.user for _, known in sorted(self._roster.known.items()) if known.user is not None]

    def sources(self) -> tuple[SourceReport, ...]:
        """Which sources are in use, and which are not and why."""
        return self._bridge.sources

    def row(self, dn: str) -> UserRow | None:
        """What Users said last about a published user; None for others."""
        known = self._roster.known.get(dn)
        return known.profile if known is not None else None

    def _apply_round(self, update: Round) -> None:
        self._answered()
        feed = self._feeds.monitor if update.source == MONITOR_STATUS else self._feeds.users
        all_anew = not feed.fresh or feed.complete is not update.complete
        feed.heard(self._clock.monotonic(), update.good_for)
        changed = self._roster.take(feed, update.rows, complete=update.complete)
        self._say_goodbye()
        self._publish(self._roster if all_anew else changed)
        self._totals[update.source] = update.total
        totals = (self._totals.get(name) for name in (MONITOR_STATUS, USERS))
        count = next((total for total in totals if total is not None), None)
        self._show(sources=self._reported(update.source, None), count=count)

    def _apply_calls(self, update: Calls) -> None:
        self._answered()
        if update.now is not None:
            self._set_clock(update.now)
        feed = self._feeds.control if update.source == CALL_CONTROL else self._feeds.active
        covered = feed.covered
        changed = feed.replace(update)
        all_anew = self._feeds.rank() or covered != feed.covered
        if feed is self._feeds.control and not any(feed.on for feed in self._feeds.rows):
            self._roster.introduce(sorted(update.covered or ()))
            self._say_goodbye()
        self._publish(self._roster if all_anew else changed & self._roster.known.keys())
        self._show(sources=self._reported(update.source, None))

    def _apply_user_calls(self, update: UserCalls) -> None:
        if self._feeds.control.change(update.dn, update.legs) and update.dn in self._roster.known:
            self._publish((update.dn,))
            self._show()

    def _apply_failure(self, update: Failure) -> None:
        expected = self._feeds.calls_expected
        self._note_failure(update)
        if update.error.answered:
            self._answered()
        if isinstance(update.error, SourceAuthError):
            self._last_answer = None
        self._roster.drop_unreported()
        self._say_goodbye()
        if self._feeds.calls_expected is not expected:
            self._publish(self._roster)
        if isinstance(update.error, _NOT_USABLE):
            self._show(sources=self._reported(update.source, update.reason))
        else:
            self._show()

    def _note_failure(self, update: Failure) -> None:
        kept_out = isinstance(update.error, SourceMissing | SourcePermissionError)
        for feed in self._feeds.all:
            if feed.name == update.source:
                feed.spoken = True
                if isinstance(feed, CallFeed):
                    feed.kept_out = kept_out
                elif kept_out:
                    feed.rows = {}  # it has no say any more in who is there
        if update.source == CALL_CONTROL:
            self._lose_push(self._clock.monotonic())
            self._feeds.rank()

    def _lose_push(self, now: float) -> None:
        if self._feeds.control.live:
            self._feeds.control.lost(now, SHORTEST_BOUND)
            self._feeds.active.doubt(now, SHORTEST_BOUND)

    def _apply_labels(self, update: Labels) -> None:
        if update.labels != self._feeds.labels:
            self._feeds.labels = update.labels
            self._derivation.forget_profiles()
            self._publish(self._roster)

    def _answered(self) -> None:
        if self._last_answer is None:
            _logger.info("the PBX answers")
        self._last_answer = self._clock.monotonic()

    def _set_clock(self, pbx_now: int) -> None:
        ahead = pbx_now - self._clock.wall()
        if abs(ahead - self._pbx_ahead) > _CLOCKS_AGREE and abs(ahead) < _WRONG_YEAR:
            self._pbx_ahead = ahead

    def _now(self) -> int:
        """Unix seconds by the PBX's clock, as far as it is known."""
        return int(self._clock.wall() + self._pbx_ahead)

    def _reported(self, source: str, reason: str | None) -> tuple[SourceReport, ...]:
        in_use = reason is None
        if in_use and source == CALL_CONTROL:
            reason = self._not_covered()
            self._tell_coverage(reason)
        return tuple(
            SourceReport(source, in_use, reason) if report.name == source else report for report in self._bridge.sources
        )

    def _not_covered(self) -> str | None:
        """Names the users whose calls are not pushed, and what to do about it."""
        missing = sorted(dn for dn in self._roster if not self._feeds.control.covers(dn))
        if not missing:
            return None
        named = ", ".join(missing[:_MOST_NAMED]) + (", …" if len(missing) > _MOST_NAMED else "")
        return (
            f"does not cover {len(missing)} of {len(self._roster)} users ({named}): add them to the extensions that "
            "this API client may monitor, in Integrations > API of the 3CX admin console"
        )

    def _tell_coverage(self, reason: str | None) -> None:
        if reason is None:
            self._uncovered.recovered("Call Control covers everybody")
        else:
            self._uncovered.failed(f"Call Control {reason}")

    def _publish(self, dns: Iterable[str]) -> None:
        """Derive these users anew and publish what that changes."""
        now = self._now()
        named_anew = False
        for dn in dns:
            known = self._roster.known[dn]
            before, calls = known.user, known.calls
            self._derivation.follow_calls(dn, known, now)
            after = self._derivation.user(dn, known, now)
            if before != after:
                known.user = after
                named_anew |= before is None or before.name != after.name
                self._emit(dn, before, after)
            if known.calls != calls:
                self._tell(after, calls, known.calls, now)
        if named_anew:
            self._show_roster()

    def _say_goodbye(self) -> None:
        """Clear what is published of users who are gone."""
        users = [known.user for known in self._roster.gone if known.user is not None]
        self._roster.gone.clear()
        for user in users:
            self._emit(user.number, user, None)
        if users:
            named = sorted(user.number for user in users)[:_MOST_NAMED]
            _logger.info("no longer published: %s", ", ".join(named))
            self._show_roster()

    def _emit(self, dn: str, before: User | None, after: User | None) -> None:
        self._busy += (after is not None and after.busy is True) - (before is not None and before.busy is True)
        self._send(lambda output: output.user(before, after))
        self._groups.note(dn, after)

    def _publish_groups(self) -> None:
        """Once at the end of an update, as a group may have 8,000 members that changed by it."""
        for before, after in self._groups.changes():
            self._send(lambda output, before=before, after=after: output.group(before, after))  # type: ignore[misc]

    def _tell(self, user: User, before: tuple[Call, ...] | None, after: tuple[Call, ...] | None, now: int) -> None:
        """Publish what happened to calls; nothing where it is not known when."""
        if before is None or after is None:
            return
        for change in changes(before, after):
            told = event(change, now, self._policy.caller_id)
            self._send(lambda output, told=told: output.call(user, told))  # type: ignore[misc]

    def _show_roster(self) -> None:
        roster = tuple((dn, known.name) for dn, known in sorted(self._roster.known.items()))
        sources = tuple(
            replace(report, reason=self._not_covered()) if report.name == CALL_CONTROL and report.in_use else report
            for report in self._bridge.sources
        )
        self._show(roster=roster, sources=sources)

    def _show(self, **changes: Any) -> None:
        """Publish what changed about the bridge itself."""
        before = self._bridge
        after = replace(before, pbx_online=self.pbx_online, busy=self._busy, **changes)
        if before != after:
            self._bridge = after
            self._send(lambda output: output.bridge(before, after))

    def _send(self, render: Callable[[Output], Iterable[Message]]) -> None:
        """Hand on what the outputs make of a change; while the broker is not in step, nothing is rendered at all."""
        if self._publisher.in_step:
            for output in self._outputs:
                for message in render(output):
                    self._publisher.publish(message)
