"""The memory of refused logins: how long to wait, and that it outlives restarts, crashes and full disks."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.sources.threecx.client.login_backoff import (
    AFTER_TAKEOVER,
    FIRST_WAIT,
    LONGEST_WAIT,
    LoginBackoff,
    state_directory,
)
from tests.support.clock import FakeClock
from tests.support.threecx import settings


def memory(
    directory: Path | None, clock: FakeClock, url: str = "http://a", secret: str = "simulated-key"
) -> LoginBackoff:
    return LoginBackoff(settings(url, secret), directory, clock.clock.wall)


def test_waits_double_up_to_four_hours(clock: FakeClock) -> None:
    backoff = memory(None, clock)
    waits = [backoff.note() for _ in range(7)]
    assert waits == [FIRST_WAIT * factor for factor in (1, 2, 4, 8, 16, 16, 16)]
    assert waits[-1] == LONGEST_WAIT


def test_a_wait_ends_and_a_clock_set_back_does_not_prolong_it(clock: FakeClock) -> None:
    backoff = memory(None, clock)
    assert backoff.wait() == 0
    backoff.note()
    clock.turn(FIRST_WAIT - 1)
    assert backoff.wait() == 1
    clock.turn(1)
    assert backoff.wait() == 0
    clock.turn(-FIRST_WAIT - 60)
    assert backoff.wait() == 0


def test_refusals_are_remembered_for_these_credentials_only(tmp_path: Path, clock: FakeClock) -> None:
    memory(tmp_path, clock).note()
    clock.turn(60)
    assert memory(tmp_path, clock).wait() == FIRST_WAIT - 60
    assert memory(tmp_path, clock, secret="other").wait() == 0  # of a simulated PBX
    assert memory(tmp_path, clock, url="http://b").wait() == 0
    assert "simulated-key" not in "".join(file.read_text() for file in tmp_path.iterdir())


def test_a_restart_goes_on_doubling(tmp_path: Path, clock: FakeClock) -> None:
    memory(tmp_path, clock).note()
    assert memory(tmp_path, clock).note() == 2 * FIRST_WAIT


def test_a_login_that_succeeds_clears_the_memory(tmp_path: Path, clock: FakeClock) -> None:
    backoff = memory(tmp_path, clock)
    backoff.forget()  # nothing to forget
    backoff.note()
    backoff.forget()
    assert backoff.wait() == 0
    assert memory(tmp_path, clock).wait() == 0
    assert list(tmp_path.iterdir()) == []
    assert backoff.note() == FIRST_WAIT


def test_a_file_that_another_process_removed_is_no_failure(tmp_path: Path, clock: FakeClock) -> None:
    backoff = memory(tmp_path, clock)
    backoff.note()
    (tmp_path / "refused-hq.json").unlink()
    backoff.forget()
    assert backoff.wait() == 0


def test_a_reload_with_the_same_credentials_keeps_the_memory(clock: FakeClock) -> None:
    backoff = memory(None, clock, secret="wrong")  # of a simulated PBX
    backoff.note()
    assert backoff.for_settings(settings("http://a", "wrong")).wait() == FIRST_WAIT
    assert backoff.for_settings(settings("http://a", "right")).wait() == 0


@pytest.mark.parametrize("content", ["", "[]", "{", '{"credentials": 1}', '{"refused_at": "x"}', "\xff"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, clock: FakeClock, content: str) -> None:
    (tmp_path / "refused-hq.json").write_text(content, "latin-1")
    assert memory(tmp_path, clock).wait() == 0


def test_a_damaged_file_is_reported_and_replaced(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "refused-hq.json").write_text("{")
    backoff = memory(tmp_path, clock)
    assert f"cannot read {tmp_path / 'refused-hq.json'}" in caplog.text
    backoff.note()
    assert memory(tmp_path, clock).wait() == FIRST_WAIT


def test_the_file_is_replaced_as_a_whole_and_never_readable_by_others(tmp_path: Path, clock: FakeClock) -> None:
    backoff = memory(tmp_path, clock)
    backoff.note()
    file = tmp_path / "refused-hq.json"
    with file.open() as earlier:
        backoff.note()
        assert json.load(earlier)["wait"] == FIRST_WAIT  # a reader that opened the old one gets all of it
    assert json.loads(file.read_text())["wait"] == 2 * FIRST_WAIT
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """Writing a file of this process fails after `size` bytes, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_write_that_fails_halfway_leaves_the_old_file(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    backoff = memory(tmp_path, clock)
    backoff.note()
    with disk_full_after(20):
        assert backoff.note() == 2 * FIRST_WAIT
    assert f"cannot write {tmp_path / 'refused-hq.json'}" in caplog.text
    assert memory(tmp_path, clock).wait() == FIRST_WAIT
    assert [file.name for file in tmp_path.iterdir()] == ["refused-hq.json"]


def test_a_directory_that_is_gone_is_reported_and_the_wait_holds(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    backoff = memory(tmp_path / "gone", clock)
    assert backoff.note() == FIRST_WAIT
    assert "refusals are forgotten at restart" in caplog.text
    assert backoff.wait() == FIRST_WAIT


def test_the_state_directory_is_the_first_that_systemd_gives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    assert state_directory() == tmp_path / "one"


def test_without_systemd_it_is_made_under_the_user_s_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert state_directory() == tmp_path / "state" / "3cx2mqtt"
    assert (tmp_path / "state" / "3cx2mqtt").is_dir()
    assert state_directory() == tmp_path / "state" / "3cx2mqtt"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_directory() == tmp_path / "home" / ".local" / "state" / "3cx2mqtt"
    monkeypatch.setenv("XDG_STATE_HOME", "")
    assert state_directory() == tmp_path / "home" / ".local" / "state" / "3cx2mqtt"
    assert (tmp_path / "home" / ".local" / "state" / "3cx2mqtt").is_dir()


def test_there_is_no_state_directory_where_it_cannot_be_created(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert state_directory() is None


def test_a_login_that_is_refused_after_a_takeover_is_repeated_once(clock: FakeClock) -> None:
    backoff = memory(None, clock)
    backoff.taken_over()
    clock.turn(80)
    assert (backoff.note(), backoff.wait()) == (AFTER_TAKEOVER, AFTER_TAKEOVER)
    clock.turn(AFTER_TAKEOVER)
    assert backoff.wait() == 0
    backoff.taken_over()
    assert backoff.note() == FIRST_WAIT
    backoff.forget()
    assert backoff.note() == FIRST_WAIT
