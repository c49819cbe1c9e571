"""The site's generated pages name every option, metric and command."""

import json
import sys
from pathlib import Path

import pytest

from bridge.cli import COMMANDS
from bridge.config.schema import OPTIONS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import site_hooks  # noqa: E402  # no package


def test_every_option_is_listed_with_its_default() -> None:
    page = site_hooks.options_page()
    for key, option in OPTIONS.items():
        if not isinstance(option, dict):
            assert f"| `{'.'.join(key)}` |" in page
    assert "| `web.tokens[].token` |" in page
    assert "| `mqtt.port` |" in page
    assert "`30s`" in page or '`"30s"`' in page


def test_every_metric_is_listed() -> None:
    page = site_hooks.metrics_page()
    documented = (ROOT / "docs/monitoring.md").read_text()
    for line in page.splitlines():
        if line.startswith("| `threecx2mqtt_"):
            assert line.split("`")[1] in documented


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_is_there(command: str) -> None:
    assert f"usage: 3cx2mqtt {command} " in site_hooks.help_page()


def test_links_of_the_repository_lead_to_places_of_the_site() -> None:
    for target, origin, uri, led in (
        ("../config.example.yaml", "docs/board.md", "board.md", "files/config.example.yaml"),
        ("docs/topics.md", "README.md", "index.md", "topics.md"),
        ("docs/topics.md", "SECURITY.md", "project/SECURITY.md", "../topics.md"),
        ("../README.md", "docs/docker.md", "docker.md", "index.md"),
        ("../systemd", "docs/systemd.md", "systemd.md", "files/systemd/index.md"),
        ("https://example.com/x", "README.md", "index.md", "https://example.com/x"),
    ):
        assert site_hooks._led(target, origin, uri) == led


def test_the_schema_is_read_whole() -> None:
    schema = json.loads((ROOT / "config.schema.json").read_text())
    assert len(list(site_hooks._options(schema))) > len([key for key in OPTIONS if len(key) > 1])
