"""One light: what it should show and why, and when to tell it."""

from collections.abc import Iterator, Mapping
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


class Lamp:
    """Follows its users. `now` is monotonic, `wall` in Unix seconds; whoever has the clocks passes both in."""

    def __init__(self, settings: LightSettings) -> None:
        self.settings = settings
        self.paused = False
        self.override: Override | None = None
        self.online: bool | None = None
        """What the light itself says; None where it says nothing."""
        self._states: dict[str, State] = {}
        self._held: tuple[str, State, float] | None = None
        """A call that has ended, which is shown until then (monotonic)."""
        self._sent: tuple[Look, str] | None = None
        self._sent_at = -NEVER
        self._bright = True

    @property
    def name(self) -> str:
        """As configured."""
        return self.settings.name

    def follow(self, dn: str, state: State | None, now: float) -> None:
        """A user is in this state now, or gone (None)."""
        before = self._states.get(dn)
        if state is None:
            self._states.pop(dn, None)
        else:
            self._states[dn] = state
        if before in _CALLS and state in _NOT_CALLS and self.settings.after_call:
            self._held = (dn, before, now + self.settings.after_call)
        elif self._held is not None and self._held[0] == dn:
            self._held = self._held if state in _NOT_CALLS else None

    def nobody(self) -> None:
        """Forget whom it follows; they are told again."""
        self._states.clear()

    def send_again(self) -> None:
        """The light may have missed what it was sent."""
        self._sent = None

    def shown(self, now: float, wall: float) -> Shown:
        """What it should show at this moment."""
        if self.paused:
            return Shown(None, LightWord.PAUSED, "paused")
        if self.override is not None and wall < self.override.until:
            return Shown(self.override.look, LightWord.OVERRIDE, "override")
        hours = self.settings.hours
        if hours is not None and not hours.include(wall):
            return Shown(OFF if hours.after is After.OFF else None, LightWord.OFF, "out of hours")
        dn, state = self._foremost(now)
        return Shown(self.settings.looks[state], state, f"{dn} {state}" if dn else "nobody to follow")

    def due(self, now: float, wall: float) -> Iterator[Command]:
        """The commands to send now; call it when `next_time` has come and whenever something has changed."""
        shown = self.shown(now, wall)
        if shown.look is None or self.online is False:
            self._sent = None  # once it is followed again, everything is told
            return
        wanted = (shown.look, shown.word)
        if wanted == self._sent:
            if self._alternates(shown.look) and now >= self._sent_at + PHASE:
                self._bright = not self._bright
                yield from self._commands(shown, now)
        elif now >= self._sent_at + APART:
            self._sent, self._bright = wanted, True
            yield from self._commands(shown, now)

    def next_time(self, now: float, wall: float) -> float:
        """When to look again (monotonic), at the latest; what others change is not foreseen."""
        times = [NEVER]
        shown = self.shown(now, wall)
        if shown.look is not None and self.online is not False:
            if (shown.look, shown.word) != self._sent:
                times.append(self._sent_at + APART)
            elif self._alternates(shown.look):
                times.append(self._sent_at + PHASE)
        if self._held is not None and now < self._held[2]:
            times.append(self._held[2])
        return min(times)

    def farewell(self) -> Iterator[Command]:
        """What it gets when the bridge stops."""
        look = {OnExit.OFF: OFF, OnExit.UNKNOWN: self.settings.looks[State.UNKNOWN]}.get(self.settings.on_exit)
        if look is not None and not self.paused and self.online is not False:
            word = State.UNKNOWN if self.settings.on_exit is OnExit.UNKNOWN else LightWord.OFF
            yield from self.settings.driver.commands(replace(look, blink=False), word)

    def _foremost(self, now: float) -> tuple[str, State]:
        states: Mapping[str, State] = self._states
        if self._held is not None and now < self._held[2]:
            states = {**states, self._held[0]: self._held[1]}
        ranked = ((self.settings.priority.index(state), dn, state) for dn, state in states.items())
        _, dn, state = min(ranked, default=(0, "", State.UNKNOWN))
        return dn, state

    def _alternates(self, look: Look) -> bool:
        return look.blink and not self.settings.driver.blinks

    def _commands(self, shown: Shown, now: float) -> Iterator[Command]:
        look = shown.look
        if look is None:
            return
        self._sent_at = now
        if self._alternates(look):
            brightness = look.brightness if self._bright else max(1, round(look.brightness * _DIM))
            look = replace(look, blink=False, brightness=brightness)
            yield from self.settings.blinker.commands(look, shown.word)
        else:
            yield from self.settings.driver.commands(look, shown.word)
