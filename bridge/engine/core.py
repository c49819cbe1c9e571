"""Keeps what is known about every user, derives what is published, and hands on what changed. Never waits."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bridge.domain.clock import Clock
from bridge.domain.message import Message
from bridge.domain.model import (
    Answered,
    Bridge,
    Failure,
    MonitorRow,
    Remembered,
    Round,
    SourceReport,
    State,
    Update,
    User,
)
from bridge.domain.presence import derive
from bridge.engine.admission import Admission
from bridge.engine.settings import UsersSettings
from bridge.errors import SourceAuthError, SourceMissing, SourcePermissionError, SourceQueryError
from bridge.log import Recurring
from bridge.ports import Output, Publisher

SHORTEST_BOUND = 20.0
"""No source is given up for silent before so many seconds."""

_FEW = 3
_MOST_NAMED = 20

_NOT_USABLE = SourceMissing | SourcePermissionError | SourceQueryError | SourceAuthError
"""Failures that say why a source is not in use, rather than that the network hiccuped."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """What is known about one user."""

    name: str | None = None
    row: MonitorRow | None = None
    user: User | None = None
    """As published last."""
    missing_since: float | None = None
    """When the first complete round came without this user (monotonic)."""
    before_silence: tuple[State, int] | None = None
    """State and `since` from before the news stopped: the state holds if it is the same afterwards."""


class Engine:
    """Merges updates and publishes differences.

    `interval` is the source's, in seconds; a fact is trusted for three of them, at least 20 s.
    """

    def __init__(
        self,
        settings: UsersSettings,
        source: SourceReport,
        interval: float,
        outputs: Iterable[Output],
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._admission = Admission(settings)
        self._bound = max(SHORTEST_BOUND, 3 * interval)
        self._outputs = tuple(outputs)
        self._publisher = publisher
        self._clock = clock
        self._users: dict[str, _Known] = {}
        self._bridge = Bridge(pbx_online=False, pbx_version=None, sources=(source,), roster=(), busy=0, count=None)
        self._last_answer: float | None = None
        self._last_round: float | None = None
        self._last_complete = False
        self._settled = False
        self._drop_unreported = False
        self._guarded = True
        self._mass_removal = Recurring(_logger)
        self._busy = 0

    @property
    def settled(self) -> bool:
        """Whether the source has been heard, for better or worse: before that there is nothing true to say."""
        return self._settled

    def apply(self, update: Update) -> None:
        """Take in what a source reports and publish what it changes."""
        match update:
            case Round():
                self._apply_round(update)
            case Failure():
                self._apply_failure(update)
            case Answered():
                self._answered()
                self._show(pbx_version=update.version or self._bridge.pbx_version)

    def tick(self) -> None:
        """Let go of what is past its bound. To be called about once a second."""
        now = self._clock.monotonic()
        if self._last_round is not None and now - self._last_round > self._bound:
            self._last_round = None
            self._publish_changes(self._users.items())
        if self._last_answer is not None and now - self._last_answer > self._bound:
            _logger.warning("the PBX has not answered for %.0f s", now - self._last_answer)
            self._last_answer = None
        self._show()

    def refresh(self) -> None:
        """Let the next round remove as many users as it will."""
        self._guarded = False

    def adopt(self, remembered: Mapping[str, Remembered], *, same_options: bool) -> None:
        """Take over what the broker retains from an earlier run: who was published, in which state, since when.

        Where the options differ from that run's, whoever the first round does not report goes at once.
        """
        self._drop_unreported = not same_options
        for dn, past in remembered.items():
            if not self._admission.admits(dn):
                continue  # not taken over: it is cleared as a leftover
            known = self._users.setdefault(dn, _Known(name=past.name))
            if known.user is not None and known.user.state is past.state:
                known.user = replace(known.user, since=min(past.since, known.user.since))
            elif known.user is None or known.user.state is State.UNKNOWN:
                known.before_silence = (past.state, past.since)
        if self._drop_unreported and self._last_round is not None:
            self._drop_unreported = False
            self._remove([dn for dn, known in self._users.items() if known.row is None])
        self._publish_changes(self._users.items())
        self._show()

    def snapshot(self) -> Iterator[Message]:
        """Everything that should be retained now."""
        for output in self._outputs:
            yield from output.bridge(None, self._bridge)
        for known in self._users.values():
            if known.user is not None:
                for output in self._outputs:
                    yield from output.user(None, known.user)

    def users(self) -> list[User]:
        """All users as published, by number."""
        return [known.user for _, known in sorted(self._users.items()) if known.user is not None]

    def _apply_round(self, update: Round) -> None:
        self._settled = True
        self._answered()
        all_anew = self._last_round is None or self._last_complete is not update.complete
        self._last_round, self._last_complete = self._clock.monotonic(), update.complete
        reported = 0
        changed: list[tuple[str, _Known]] = []
        for dn, row in update.rows.items():
            known = self._users.get(dn)
            if known is None:
                if not self._admission.admits(dn):
                    continue
                known = self._users[dn] = _Known()
            reported += 1
            if known.row is not row:
                known.row, known.name, known.missing_since = row, row.name or known.name, None
                changed.append((dn, known))
        if reported < len(self._users):
            changed += self._absent(update)
        self._publish_changes(self._users.items() if all_anew else changed)
        self._show(sources=self._in_use(update.source, None), count=update.total)

    def _absent(self, update: Round) -> list[tuple[str, _Known]]:
        """Deal with users that the round does not report; returns those whose facts changed by that."""
        absent = [dn for dn in self._users if dn not in update.rows]
        if self._drop_unreported:
            self._drop_unreported = False
            self._remove(absent)
        elif update.complete:
            self._forget_missing(absent)
        changed = [(dn, self._users[dn]) for dn in absent if dn in self._users and self._users[dn].row is not None]
        for _, known in changed:
            known.row = None
        return changed

    def _forget_missing(self, absent: list[str]) -> None:
        now = self._clock.monotonic()
        gone = []
        for dn in absent:
            known = self._users[dn]
            if known.missing_since is None:
                known.missing_since = now
            if now - known.missing_since >= self._settings.forget_after:
                gone.append(dn)
        if self._guarded and len(gone) > _FEW and len(gone) * 2 > len(self._users):
            self._mass_removal.failed(
                f"the PBX no longer reports {len(gone)} of {len(self._users)} users; in case this is a mistake there, "
                "they are kept until a refresh is requested"
            )
        elif gone:
            self._guarded = True
            self._remove(gone)

    def _remove(self, gone: list[str]) -> None:
        for dn in gone:
            user = self._users.pop(dn).user
            if user is not None:
                self._emit(user, None)
        if gone:
            _logger.info("no longer published: %s", ", ".join(sorted(gone)[:_MOST_NAMED]))
            self._show_roster()

    def _apply_failure(self, update: Failure) -> None:
        self._settled = True
        if update.error.answered:
            self._answered()
        if isinstance(update.error, SourceAuthError):
            self._last_answer = None
        if isinstance(update.error, _NOT_USABLE):
            self._show(sources=self._in_use(update.source, update.reason))
        else:
            self._show()

    def _answered(self) -> None:
        if self._last_answer is None:
            _logger.info("the PBX answers")
        self._last_answer = self._clock.monotonic()

    def _in_use(self, source: str, reason: str | None) -> tuple[SourceReport, ...]:
        return tuple(
            SourceReport(source, reason is None, reason) if report.name == source else report
            for report in self._bridge.sources
        )

    def _publish_changes(self, changed: Iterable[tuple[str, _Known]]) -> None:
        roster_changed = False
        for dn, known in changed:
            before, after = known.user, self._derived(dn, known)
            if before != after:
                known.user = after
                roster_changed |= before is None or before.name != after.name
                self._emit(before, after)
        if roster_changed:
            self._show_roster()

    def _derived(self, dn: str, known: _Known) -> User:
        fresh = self._last_round is not None
        presence = derive(known.row, fresh=fresh)
        before, held = known.user, known.before_silence
        if before is not None and before.state is presence.state:
            since = before.since
        elif held is not None and held[0] is presence.state:
            since = held[1]
        else:
            since = int(self._clock.wall())
        if presence.state is not State.UNKNOWN:
            known.before_silence = None
        elif before is not None and before.state is not State.UNKNOWN:
            known.before_silence = (before.state, before.since)
        return User(
            number=dn,
            name=known.name,
            state=presence.state,
            busy=presence.busy,
            since=since,
            reason=presence.reason,
            monitor=self._monitor(known, fresh=fresh),
        )

    def _monitor(self, known: _Known, *, fresh: bool) -> str | None:
        if not fresh:
            return None
        if known.row is not None:
            return known.row.json
        return "{}" if self._last_complete else None

    def _emit(self, before: User | None, after: User | None) -> None:
        self._busy += (after is not None and after.busy is True) - (before is not None and before.busy is True)
        if self._publisher.in_step:
            for output in self._outputs:
                for message in output.user(before, after):
                    self._publisher.publish(message)

    def _show_roster(self) -> None:
        self._show(roster=tuple((dn, known.name) for dn, known in sorted(self._users.items())))

    def _show(self, **changes: Any) -> None:
        """Publish what changed about the bridge itself."""
        before = self._bridge
        after = replace(before, pbx_online=self._last_answer is not None, busy=self._busy, **changes)
        if before == after:
            return
        self._bridge = after
        if self._publisher.in_step:
            for output in self._outputs:
                for message in output.bridge(before, after):
                    self._publisher.publish(message)
