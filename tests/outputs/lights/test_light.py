"""One light by itself, with a fake clock: what it shows, when it gets a command, and how often."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.light import OFF, Color, Followed, Look
from bridge.domain.model import State
from bridge.outputs.lights.hours import After, Hours, Weekday
from bridge.outputs.lights.light import MIN_INTERVAL, NEVER, PHASE, Light, Override
from bridge.outputs.lights.protocol import Availability, Command
from bridge.outputs.lights.settings import PRIORITY, LightSettings, OnExit
from tests.support.clock import FakeClock

GREEN, RED, DIM = Look(Color(0, 255, 0)), Look(Color(255, 0, 0)), Look(Color(255, 255, 255), 10)
BLINKING = replace(RED, blink=True)
LOOKS: dict[Followed, Look] = {
    State.AVAILABLE: GREEN,
    State.AWAY: Look(Color(255, 255, 0)),
    State.DO_NOT_DISTURB: Look(Color(0, 0, 255)),
    State.RINGING: BLINKING,
    State.DIALING: RED,
    State.ON_CALL: RED,
    State.ON_HOLD: Look(Color(255, 191, 0)),
    State.OFFLINE: OFF,
    State.UNKNOWN: DIM,
}


@dataclass
class Plain:
    """A driver whose payload is the look itself."""

    blinks: bool = False
    harmless: str | None = None
    topics: frozenset[str] = frozenset({"light"})
    availability: Availability | None = None
    seen: list[Look] = field(default_factory=list)

    def commands(self, look: Look, shows: str) -> Iterator[Command]:
        self.seen.append(look)
        yield Command("light", shows)


class Bench:
    """A light, its clock, and the commands it was sent."""

    def __init__(self, clock: FakeClock, *, blinks: bool = False, **changes: object) -> None:
        self.clock = clock
        self.driver = Plain(blinks)
        settings = LightSettings(
            "desk",
            self.driver,
            self.driver,
            ("1*",),
            LOOKS,
            PRIORITY,
            None,
            OnExit.UNKNOWN,
            after_call=0.0,
            brightness=100,
        )
        self.light = Light(replace(settings, **changes))  # type: ignore[arg-type]  # fields of LightSettings

    def state(self, state: State | None, dn: str = "101") -> None:
        self.light.follow(dn, state, self.clock.now)

    def sent(self) -> list[tuple[Look, str]]:
        """The looks that are sent now, each with what it stands for."""
        self.driver.seen.clear()
        shown = self.light.shown(self.clock.now, self.wall)
        payloads = [command.payload for command in self.light.due(shown, self.clock.now)]
        return list(zip(self.driver.seen, payloads, strict=True))

    @property
    def wall(self) -> float:
        return self.clock.clock.wall()

    def wait(self) -> float:
        """Seconds until the light is due again."""
        return self.light.next_time(self.light.shown(self.clock.now, self.wall), self.clock.now) - self.clock.now

    def shows(self) -> str:
        return str(self.light.shown(self.clock.now, self.wall).shows)

    def why(self) -> str:
        return self.light.shown(self.clock.now, self.wall).why


@pytest.fixture
def bench(clock: FakeClock) -> Bench:
    made = Bench(clock)
    made.state(State.AVAILABLE)
    assert made.sent() == [(GREEN, "available")]
    clock.turn(60)
    return made


def test_the_first_change_is_sent_at_once_and_nothing_is_repeated(bench: Bench, clock: FakeClock) -> None:
    bench.state(State.ON_CALL)
    assert bench.sent() == [(RED, "on_call")]
    for _ in range(5):
        clock.turn(10)
        assert bench.sent() == []
    assert bench.wait() == NEVER


def test_changes_in_quick_succession_are_merged_and_the_last_one_is_sent(bench: Bench, clock: FakeClock) -> None:
    bench.state(State.ON_CALL)
    assert len(bench.sent()) == 1
    for state in (State.AVAILABLE, State.ON_CALL, State.AWAY):
        clock.turn(0.05)
        bench.state(state)
        assert bench.sent() == []
    assert bench.wait() == pytest.approx(MIN_INTERVAL - 0.15)
    clock.turn(bench.wait())
    assert [shows for _, shows in bench.sent()] == ["away"]


def test_a_change_that_is_undone_within_the_interval_is_not_sent(bench: Bench, clock: FakeClock) -> None:
    bench.state(State.ON_CALL)
    assert len(bench.sent()) == 1
    bench.state(State.AVAILABLE)
    bench.state(State.ON_CALL)
    clock.turn(MIN_INTERVAL)
    assert bench.sent() == []


def test_no_more_than_four_commands_a_second_whatever_happens(bench: Bench, clock: FakeClock) -> None:
    count = 0
    for number in range(1000):
        bench.state(State.ON_CALL if number % 2 else State.AWAY)
        count += len(bench.sent())
        clock.turn(0.01)
    assert count <= 41


def test_a_light_that_does_not_blink_by_itself_is_bright_and_dim_once_a_second(clock: FakeClock) -> None:
    bench = Bench(clock)
    bench.state(State.RINGING)
    brightness, times = [], []
    for _ in range(6):
        ((look, shows),) = bench.sent()
        assert (shows, look.color, look.blink) == ("ringing", RED.color, False)
        brightness.append(look.brightness)
        times.append(clock.now)
        clock.turn(bench.wait())
    assert brightness == [100, 25, 100, 25, 100, 25]
    assert {round(later - earlier, 6) for earlier, later in pairwise(times)} == {PHASE}
    assert 1 / (2 * PHASE) <= 3
    bench.state(State.ON_CALL)
    assert bench.sent() == [(RED, "on_call")]
    assert bench.wait() == NEVER


def test_what_the_bridge_makes_blink_changes_at_once(clock: FakeClock) -> None:
    sudden = Plain()
    bench = Bench(clock, blinker=sudden)
    bench.state(State.RINGING)
    list(bench.light.due(bench.light.shown(clock.now, bench.wall), clock.now))
    assert (len(sudden.seen), bench.driver.seen) == (1, [])


def test_a_light_that_blinks_by_itself_gets_one_command(clock: FakeClock) -> None:
    bench = Bench(clock, blinks=True)
    bench.state(State.RINGING)
    assert bench.sent() == [(BLINKING, "ringing")]
    assert bench.wait() == NEVER


def test_a_light_without_users_shows_unknown(clock: FakeClock) -> None:
    bench = Bench(clock)
    assert bench.sent() == [(DIM, "unknown")]
    assert bench.why() == "no user to follow"


def test_of_several_users_the_most_important_state_is_shown(bench: Bench) -> None:
    bench.state(State.OFFLINE, "102")
    assert bench.why() == "101 available"
    bench.state(State.UNKNOWN, "103")
    assert bench.why() == "103 unknown"
    bench.state(State.ON_CALL, "102")
    assert bench.why() == "102 on_call"
    bench.state(None, "102")
    bench.state(None, "103")
    assert bench.why() == "101 available"


def test_the_order_of_importance_can_be_another(clock: FakeClock) -> None:
    order = (State.AVAILABLE, *(state for state in PRIORITY if state is not State.AVAILABLE))
    bench = Bench(clock, priority=order)
    bench.state(State.ON_CALL, "101")
    bench.state(State.AVAILABLE, "102")
    assert bench.why() == "102 available"


def test_a_light_that_is_offline_gets_no_command_until_it_is_back(bench: Bench, clock: FakeClock) -> None:
    bench.light.online = False
    bench.state(State.ON_CALL)
    assert bench.sent() == []
    bench.light.online = True
    assert bench.sent() == [(RED, "on_call")]
    clock.turn(1)
    bench.light.send_again()
    assert bench.sent() == [(RED, "on_call")]


def test_a_paused_light_is_left_alone_and_gets_its_command_afterwards(bench: Bench) -> None:
    bench.light.paused = True
    bench.state(State.ON_CALL)
    assert (bench.sent(), bench.shows(), bench.wait()) == ([], "paused", NEVER)
    bench.light.paused = False
    assert bench.sent() == [(RED, "on_call")]


def test_a_state_that_keeps_the_light_sends_nothing_and_the_next_one_its_command(clock: FakeClock) -> None:
    made = Bench(clock, looks=LOOKS | {State.AVAILABLE: None})
    made.state(State.AVAILABLE)
    assert (made.sent(), made.shows(), made.why()) == ([], "available", "101 available")
    made.state(State.ON_CALL)
    assert made.sent() == [(RED, "on_call")]
    clock.turn(60)
    made.state(State.AVAILABLE)
    assert made.sent() == []
    clock.turn(60)
    made.state(State.ON_CALL)
    assert made.sent() == [(RED, "on_call")]
    made.light.send_again()
    made.state(State.AVAILABLE)
    assert made.sent() == []


def test_an_override_beats_the_state_and_ends_in_time(bench: Bench, clock: FakeClock) -> None:
    magenta = Look(Color(255, 0, 255))
    bench.light.override = Override(magenta, bench.wall + 300)
    assert bench.sent() == [(magenta, "override")]
    clock.turn(299)
    assert bench.sent() == []
    clock.turn(1)
    assert bench.sent() == [(GREEN, "available")]


def test_after_call_keeps_a_call_shown_unless_the_state_becomes_unknown(clock: FakeClock) -> None:
    bench = Bench(clock, after_call=10.0)
    bench.state(State.ON_CALL)
    bench.state(State.AVAILABLE)
    assert (bench.shows(), bench.why()) == ("on_call", "101 on_call")
    bench.sent()
    assert bench.wait() == 10
    bench.state(State.AWAY)
    clock.turn(9.9)
    assert bench.shows() == "on_call"
    clock.turn(0.1)
    assert bench.shows() == "away"
    bench.state(State.ON_CALL)
    bench.state(State.AVAILABLE)
    bench.state(State.UNKNOWN)
    assert bench.shows() == "unknown"
    bench.state(State.AVAILABLE)
    assert bench.shows() == "available"


def test_a_call_that_ends_for_a_new_one_is_not_held(clock: FakeClock) -> None:
    bench = Bench(clock, after_call=10.0)
    bench.state(State.ON_CALL)
    bench.state(State.RINGING)
    assert bench.shows() == "ringing"


@pytest.mark.parametrize(
    ("on_exit", "sent"), [(OnExit.OFF, [(OFF, "off")]), (OnExit.UNKNOWN, [(DIM, "unknown")]), (OnExit.KEEP, [])]
)
def test_what_a_light_gets_when_the_bridge_stops(
    clock: FakeClock, on_exit: OnExit, sent: list[tuple[Look, str]]
) -> None:
    bench = Bench(clock, on_exit=on_exit)
    payloads = [command.payload for command in bench.light.farewell(bench.wall)]
    assert list(zip(bench.driver.seen, payloads, strict=True)) == sent
    bench.light.paused = True
    assert list(bench.light.farewell(bench.wall)) == []


def hours(days: str, begin: str, end: str, zone: str = "Europe/Berlin", after: After = After.OFF) -> Hours:
    numbers = frozenset(list(Weekday).index(Weekday(day)) for day in days.split())
    return Hours(numbers, time.fromisoformat(begin), time.fromisoformat(end), after, ZoneInfo(zone))


WEEK = "mon tue wed thu fri"


@pytest.mark.parametrize(
    ("when", "moment", "inside"),
    [
        (hours(WEEK, "08:00", "18:00"), "2026-11-24T08:00:00+01:00", True),
        (hours(WEEK, "08:00", "18:00"), "2026-11-24T07:59:59+01:00", False),
        (hours(WEEK, "08:00", "18:00"), "2026-11-24T17:59:59+01:00", True),
        (hours(WEEK, "08:00", "18:00"), "2026-11-24T18:00:00+01:00", False),
        (hours(WEEK, "08:00", "18:00"), "2026-11-28T12:00:00+01:00", False),  # a Saturday
        (hours(WEEK, "08:00", "18:00", "America/New_York"), "2026-11-24T08:00:00+01:00", False),
        (hours(WEEK, "08:00", "18:00", "America/New_York"), "2026-11-24T14:00:00+01:00", True),
        # Past midnight: the day that they begin on counts.
        (hours("fri", "22:00", "06:00"), "2026-11-27T23:00:00+01:00", True),
        (hours("fri", "22:00", "06:00"), "2026-11-28T05:59:00+01:00", True),
        (hours("fri", "22:00", "06:00"), "2026-11-28T06:00:00+01:00", False),
        (hours("fri", "22:00", "06:00"), "2026-11-27T05:00:00+01:00", False),
        (hours("sun", "22:00", "06:00"), "2026-11-30T01:00:00+01:00", True),  # a Monday
        (hours("mon", "08:00", "00:00"), "2026-11-23T23:59:59+01:00", True),
        (hours("mon", "08:00", "00:00"), "2026-11-24T00:00:00+01:00", False),
        (hours("mon", "00:00", "00:00"), "2026-11-23T00:00:00+01:00", True),
        (hours("mon", "00:00", "00:00"), "2026-11-24T00:00:00+01:00", False),
        # Local time decides, before and after summer time ends (25 October 2026) and begins (29 March).
        (hours(WEEK, "08:00", "18:00"), "2026-10-23T06:00:00+00:00", True),
        (hours(WEEK, "08:00", "18:00"), "2026-10-26T06:30:00+00:00", False),
        (hours(WEEK, "08:00", "18:00"), "2026-10-26T07:00:00+00:00", True),
        (hours("sat", "22:00", "02:30"), "2026-10-25T00:15:00+00:00", True),  # 02:15 for the first time
        (hours("sat", "22:00", "02:30"), "2026-10-25T01:15:00+00:00", True),  # 02:15 once more
        (hours("sun", "02:30", "04:00"), "2026-03-29T01:00:00+00:00", True),  # 03:00; there is no 02:30
        (hours("sun", "02:30", "04:00"), "2026-03-29T00:59:00+00:00", False),
    ],
)
def test_hours_are_local_time_also_when_summer_time_begins_and_ends(when: Hours, moment: str, inside: bool) -> None:
    assert when.include(datetime.fromisoformat(moment).timestamp()) is inside


def test_hours_without_a_zone_are_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    local = replace(hours(WEEK, "08:00", "18:00"), zone=None)
    noon = datetime.now().astimezone().replace(year=2026, month=11, day=24, hour=12)
    assert local.include(noon.astimezone(UTC).timestamp())


def test_out_of_hours_a_light_is_off_or_left_alone(clock: FakeClock) -> None:
    bench = Bench(clock, hours=hours("sun", "10:00", "18:00", "UTC"))  # the clock starts on a Sunday, 10:00 UTC
    bench.state(State.AVAILABLE)
    assert bench.sent() == [(GREEN, "available")]
    clock.turn(8 * 3600)
    assert bench.sent() == [(OFF, "off")]
    clock.turn(7 * 86400 - 8 * 3600)
    assert bench.sent() == [(GREEN, "available")]
    left = Bench(clock, hours=hours("mon", "10:00", "18:00", "UTC", After.KEEP))
    left.state(State.ON_CALL)
    assert (left.sent(), left.shows(), left.wait()) == ([], "off", NEVER)
    clock.turn(86400)
    assert left.sent() == [(RED, "on_call")]


@pytest.mark.parametrize("after", list(After))
def test_out_of_hours_the_light_gets_no_farewell_message(clock: FakeClock, after: After) -> None:
    bench = Bench(clock, hours=hours("mon", "10:00", "18:00", "UTC", after), on_exit=OnExit.UNKNOWN)
    assert list(bench.light.farewell(bench.wall)) == []


def test_after_call_applies_per_user_and_ends_with_a_reconnect(clock: FakeClock) -> None:
    bench = Bench(clock, after_call=10.0)
    bench.state(State.ON_CALL, "101")
    bench.state(State.ON_HOLD, "102")
    bench.state(State.AVAILABLE, "101")
    clock.turn(1)
    bench.state(State.AVAILABLE, "102")
    assert bench.why() == "101 on_call"
    clock.turn(9)
    assert bench.why() == "102 on_hold"
    bench.light.forget_users()
    assert bench.shows() == "unknown"


def test_a_light_at_one_percent_is_off_in_the_dim_phase(clock: FakeClock) -> None:
    looks = {**LOOKS, State.RINGING: replace(BLINKING, brightness=1)}
    bench = Bench(clock, looks=looks)
    bench.state(State.RINGING)
    ((first, _),) = bench.sent()
    clock.turn(PHASE)
    ((second, _),) = bench.sent()
    assert (first.brightness, second) == (1, OFF)


@given(st.lists(st.tuples(st.sampled_from(["101", "102", "103"]), st.sampled_from([None, *State])), max_size=30))
def test_the_most_important_of_all_users_is_shown_after_any_changes(changes: list[tuple[str, State | None]]) -> None:
    bench = Bench(FakeClock())
    states: dict[str, State] = {}
    for dn, state in changes:
        bench.state(state, dn)
        states.pop(dn, None)
        if state is not None:
            states[dn] = state
        ranked = [(PRIORITY.index(each), number, each) for number, each in states.items()]
        assert bench.shows() == (min(ranked)[2] if ranked else "unknown")
