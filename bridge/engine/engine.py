"""Merges what the sources report and publishes what changes by it. Synchronous: it never waits."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bridge.domain.clock import Clock
from bridge.domain.message import Message
from bridge.domain.model import Bridge, CallEvent, SourceReport, User, UserRow
from bridge.domain.remembered import Remembered
from bridge.domain.updates import (
    Answered,
    Calls,
    Departments,
    Failure,
    Labels,
    Queues,
    Round,
    ShapesSeen,
    SystemSeen,
    Update,
    UserCalls,
)
from bridge.engine.aggregates import Aggregates
from bridge.engine.call_events import CallEvents
from bridge.engine.derive_user import UserDerivation
from bridge.engine.pbx_contact import PbxContact
from bridge.engine.policy import Policy
from bridge.engine.rendering import Rendering
from bridge.engine.roster import Roster
from bridge.engine.source_reports import SourceReports
from bridge.engine.source_state import SourceStates
from bridge.engine.tallies import Tallies
from bridge.errors import SourceAuthError, SourceMissing, SourcePermissionError
from bridge.ports import Output, Publisher

_MOST_NAMED = 20
"""Users that one log line names."""

_logger = logging.getLogger(__name__)


class Engine:
    """Merges updates and publishes differences."""

    def __init__(
        self,
        policy: Policy,
        outputs: Iterable[Output],
        publisher: Publisher,
        clock: Clock,
        observers: Iterable[Output] = (),
    ) -> None:
        """`outputs` render what goes to `publisher`; `observers` see the same changes, also without a broker."""
        self._policy = policy
        self._outputs = tuple(outputs)
        self._rendering = Rendering(self._outputs, publisher, tuple(observers))
        self._clock = clock
        self._states = SourceStates(policy.sources)
        self._contact = PbxContact(clock, policy.bound)
        self._roster = Roster(policy.users, self._states, clock)
        self._derivation = UserDerivation(policy.rules, policy.caller_id, self._states)
        self._call_events = CallEvents(self._states, policy.caller_id, policy.timing, clock)
        self._tallies = Tallies(self._roster.known, self._rendering, policy.caller_id, policy.zone, clock)
        self._aggregates = Aggregates(policy, self._states, self._rendering, self._roster.user, self._contact.now)
        self._reports = SourceReports(policy.sources, self._states, self._roster.known)
        self._bridge = Bridge(
            pbx_online=False, pbx_version=None, sources=tuple(self._reports), roster=(), busy=0, count=None
        )
        self._busy = 0

    @property
    def settled(self) -> bool:
        """Whether every source has reported; before that most users would be published as unknown."""
        return self._states.settled

    @property
    def pbx_online(self) -> bool:
        """Whether the PBX answers."""
        return self._contact.online

    @property
    def last_answer(self) -> float | None:
        """When the PBX answered last, Unix seconds; None: it never has."""
        return self._contact.last_answer

    @property
    def pbx_version(self) -> str | None:
        """The build of 3CX, such as `20.0.8.1109`, once the PBX has reported it."""
        return self._bridge.pbx_version

    @property
    def population(self) -> int:
        """How many users are published."""
        return len(self._roster)

    @property
    def pushed(self) -> bool:
        """Whether the calls of every published user are pushed, so that they need polling as a fallback only."""
        return len(self._roster) > 0 and self._states.push_covers(self._roster, self._aggregates.queues)

    @property
    def next_due(self) -> float | None:
        """When `publish_due` has something to publish at the latest, in monotonic seconds; None: nothing waits."""
        return self._call_events.next_due

    def apply(self, update: Update) -> None:
        """Store what a source reports and publish what it changes."""
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
                self._apply_departments(update)
            case Queues() | SystemSeen():
                self._apply_facts(update)
            case Answered():
                self._contact.answered()
                self._show(pbx_version=update.version or self._bridge.pbx_version)
            case ShapesSeen():
                self._show(shapes=update.shapes)
        self.publish_due()
        self._aggregates.publish()

    def publish_due(self) -> None:
        """Publish the ends of calls that need not wait any more for an answer at another phone."""
        self._publish_call_events(self._call_events.due())

    def tick(self) -> None:
        """Stop using facts that are too old. To be called about once a second."""
        if self._states.expire(self._clock.monotonic()):
            self._states.rank()
            self._call_events.note()
            self._publish(self._roster)
            self._aggregates.expire()
        self.publish_due()
        self._tallies.tick()
        self._contact.expire()
        self._show()
        self._aggregates.publish()

    def refresh(self) -> None:
        """Let the next round remove as many users as it will."""
        self._roster.lift_guard()

    def adopt(self, remembered: Mapping[str, Remembered], *, same_options: bool) -> None:
        """Restore what is retained on the broker from an earlier run, see `Roster.adopt`."""
        self._roster.adopt(remembered, same_options=same_options, now=self._contact.now())
        self._tallies.adopt(remembered)
        self._clear_removed()
        self._publish(self._roster)
        self._show()
        self._aggregates.publish()

    def snapshot(self, outputs: Iterable[Output] | None = None) -> Iterator[Message]:
        """Everything that should be retained now, each message as things are when its turn comes.

        With `outputs`, the part of it that these render.
        """
        chosen = self._outputs if outputs is None else tuple(outputs)
        yield from self._of_bridge(chosen)
        yield from self._aggregates.of_queues(chosen)
        for dn in tuple(self._roster.known):  # a copy, as users may be added and removed between two messages
            yield from self.of_user(dn, chosen)
        yield from self._aggregates.of_groups(chosen)  # whose discovery refers to that of the users

    def bridge_and_groups(self) -> Iterator[Message]:
        """The part of the snapshot that is about no single user."""
        yield from self._of_bridge(self._outputs)
        yield from self._aggregates.of_queues(self._outputs)
        yield from self._aggregates.of_groups(self._outputs)

    def _of_bridge(self, outputs: Iterable[Output]) -> Iterator[Message]:
        for output in outputs:
            yield from output.bridge(None, self._bridge)

    def of_user(self, dn: str, outputs: Iterable[Output] | None = None) -> Iterator[Message]:
        """The part of the snapshot that is about this user; nothing where the user is not published."""
        if (user := self._roster.user(dn)) is not None:
            for output in self._outputs if outputs is None else outputs:
                yield from output.user(None, user)
                yield from output.today(dn, None, self._tallies.of(dn))

    def users(self) -> list[User]:
        """All users as published, by number."""
        return [known.user for _, known in sorted(self._roster.known.items()) if known.user is not None]

    def calls_today(self) -> Mapping[str, int]:
        """Sums of all users' calls of this day, by `missed`, `answered` and `made`."""
        return self._tallies.sums()

    def sources(self) -> tuple[SourceReport, ...]:
        """Which sources are in use, and which are not and why."""
        return self._bridge.sources

    def row(self, dn: str) -> UserRow | None:
        """The last row about a published user that has the user's id, profile and queue login; None: there is none."""
        known = self._roster.known.get(dn)
        return known.profile(self._states.people.values()) if known is not None else None

    def _apply_round(self, update: Round) -> None:
        self._contact.answered()
        source = self._states.people[update.source]
        # A source that was stale, or whose rounds become complete (or no longer are), says something new about
        # users whose rows are the same, or missing, as before.
        all_again = not source.fresh or source.complete is not update.complete
        source.received(self._clock.monotonic(), update.good_for)
        changed = self._roster.take(source, update.rows, complete=update.complete)
        self._clear_removed()
        self._publish(self._roster if all_again else changed)
        self._reports.in_use(update.source)
        self._reports.note_total(update)
        self._show(count=self._reports.count)

    def _apply_calls(self, update: Calls) -> None:
        self._contact.answered()
        if update.now is not None:
            self._contact.set_clock(update.now)
        source = self._states.calls[update.source]
        coverage, interruptions = source.coverage, source.interruptions
        changed = source.replace(update)
        all_again = self._states.rank() or coverage != source.coverage
        self._aggregates.note_calls(None if all_again else changed)
        self._call_events.note(None if all_again else changed, interrupted=source.interruptions != interruptions)
        if self._states.introduces(source):
            self._roster.introduce(self._states.introduced())
            self._clear_removed()
        self._publish(self._roster if all_again else changed & self._roster.known.keys())
        self._reports.in_use(update.source)
        self._show()

    def _apply_user_calls(self, update: UserCalls) -> None:
        if self._states.calls[update.source].change(update.dn, update.legs):
            self._aggregates.note_calls((update.dn,))
            self._call_events.note((update.dn,))
            if update.dn in self._roster.known:
                self._publish((update.dn,))
                self._show()

    def _apply_failure(self, update: Failure) -> None:
        now, grace = self._clock.monotonic(), self._policy.grace
        other_calls = self._states.note_failure(update.source, update.error, now, grace)
        if update.error.answered:
            self._contact.answered()
        if isinstance(update.error, SourceAuthError):
            self._contact.refused()
        self._roster.drop_unreported()
        self._clear_removed()
        if other_calls:
            self._aggregates.note_calls(None)
            self._call_events.note()
            self._publish(self._roster)
        if isinstance(update.error, SourceMissing | SourcePermissionError):
            self._aggregates.withdraw(update.source)
        self._reports.failed(update)
        self._show()

    def _apply_labels(self, update: Labels) -> None:
        if update.labels != self._states.labels:
            self._states.labels = update.labels
            self._derivation.forget_profiles()
            self._publish(self._roster)

    def _apply_facts(self, update: Queues | SystemSeen) -> None:
        self._contact.answered()
        self._aggregates.know(update, self._clock.monotonic())
        self._reports.in_use(update.source)
        self._show()

    def _apply_departments(self, update: Departments) -> None:
        self._aggregates.know_departments(update)
        if update.names is not None and update.names != self._states.departments:
            self._states.departments = update.names
            self._publish(self._roster)

    def _publish(self, dns: Iterable[str]) -> None:
        """Derive these users again and publish what that changes."""
        now = self._contact.now()
        renamed = False
        for dn in dns:
            known = self._roster.known[dn]
            before, calls = known.user, known.calls
            self._derivation.follow_calls(dn, known, now)
            if known.calls:
                known.calls = self._call_events.completed(dn, known.calls)
            after = self._derivation.user(dn, known, now)
            if before != after:
                known.user = after
                renamed |= before is None or (before.name, before.department) != (after.name, after.department)
                self._emit(dn, before, after)
            # After the state: an automation that an event triggers reads the state that belongs to it.
            # From or to "not known" nothing is published: it is not known when it happened.
            if calls is not None and known.calls is not None and calls != known.calls:
                self._publish_call_events(self._call_events.happened(after, calls, known.calls, now))
        if renamed:
            self._show_roster()

    def _clear_removed(self) -> None:
        """Clear the topics of users that the roster has removed."""
        users = [known.user for known in self._roster.gone if known.user is not None]
        self._roster.gone.clear()
        for user in users:
            self._emit(user.number, user, None)
        if users:
            _logger.info("no longer published: %s", ", ".join(sorted(user.number for user in users)[:_MOST_NAMED]))
            self._show_roster()

    def _emit(self, dn: str, before: User | None, after: User | None) -> None:
        self._busy += (after is not None and after.busy is True) - (before is not None and before.busy is True)
        self._rendering.user(before, after)
        if before is None:
            self._rendering.today(dn, None, self._tallies.of(dn))
        self._aggregates.note_user(dn, after)

    def _publish_call_events(self, events: Iterable[tuple[User, CallEvent]]) -> None:
        for user, event in events:
            if user.number in self._roster.known:
                self._rendering.call(user, event)
                self._tallies.note(user, event)

    def _show_roster(self) -> None:
        self._reports.users_changed()
        known = sorted(self._roster.known.items())
        self._show(roster=tuple((dn, record.name, record.department) for dn, record in known))

    def _show(self, **changes: Any) -> None:
        """Publish what changed about the bridge itself."""
        before = self._bridge
        after = replace(
            before,
            pbx_online=self.pbx_online,
            sources=tuple(self._reports),
            busy=self._busy,
            system=self._aggregates.system,
            queues=self._aggregates.queues,
            failing=self._reports.failing,
            denied=self._states.denied(),
            **changes,
        )
        if before != after:
            self._bridge = after
            self._rendering.bridge(before, after)
