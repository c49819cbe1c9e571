"""One light: what it should show and why, and when to tell it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bridge.domain.light import OFF, LightWord, Look
from bridge.domain.model import State
from bridge.outputs.lights.protocol import Command
from bridge.outputs.lights.settings import After, LightSettings, OnExit

APART = 0.25
"""Seconds between two commands: the first change goes out at once, what follows closely is merged."""

PHASE = 0.5
"""Seconds that a light which does not blink by itself is bright, and then dim: once a second. More than three flashes a
second can harm people with photosensitive epilepsy (WCAG 2.3.1)."""

_DIM = 0.25
_CALLS = {State.ON_CALL, State.ON_HOLD}
_NOT_CALLS = {State.AVAILABLE, State.AWAY, State.DO_NOT_DISTURB, State.OFFLINE}

NEVER = float("inf")
_NOBODY = (len(State), "", State.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Override:
    """A look that somebody asked for, until a time (Unix seconds)."""

    look: Look
    until: float = NEVER


@dataclass(frozen=True, slots=True)
class Shown:
    """What a light shows. `look` is None while it is left alone."""

    look: Look | None
    word: str
    """A state, `off` (out of hours), `override` or `paused`."""
    why: str


class Light:
    """Follows its users. `now` is monotonic, `wall` in Unix seconds; whoever has the clocks passes both in."""

    def __init__(self, settings: LightSettings) -> None:
        self.settings = settings
        self.paused = False
        self.override: Override | None = None
        self.online: bool | None = None
        """What the light itself says; None where it says nothing."""
        self._ranks = {state: rank for rank, state in enumerate(settings.priority)}
        self._states: dict[str, State] = {}
        self._foremost: tuple[int, str, State] | None = _NOBODY
        """Rank, DN and state of the most important user; None: to be looked for anew."""
        self._held: dict[str, tuple[State, float]] = {}
        """Calls that have ended, by DN, and until when they are shown (monotonic)."""
        self._sent: tuple[Look, str] | None = None
        self._sent_at = -NEVER
        self._bright = True

    @property
    def name(self) -> str:
        """As configured."""
        return self.settings.name

    @property
    def watches_the_clock(self) -> bool:
        """Whether what it shows can change because time goes by."""
        return self.settings.hours is not None or self.override is not None or bool(self._held)

    def follow(self, dn: str, state: State | None, now: float) -> None:
        """A user is in this state now, or gone (None)."""
        before = self._states.get(dn)
        if state is None:
            self._states.pop(dn, None)
        else:
            self._states[dn] = state
        if before in _CALLS and state in _NOT_CALLS and self.settings.after_call:
            self._held[dn] = (before, now + self.settings.after_call)
        elif dn in self._held and state not in _NOT_CALLS:
            del self._held[dn]
        self._rank(dn, state)

    def nobody(self) -> None:
        """Forget whom it follows; they are told again."""
        self._states.clear()
        self._held.clear()
        self._foremost = _NOBODY

    def send_again(self) -> None:
        """The light may have missed what it was sent."""
        self._sent = None

    def shown(self, now: float, wall: float) -> Shown:
        """What it should show at this moment."""
        if self.paused:
            return Shown(None, LightWord.PAUSED, "paused")
        if self.override is not None and wall < self.override.until:
            return Shown(self.override.look, LightWord.OVERRIDE, "override")
        if self._is_out_of_hours(wall):
            hours = self.settings.hours
            off = hours is not None and hours.after is After.OFF
            return Shown(OFF if off else None, LightWord.OFF, "out of hours")
        _, dn, state = min((self._most_important(), *self._calls_held(now)))
        return Shown(self.settings.looks[state], state, f"{dn} {state}" if dn else "nobody to follow")

    def due(self, shown: Shown, now: float) -> Iterator[Command]:
        """The commands to send now; call it when `next_time` has come and whenever something has changed."""
        if shown.look is None or self.online is False:
            self._sent = None  # once it is followed again, everything is told
            return
        wanted = (shown.look, shown.word)
        if wanted == self._sent:
            if self._alternates(shown.look) and now >= self._sent_at + PHASE:
                self._bright = not self._bright
                yield from self._commands(shown.look, shown.word, now)
        elif now >= self._sent_at + APART:
            self._sent, self._bright = wanted, True
            yield from self._commands(shown.look, shown.word, now)

    def next_time(self, shown: Shown, now: float) -> float:
        """When to look again (monotonic), at the latest; what others change is not foreseen."""
        times = [until for _, until in self._held.values() if now < until]
        if shown.look is not None and self.online is not False:
            if (shown.look, shown.word) != self._sent:
                times.append(self._sent_at + APART)
            elif self._alternates(shown.look):
                times.append(self._sent_at + PHASE)
        return min(times, default=NEVER)

    def farewell(self, wall: float) -> Iterator[Command]:
        """What it gets when the bridge stops; nothing where it is left alone, or off already."""
        look = {OnExit.OFF: OFF, OnExit.UNKNOWN: self.settings.looks[State.UNKNOWN]}.get(self.settings.on_exit)
        if look is None or self.paused or self.online is False or self._is_out_of_hours(wall):
            return
        word = State.UNKNOWN if self.settings.on_exit is OnExit.UNKNOWN else LightWord.OFF
        yield from self.settings.driver.commands(replace(look, blink=False), word)

    def _is_out_of_hours(self, wall: float) -> bool:
        return self.settings.hours is not None and not self.settings.hours.include(wall)

    def _rank(self, dn: str, state: State | None) -> None:
        """Keep the foremost up to date; all are looked at only when the foremost has stepped back."""
        entry = _NOBODY if state is None else (self._ranks[state], dn, state)
        if self._foremost is not None and self._foremost[1] == dn and entry > self._foremost:
            self._foremost = None
        elif self._foremost is not None:
            self._foremost = min(self._foremost, entry)

    def _most_important(self) -> tuple[int, str, State]:
        if self._foremost is None:
            ranked = ((self._ranks[state], dn, state) for dn, state in self._states.items())
            self._foremost = min(ranked, default=_NOBODY)
        return self._foremost

    def _calls_held(self, now: float) -> Iterator[tuple[int, str, State]]:
        self._held = {dn: (state, until) for dn, (state, until) in self._held.items() if now < until}
        return ((self._ranks[state], dn, state) for dn, (state, _) in self._held.items())

    def _alternates(self, look: Look) -> bool:
        return look.blink and not self.settings.driver.blinks

    def _commands(self, look: Look, word: str, now: float) -> Iterator[Command]:
        self._sent_at = now
        if not self._alternates(look):
            yield from self.settings.driver.commands(look, word)
            return
        dim = round(look.brightness * _DIM)
        phase = replace(look, blink=False, brightness=look.brightness if self._bright else dim)
        yield from self.settings.blinker.commands(phase if self._bright or dim else OFF, word)
