"""What engine and outputs get to know of the configuration."""

from pathlib import Path

import pytest

from bridge.config import Config, load
from bridge.runtime.about import options_in_force
from bridge.runtime.policy import policy, publishes_monitor_rows

PBX = "pbx: {name: hq, url: https://pbx.example.com, client_id: a, client_secret: b}\n"
OFF = "{enabled: false}"


def loaded(folder: Path, sources: str) -> Config:
    path = folder / "config.yaml"
    every = ", ".join(filter(None, (sources, "queues: {enabled: false}, system: {enabled: false}")))
    path.write_text(f"{PBX}sources: {{{every}}}\n")
    return load(path, {})


@pytest.mark.parametrize(
    ("sources", "bound"),
    [
        ("", 20.0),
        (f"monitor_status: {OFF}, users: {{interval: 60s}}, active_calls: {OFF}, call_control: {{resync: 10s}}", 180.0),
        (f"monitor_status: {OFF}, users: {OFF}, active_calls: {OFF}, call_control: {{resync: 45s}}", 135.0),
    ],
)
def test_the_pbx_may_be_silent_for_three_of_the_shortest_polled_intervals(
    tmp_path: Path, sources: str, bound: float
) -> None:
    assert policy(loaded(tmp_path, sources)).bound == bound


def test_monitor_rows_are_published_where_their_source_is_on(tmp_path: Path) -> None:
    assert publishes_monitor_rows(loaded(tmp_path, ""))
    assert not publishes_monitor_rows(loaded(tmp_path, f"monitor_status: {OFF}"))


def test_the_options_that_decide_who_is_published_are_those_of_people(tmp_path: Path) -> None:
    found = options_in_force(loaded(tmp_path, 'users: {top: 7, filter: "x eq 1", interval: 9s}'))
    assert found == {
        "monitor_status": {"enabled": "auto", "top": None, "skip": 0, "search": None, "filter": None},
        "users": {"enabled": True, "top": 7, "skip": 0, "search": None, "filter": "x eq 1"},
        "include": [],
        "exclude": [],
        "special": False,
    }
