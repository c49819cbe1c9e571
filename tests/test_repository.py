"""The files for GitHub and pre-commit are valid and name only what exists; scripts/check knows their schemas."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = [ROOT / ".pre-commit-config.yaml", *sorted((ROOT / ".github").rglob("*.y*ml"))]


def read(path: Path) -> Any:
    return yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506  # safe too; `on` stays a word


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_issue_templates_are_yaml(path: Path) -> None:
    assert isinstance(read(path), dict)


def test_a_release_waits_for_the_checks() -> None:
    assert "workflow_call" in read(ROOT / ".github/workflows/checks.yaml")["on"]
    jobs = read(ROOT / ".github/workflows/release.yaml")["jobs"]
    assert jobs["checks"]["uses"] == "./.github/workflows/checks.yaml"
    for name, job in jobs.items():
        waits_for = set()
        while "needs" in job:
            waits_for.add(job["needs"])
            job = jobs[job["needs"]]  # noqa: PLW2901  # up the chain to the first job
        assert name == "checks" or "checks" in waits_for, name


def test_hooks_call_scripts_and_paths_that_exist() -> None:
    (repo,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    for hook in repo["hooks"]:
        script, *arguments = hook["entry"].split()
        assert os.access(ROOT / script, os.X_OK)
        assert all((ROOT / argument).exists() for argument in arguments)


def test_dependabot_looks_where_there_are_dependencies() -> None:
    files = {
        "pip": "pyproject.toml",
        "docker": "Dockerfile",
        "npm": "package.json",
        "github-actions": ".github/workflows",
    }
    for update in read(ROOT / ".github/dependabot.yml")["updates"]:
        for directory in update.get("directories", [update.get("directory")]):
            assert (ROOT / directory.strip("/") / files[update["package-ecosystem"]]).exists()
