"""Whether a bridge of a pair may become the active one. No clock, no network: told what comes, and asked at a time.

What it goes by are three topics: `bridge/state`, `bridge/info` with the instance that has claimed the client id last,
and `bridge/health`, which shows that an `online` is not only what a broker has kept of a bridge that is gone.
"""

from dataclasses import dataclass
from enum import StrEnum

from bridge.topics import json_object

NEVER = float("-inf")


class Standing(StrEnum):
    """How the pair is doing, as far as one of its bridges has seen."""

    OCCUPIED = "occupied"
    """Another bridge is online."""
    CLAIMED = "claimed"
    """Another bridge has taken the client id and is not online yet."""
    VACANT = "vacant"
    """Nobody is active, but not for long enough."""
    FREE = "free"
    """The client id may be taken."""


@dataclass(frozen=True, slots=True)
class VacancyTiming:
    """Seconds."""

    claim: float = 60.0
    """That another bridge may take from its claim to `online`."""
    silence: float = 150.0
    """Without `bridge/health`, after which a retained `online` counts as `offline`."""


USUAL = VacancyTiming()


class Vacancy:
    """Follows the active bridge of a pair on behalf of another one, by one connection to the broker.

    All times are of one clock that goes on while the machine sleeps. A new connection needs a new one of these.
    """

    def __init__(
        self, instance: str, after: float, now: float, timing: VacancyTiming = USUAL, *, yields: float = 0.0
    ) -> None:
        """`instance` is that of this bridge; `after` is how long nobody must have been active, jitter included.

        `yields` is added to it at a broker that retains nothing, where another instance was active last. That broker
        was restarted: it cannot say whether the other one is gone, which may still believe in its lease, and which
        alone knows what was retained.
        """
        self._instance = instance
        self._after = after
        self._timing = timing
        self._yields = yields
        self._online = False
        self._content: dict[str, object] = {}
        self.info: bytes | None = None
        """The payload of `bridge/info`; None where there is none."""
        self._quiet_from = now
        """Since when nothing has changed."""
        self._heard = now
        """When the other one showed last that it lives."""
        self._claimed_until = NEVER

    @property
    def holder(self) -> str | None:
        """The instance that claimed the client id last."""
        found = self._content.get("instance")
        return found if isinstance(found, str) else None

    def subscribed(self, now: float) -> None:
        """The broker has answered the subscription: what it retains comes from now on."""
        self._quiet_from = now

    def note_state(self, payload: bytes, now: float) -> None:
        """`bridge/state` is this, or has become so; empty: nothing is retained."""
        online = payload == b"online"
        if online:
            self._heard = now
            self._claimed_until = NEVER
        elif self._online:
            self._quiet_from = now
        self._online = online

    def note_info(self, payload: bytes, now: float, *, retained: bool) -> None:
        """`bridge/info` is this (`retained`), or has become so."""
        before = self.holder
        if retained and self.info is None:
            self._take(payload, now)
            # The claim of one that has not been seen online since. How old it is cannot be told: it may be fresh.
            if self._content.get("claiming") is True and self.holder != self._instance:
                self._claimed_until = now + self._timing.claim
            return
        self._take(payload, now)
        if self.holder in {self._instance, None}:
            return
        claims = self._content.get("claiming") is True
        # Of one that is online the document may be repaired, after others have written over it: that is no claim.
        if claims or (self.holder != before and not self._online):
            self._claimed_until = now + self._timing.claim
            self._online = False  # what was online was the one before

    def note_health(self, now: float) -> None:
        """A message on `bridge/health` was published just now."""
        self._heard = now

    def standing(self, now: float) -> Standing:
        """How things are now. One that is FREE stays so until something is noted."""
        if now < self._claimed_until:
            return Standing.CLAIMED
        if self._occupied_until > now:
            return Standing.OCCUPIED
        return Standing.FREE if now >= self.free_at else Standing.VACANT

    @property
    def free_at(self) -> float:
        """When the client id may be taken, if nothing is noted until then."""
        after = self._after + (self._yields if self.info is None else 0.0)
        return max(max(self._quiet_from, self._occupied_until) + after, self._claimed_until)

    @property
    def _occupied_until(self) -> float:
        """Until when another bridge counts as online. What this one has left itself does not count."""
        if not self._online or self.holder == self._instance:
            return NEVER
        return self._heard + self._timing.silence

    def _take(self, payload: bytes, now: float) -> None:
        if payload != (self.info or b""):
            self.info = payload or None
            self._content = json_object(payload) or {}
            self._quiet_from = now
