"""One light: what it should show and why, and when to send it a command."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bridge.domain.light import OFF, Followed, LightWord, Look
from bridge.domain.model import State
from bridge.outputs.lights.hours import After
from bridge.outputs.lights.protocol import Command
from bridge.outputs.lights.settings import LightSettings, OnExit

MIN_INTERVAL = 0.25
"""Seconds between two commands. The first change is sent at once, those that follow within the interval are merged,
so a burst of changes costs a light at most four commands a second."""

PHASE = 0.5
"""Seconds that a light which cannot blink by itself is bright, and then dim: it blinks once a second. More than three
flashes a second can harm people with photosensitive epilepsy (WCAG 2.3.1)."""

_DIM = 0.25
"""Share of the brightness in the dim phase. Not dark, so that a glance in either phase shows the colour."""
_CALLS = {State.ON_CALL, State.ON_HOLD}
_NOT_CALLS = {State.AVAILABLE, State.AWAY, State.DO_NOT_DISTURB, State.OFFLINE}

NEVER = float("inf")
_NO_USER = (len(State), "", State.UNKNOWN)
"""What a light without users shows; its rank is behind that of every user."""


@dataclass(frozen=True, slots=True)
class Override:
    """A look requested by MQTT, until a time (Unix seconds)."""

    look: Look
    until: float = NEVER


@dataclass(frozen=True, slots=True)
class Shown:
    """What a light shows. `look` is None while the bridge leaves it alone."""

    look: Look | None
    shows: str
    """A state, or one of LightWord."""
    why: str
    """For people: the user and state that decide, or the reason why none does."""


class Light:
    """Follows its users. The caller has the clocks: `now` is monotonic, `wall` in Unix seconds."""

    def __init__(self, settings: LightSettings) -> None:
        self.settings = settings
        self.paused = False
        self.override: Override | None = None
        self.online: bool | None = None
        """What the light's availability topic says; None while it says nothing."""
        self._ranks = {state: rank for rank, state in enumerate(settings.priority)}
        self._states: dict[str, Followed] = {}
        self._top: tuple[int, str, Followed] | None = _NO_USER
        """Rank, DN and state of the most important user; None: to be searched for among all."""
        self._held: dict[str, tuple[Followed, float]] = {}
        """Calls that have ended, by DN: their state and until when it is shown (monotonic), for `after_call`."""
        self._sent: tuple[Look, str] | None = None
        """What the last command was for; None: the light may show anything else."""
        self._sent_at = -NEVER
        self._bright = True

    @property
    def name(self) -> str:
        """As configured."""
        return self.settings.name

    @property
    def depends_on_time(self) -> bool:
        """Whether what it shows can change without a change of its users."""
        return self.settings.hours is not None or self.override is not None or bool(self._held)

    def follow(self, dn: str, state: Followed | None, now: float) -> None:
        """A user is in this state now, or no longer published (None)."""
        before = self._states.get(dn)
        if state is None:
            self._states.pop(dn, None)
        else:
            self._states[dn] = state
        # Only from a call to a state without one: `unknown` does not mean that the call has ended.
        if before in _CALLS and state in _NOT_CALLS and self.settings.after_call:
            self._held[dn] = (before, now + self.settings.after_call)
        elif dn in self._held and state not in _NOT_CALLS:
            del self._held[dn]
        self._update_top(dn, state)

    def follow_only(self, states: Mapping[str, Followed], now: float) -> None:
        """Follow these users and no others."""
        for dn in self._states.keys() - states.keys():
            self._held.pop(dn, None)
            self.follow(dn, None, now)
        for dn, state in states.items():
            if self._states.get(dn) is not state:
                self.follow(dn, state, now)

    def forget_users(self) -> None:
        """Forget the users' states; `follow` is called again for each."""
        self._states.clear()
        self._held.clear()
        self._top = _NO_USER

    def send_again(self) -> None:
        """Send the current command again: the light may have missed it."""
        self._sent = None

    def shown(self, now: float, wall: float) -> Shown:
        """What it should show now."""
        if self.paused:
            return Shown(None, LightWord.PAUSED, "paused")
        if self.override is not None and wall < self.override.until:
            return Shown(self.override.look, LightWord.OVERRIDE, "override")
        if self._is_out_of_hours(wall):
            hours = self.settings.hours
            off = hours is not None and hours.after is After.OFF
            return Shown(OFF if off else None, LightWord.OFF, "out of hours")
        _, dn, state = min((self._most_important(), *self._calls_held(now)))
        return Shown(self.settings.looks[state], state, f"{dn} {state}" if dn else "no user to follow")

    def due(self, shown: Shown, now: float) -> Iterator[Command]:
        """The commands to send now. To be called after every change and when `next_time` has come."""
        if shown.look is None or self.online is False:
            self._sent = None  # others may change it meanwhile, so it gets a command once it is driven again
            return
        wanted = (shown.look, shown.shows)
        if wanted == self._sent:
            if self._alternates(shown.look) and now >= self._sent_at + PHASE:
                self._bright = not self._bright
                yield from self._commands(shown.look, shown.shows, now)
        elif now >= self._sent_at + MIN_INTERVAL:
            self._sent, self._bright = wanted, True
            yield from self._commands(shown.look, shown.shows, now)

    def next_time(self, shown: Shown, now: float) -> float:
        """When `due` has to be called again at the latest (monotonic), unless something changes before."""
        times = [until for _, until in self._held.values() if now < until]
        if shown.look is not None and self.online is not False:
            if (shown.look, shown.shows) != self._sent:
                times.append(self._sent_at + MIN_INTERVAL)
            elif self._alternates(shown.look):
                times.append(self._sent_at + PHASE)
        return min(times, default=NEVER)

    def farewell(self, wall: float) -> Iterator[Command]:
        """The commands for when the bridge stops; none where the light is left alone, or off anyway."""
        look = {OnExit.OFF: OFF, OnExit.UNKNOWN: self.settings.looks[State.UNKNOWN]}.get(self.settings.on_exit)
        if look is None or self.paused or self.online is False or self._is_out_of_hours(wall):
            return
        shows = State.UNKNOWN if self.settings.on_exit is OnExit.UNKNOWN else LightWord.OFF
        # Steady: a light that the bridge makes blink would stop in either phase.
        yield from self.settings.driver.commands(replace(look, blink=False), shows)

    def _is_out_of_hours(self, wall: float) -> bool:
        return self.settings.hours is not None and not self.settings.hours.include(wall)

    def _update_top(self, dn: str, state: Followed | None) -> None:
        """Keep the most important user up to date; search all only where that one has become less important.

        A light may follow thousands of users, and nearly all changes are of others.
        """
        entry = _NO_USER if state is None else (self._ranks[state], dn, state)
        if self._top is not None and self._top[1] == dn and entry > self._top:
            self._top = None
        elif self._top is not None:
            self._top = min(self._top, entry)

    def _most_important(self) -> tuple[int, str, Followed]:
        if self._top is None:
            ranked = ((self._ranks[state], dn, state) for dn, state in self._states.items())
            self._top = min(ranked, default=_NO_USER)
        return self._top

    def _calls_held(self, now: float) -> Iterator[tuple[int, str, Followed]]:
        self._held = {dn: (state, until) for dn, (state, until) in self._held.items() if now < until}
        return ((self._ranks[state], dn, state) for dn, (state, _) in self._held.items())

    def _alternates(self, look: Look) -> bool:
        return look.blink and not self.settings.driver.blinks

    def _commands(self, look: Look, shows: str, now: float) -> Iterator[Command]:
        self._sent_at = now
        if not self._alternates(look):
            yield from self.settings.driver.commands(look, shows)
            return
        dim = round(look.brightness * _DIM)
        phase = replace(look, blink=False, brightness=look.brightness if self._bright else dim)
        yield from self.settings.blinker.commands(phase if self._bright or dim else OFF, shows)
