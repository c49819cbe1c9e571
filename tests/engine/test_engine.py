"""The engine by itself: what it publishes for what sources report, second by second."""

from collections.abc import Iterable

import pytest

from bridge.domain.model import MonitorRow, State
from bridge.domain.remembered import Remembered
from bridge.domain.updates import Answered, Failure, Round, Update
from bridge.errors import SourceAuthError, SourceMissing, SourceUnavailable
from tests.support.clock import FakeClock
from tests.support.world import World


@pytest.fixture
def world(clock: FakeClock) -> World:
    return World(clock)


def everybody(count: int) -> dict[str, State | None]:
    return {str(100 + number): State.AVAILABLE for number in range(count)}


def test_pbx_is_offline_until_it_answers_and_after_20_seconds_without_answers(world: World) -> None:
    assert not [topic for topic in world.wire.order if "pbx" in topic]
    world.round({})
    assert world.wire.retained["3cx/bridge/pbx"] == "online"
    world.wait(20)
    assert world.wire.retained["3cx/bridge/pbx"] == "online"
    world.wait(0.1)
    assert world.wire.retained["3cx/bridge/pbx"] == "offline"


def test_a_long_interval_stretches_the_bound(clock: FakeClock) -> None:
    world = World(clock, interval=60)
    world.round({"101": State.AVAILABLE})
    world.wait(180)
    assert (world.wire.retained["3cx/bridge/pbx"], world.wire.state("101")) == ("online", "available")
    world.wait(1)
    assert (world.wire.retained["3cx/bridge/pbx"], world.wire.state("101")) == ("offline", "unknown")


@pytest.mark.parametrize(
    ("update", "online"),
    [
        (Answered("20.0.8"), True),
        (Failure("monitor_status", SourceMissing("404"), "404"), True),
        (Failure("monitor_status", SourceUnavailable("429", answered=True), "429"), True),
        (Failure("monitor_status", SourceUnavailable("502"), "502"), False),
    ],
)
def test_every_well_formed_answer_counts_as_an_answer(world: World, update: Update, online: bool) -> None:
    world.round({})
    for _ in range(6):
        world.wait(5)
        world.engine.apply(update)
    assert (world.wire.retained["3cx/bridge/pbx"] == "online") is online


def test_refused_credentials_show_at_once(world: World) -> None:
    world.round({})
    world.fail(SourceAuthError("refused", retry_in=900))
    assert world.wire.retained["3cx/bridge/pbx"] == "offline"
    assert '"reason":"refused"' in world.wire.retained["3cx/bridge/info"]


def test_a_failed_round_changes_nothing_until_the_bound(world: World) -> None:
    world.round({"101": State.ON_CALL})
    published = len(world.wire.order)
    for _ in range(4):
        world.wait(5)
        world.fail(SourceUnavailable("no"))
    assert len(world.wire.order) == published
    world.wait(1)
    assert world.wire.state("101") == "unknown"
    assert '"reason":"no news from the PBX"' in world.wire.retained["3cx/users/101"]
    assert world.wire.retained["3cx/users/101/monitor"] == "null"
    assert world.wire.retained["3cx/users/101/busy"] == "None"
    assert world.wire.retained["3cx/bridge/users_busy"] == "0"


def test_since_is_kept_while_the_state_is_and_across_an_outage(world: World) -> None:
    world.round({"101": State.AVAILABLE, "102": State.AVAILABLE})
    began = world.since("101")
    world.wait(5)
    world.round({"101": State.AVAILABLE, "102": State.AWAY})
    assert (world.since("101"), world.since("102")) == (began, began + 5)
    world.wait(60)
    assert (world.wire.state("101"), world.since("101")) == ("unknown", began + 65)
    world.wait(60)
    world.round({"101": State.AVAILABLE, "102": State.ON_CALL})
    assert (world.since("101"), world.since("102")) == (began, began + 125)


def test_an_unchanged_round_publishes_nothing(world: World) -> None:
    world.round(everybody(5), total=5)
    published = len(world.wire.order)
    world.wait(5)
    world.round(everybody(5), total=5)
    assert len(world.wire.order) == published


def test_a_row_that_options_hide_leaves_the_user_and_no_monitor(world: World) -> None:
    world.round({"101": State.AVAILABLE, "102": State.AVAILABLE}, complete=False)
    world.wait(5)
    world.round({"102": State.AVAILABLE}, complete=False)
    assert world.wire.state("101") == "unknown"
    assert world.wire.retained["3cx/users/101/monitor"] == "null"
    world.wait(3600)
    world.round({"102": State.AVAILABLE}, complete=False)
    assert world.wire.dns() == {"101", "102"}


def test_a_user_missing_from_complete_rounds_is_removed_after_forget_after(world: World) -> None:
    world.round(everybody(4))
    world.wait(5)
    world.round(everybody(3))
    assert world.wire.retained["3cx/users/103/monitor"] == "{}"
    world.wait(595)
    world.round(everybody(3))
    assert world.wire.dns() == {"100", "101", "102", "103"}
    world.wait(5)
    world.round(everybody(3))
    assert world.wire.dns() == {"100", "101", "102"}
    assert "103" not in world.wire.retained["3cx/bridge/users"]


