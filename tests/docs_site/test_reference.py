"""The pages made from the code name everything that there is."""

import json
import re
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import COMMANDS, EXIT_CODES
from bridge.config.schema import OPTIONS
from bridge.statistics import Statistics
from bridge.topics import Topics
from bridge.web.metrics import Metrics
from docs_site import commands, metrics, options
from docs_site.markdown import block, prose
from tests.support.clock import FakeClock
from tests.support.world import World

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "config.schema.json").read_text())


def rows(page: str) -> dict[str, str]:
    """The rest of each row of a table by what is in code in its first cell."""
    found = re.findall(r"^\| `([^`]+)`(?:\{[^}]*\})? \|(.*)\|$", page, re.MULTILINE)
    assert len(found) == len(dict(found)), "a row is there twice"
    return dict(found)


def options_of_entries(schema: Any) -> set[str]:
    """The keys of records within lists and mappings, whatever the schema is nested in."""
    found: set[str] = set()
    if isinstance(schema, dict):
        if "required" in schema and "properties" in schema:
            found |= set(schema["properties"])
        schema = list(schema.values())
    for inner in schema if isinstance(schema, list) else []:
        found |= options_of_entries(inner)
    return found


def test_every_option_is_listed() -> None:
    page = options.page(SCHEMA)
    sections = {key for key, option in OPTIONS.items() if isinstance(option, dict)}
    assert {".".join(key) for key in set(OPTIONS) - sections} <= set(rows(page))
    headings = set(re.findall(r"^###? (\S+)$", page, re.MULTILINE))
    assert {".".join(key) for key in sections} <= headings


def test_every_option_of_the_entries_of_lists_and_groups_is_listed() -> None:
    listed = {key.rpartition(".")[2] for key in rows(options.page(SCHEMA)) if re.search(r"\[\]|\*", key)}
    entries = options_of_entries(SCHEMA["properties"])
    assert {"token", "driver", "blink", "departments", "tz"} <= entries
    assert listed == entries


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("mqtt.port", ("TCP port; null: 1883, with TLS 8883", "1 to 65535 or `null`", "`null`")),
        ("mqtt.client_id", ("null: 3cx2mqtt-&lt;pbx.name>", "text or `null`", "`null`")),
        ("pbx.timeout", ("Time-out of one HTTP request", "duration, 1s to 2m", "`10s`")),
        ("pbx.url", ("text", "required")),
        ("pbx.client_secret", ("text", "required, here or as `client_secret_file`")),
        ("pbx.client_secret_file", ("A file that holds client\\_secret", "text")),
        ("users.forget_after", ("duration, 0s to 720h", "`10m`")),
        ("sources.queues.enabled", ("<small>`auto`, `true` or `false`</small>", "`auto`")),
        ("log.level", ("<small>`debug`, `info`, `warning` or `error`</small>", "`info`")),
        ("presence.busy", ("list of `available`", "`[ringing, dialing, on_call, on_hold, do_not_disturb]`")),
        ("groups", ("name → list of text or keys below", "`{}`")),
        ("web.tokens[].token", ("required, here or as `token_file`",)),
        ("lights[].palette.*.blink", ("`true` or `false`", "`false`")),
        ("lights[].hours", ("keys below or `null`", "`null`")),
        ("lights[].brightness", ("Percent", "1 to 100", "`100`")),
    ],
)
def test_an_option_has_type_default_and_description(key: str, says: tuple[str, ...]) -> None:
    row = rows(options.page(SCHEMA))[key]
    assert [each for each in says if each not in row] == []


def test_each_option_can_be_linked_to() -> None:
    anchors = re.findall(r"\{ #(\S+) \}", options.page(SCHEMA))
    assert "option-mqtt-port" in anchors
    assert len(anchors) == len(set(anchors)) == len(rows(options.page(SCHEMA)))


def test_every_metric_is_listed_with_its_labels() -> None:
    world, statistics = World(clock := FakeClock()), Statistics(clock.clock)
    statistics.polled("users", 0.1)
    text = Metrics(world.engine, world.wire, statistics, list).text().decode()
    page = metrics.page()
    names = set(re.findall(r"^(\w+)[ {]", text, re.MULTILINE))
    assert "threecx2mqtt_poll_duration_seconds_count" in names
    assert [name for name in names if f"`{name}`" not in page] == []
    listed = rows(page)
    assert listed["threecx2mqtt_messages_dropped_total"] == " counter | `queue` | Messages that a full queue dropped. "
    assert "gauge |  |" in listed["threecx2mqtt_users_busy"]


def test_every_command_is_shown_with_all_its_arguments() -> None:
    chapters = re.split(r"^## ", commands.page(), flags=re.MULTILINE)
    shown = {title: text for title, _, text in (chapter.partition("\n") for chapter in chapters)}
    for name, row in COMMANDS.items():
        import_module(f"bridge.commands.{row.module}").add_arguments(parser := ArgumentParser())
        assert f"usage: 3cx2mqtt {name} " in shown[name]
        named = [action.option_strings[-1] for action in parser._actions if action.option_strings]
        assert "--help" in named
        assert [option for option in named if option not in shown[name]] == [], name


def test_every_exit_code_is_listed() -> None:
    assert rows(commands.page()) == {str(code): f" {meaning} " for code, meaning in EXIT_CODES.items()}


def test_the_page_of_commands_has_every_command_and_exit_code() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \| ", page, re.MULTILINE)) == set(COMMANDS)
    assert {int(code) for code in re.findall(r"^\| (\d+) \| ", page, re.MULTILINE)} == set(EXIT_CODES)


def test_the_page_of_topics_has_every_topic() -> None:
    topics = Topics("3cx", "<pbx.name>", "homeassistant")
    every = {
        *(topic for topic in topics.of_user("101") if "homeassistant/" not in topic),
        *(topic for topic in topics.of_group("sales") if "homeassistant/" not in topic),
        *(topic for topic in topics.of_queue("800") if "homeassistant/" not in topic),
        *(topic for topic in topics.of_bridge() if "homeassistant/" not in topic),
        *(topics.user_call("101"), topics.user_set("101")),
        *(topics.light_state("desk-ada"), topics.light_set("desk-ada"), topics.lights_set),
        *(topics.system, topics.bridge_state, topics.bridge_log, topics.bridge_check),
        *(topics.request("<op>"), topics.response("<op>"), topics.discovery("…")),
    }
    page = (ROOT / "docs" / "topics.md").read_text()
    assert [topic for topic in sorted(every) if f"`{topic}`" not in page] == []


def test_text_between_code_is_no_markdown() -> None:
    assert prose("a_b of <pbx.name>, `c_d` and X-*") == r"a\_b of &lt;pbx.name>, `c_d` and X-\*"


def test_a_block_of_code_holds_any_text() -> None:
    assert block("```sh\nls\n```") == "````text\n```sh\nls\n```\n````\n"
