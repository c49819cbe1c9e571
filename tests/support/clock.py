"""A clock that the test moves."""

from bridge.domain.clock import Clock


class FakeClock:
    """Monotonic and wall time move together; `wall` starts on 22 November 2026, 10:00 UTC."""

    START = 1_795_341_600

    def __init__(self) -> None:
        self.now = 0.0

    def turn(self, seconds: float) -> None:
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now, wall=lambda: self.START + self.now)
