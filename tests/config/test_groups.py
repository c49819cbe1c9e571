"""`groups:`: a list of users, or users, departments and queues together."""

from pathlib import Path

import pytest

from bridge.engine.settings import GroupSettings
from tests.config.loading import MINIMAL, loaded, mistakes


def test_a_group_is_a_list_of_users_or_a_union(tmp_path: Path) -> None:
    text = MINIMAL + (
        "groups:\n"
        '  desk: ["10*", 0205]\n'
        "  sales: {departments: [Sales, 007]}\n"
        "  all: {users: [100], departments: [Sales], queues: [0800]}\n"
        "  nobody: []\n"
    )
    config = loaded(tmp_path, text)
    assert config.groups == {
        "desk": GroupSettings(users=("10*", "0205")),
        "sales": GroupSettings(departments=("Sales", "007")),
        "all": GroupSettings(users=("100",), departments=("Sales",), queues=("0800",)),
        "nobody": GroupSettings(),
    }
    assert config.public()["groups"]["sales"] == {"users": [], "departments": ["Sales", "007"], "queues": []}


@pytest.mark.parametrize(
    ("group", "problem"),
    [
        ("{department: [Sales]}", "groups.sales.department: unknown key; did you mean departments?"),
        ("{departments: Sales}", 'groups.sales.departments: expected a list, such as ["101"], not text'),
        ("{queues: [{}]}", "groups.sales.queues.0: expected text, not a mapping"),
        (
            "101",
            'groups.sales: expected a list, such as ["101"], or a mapping of users, departments and queues',
        ),
    ],
)
def test_a_mistake_in_a_group_is_named(tmp_path: Path, group: str, problem: str) -> None:
    assert mistakes(tmp_path, f"{MINIMAL}groups: {{sales: {group}}}\n") == [f"config.yaml:5 {problem}"]


def test_members_that_no_source_reports_are_warned_about(tmp_path: Path) -> None:
    text = f"{MINIMAL}groups: {{sales: {{departments: [Sales]}}, desk: ['101']}}\n"
    assert loaded(tmp_path, text).warnings == ()
    config = loaded(tmp_path, f"{text}sources: {{users: {{enabled: false}}}}\n")
    (warning,) = config.warnings
    assert (
        warning.rpartition("/")[2]
        == "config.yaml:5 groups.sales.departments: has no members, as the source users is off"
    )