def test_a_long_outage_is_not_an_absence(world: World) -> None:
    world.round(everybody(4))
    world.wait(86400)
    world.round(everybody(3))
    assert "103" in world.wire.dns()
    world.wait(5)
    world.round(everybody(4))
    world.wait(599)
    world.round(everybody(3))
    assert "103" in world.wire.dns()


def test_a_mass_removal_waits_for_a_refresh(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.round(everybody(8))
    world.round(everybody(3))
    for _ in range(3):
        world.wait(600)
        world.round(everybody(3))
    assert len(world.wire.dns()) == 8
    assert [record.levelname for record in caplog.records if "no longer reports 5 of 8" in record.message] == [
        "WARNING"
    ]
    world.engine.refresh()
    world.round(everybody(3))
    assert len(world.wire.dns()) == 3


def test_a_few_users_may_all_go(world: World) -> None:
    world.round(everybody(4))
    world.round(everybody(1))
    world.wait(600)
    world.round(everybody(1))
    assert world.wire.dns() == {"100"}


def test_an_empty_answer_removes_no_user(world: World) -> None:
    world.round(everybody(3))
    for _ in range(5):
        world.wait(600)
        world.round({}, complete=False)
    assert len(world.wire.dns()) == 3


def remembered(state: State, since: int = 1000, name: str | None = None) -> Remembered:
    return Remembered(name, state, since)


@pytest.mark.parametrize("since", [FakeClock.START + 1, 4_000_000_000, -1, -2_208_988_800])
def test_since_of_a_clock_that_was_wrong_once_is_not_kept(world: World, since: int) -> None:
    world.engine.adopt({"101": remembered(State.AVAILABLE, since)}, same_options=True)
    world.round({"101": State.AVAILABLE})
    assert world.since("101") == FakeClock.START


@pytest.mark.parametrize("adopt_first", [True, False])
def test_since_is_kept_over_a_restart_where_the_state_is_the_same(world: World, adopt_first: bool) -> None:
    past = {"101": remembered(State.AVAILABLE), "102": remembered(State.ON_CALL), "103": remembered(State.UNKNOWN)}
    if adopt_first:
        world.engine.adopt(past, same_options=True)
    world.round({"101": State.AVAILABLE, "102": State.AVAILABLE, "103": None})
    if not adopt_first:
        world.engine.adopt(past, same_options=True)
    assert (world.since("101"), world.since("102"), world.since("103")) == (1000, FakeClock.START, 1000)


def test_users_of_an_earlier_run_are_kept_as_unknown_and_forgotten_like_others(world: World) -> None:
    world.round(everybody(4))
    world.engine.adopt({"200": remembered(State.AVAILABLE, name="Ada")}, same_options=True)
    assert world.wire.state("200") == "unknown"
    assert '"name":"Ada"' in world.wire.retained["3cx/users/200"]
    world.round(everybody(4))
    world.wait(600)
    world.round(everybody(4))
    assert "200" not in world.wire.dns()


@pytest.mark.parametrize("adopt_first", [True, False])
def test_other_options_than_last_time_let_unreported_users_go_at_once(world: World, adopt_first: bool) -> None:
    past = {str(number): remembered(State.AVAILABLE) for number in range(100, 110)}
    if adopt_first:
        world.engine.adopt(past, same_options=False)
    world.round({"100": State.AVAILABLE}, complete=False)
    if not adopt_first:
        world.engine.adopt(past, same_options=False)
    assert world.wire.dns() == {"100"}
    world.round({}, complete=False)
    assert world.wire.dns() == {"100"}


def test_the_roster_is_published_when_a_user_is_added_removed_or_renamed(world: World) -> None:
    def named(name: str) -> Iterable[Update]:
        rows = {"101": MonitorRow("101", name, None, "{}")}
        return [Round("monitor_status", rows, complete=True, total=None, good_for=20.0)]

    for update in named("Ada"):
        world.engine.apply(update)
    ada = '[{"number":"101","name":"Ada","department":null,"topic":"3cx/users/101"}]'
    assert world.wire.retained["3cx/bridge/users"] == ada
    for update in named("Ada Lovelace"):
        world.engine.apply(update)
    assert "Ada Lovelace" in world.wire.retained["3cx/bridge/users"]
    assert world.wire.order.count("3cx/bridge/users") == 2


def test_a_snapshot_is_what_is_retained(world: World) -> None:
    world.round(everybody(3), total=3)
    world.wait(5)
    world.round(everybody(3) | {"101": State.RINGING}, total=3)
    snapshot = {message.topic: message.payload.decode() for message in world.engine.snapshot()}
    assert world.wire.retained == snapshot


def test_a_refresh_lifts_the_guard_for_one_round_only(world: World) -> None:
    world.round(everybody(10))
    world.engine.refresh()
    world.round(everybody(10))
    for _ in range(130):
        world.wait(5)
        world.round(everybody(1))
    assert len(world.wire.dns()) == 10
