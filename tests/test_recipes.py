"""The recipes in docs/ and examples/ name only what the bridge provides, and their files are consistent."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from paho.mqtt.client import topic_matches_sub
from prometheus_client.parser import text_string_to_metric_families

from bridge.config import load
from bridge.domain.message import Message
from bridge.domain.model import State
from bridge.outputs.hass.discovery import DiscoveryOutput, Features
from bridge.statistics import Statistics
from bridge.topics import Topics
from bridge.web.many import TENANT_UP
from bridge.web.metrics import Metrics
from tests.outputs.test_discovery import BRIDGE, GROUP, USER
from tests.support.clock import FakeClock
from tests.support.world import World

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
COMPOSE = EXAMPLES / "docker-compose"
ESPHOME = EXAMPLES / "esphome" / "busy-light.yaml"
BERRY = EXAMPLES / "tasmota" / "busy_light.be"
GRAFANA = EXAMPLES / "prometheus" / "grafana.json"
OPENHAB = EXAMPLES / "openhab"
BLUEPRINT = EXAMPLES / "home-assistant" / "blueprints" / "automation" / "3cx2mqtt" / "busy_light.yaml"

PAGES = sorted(DOCS.glob("*.md"))
FILES = sorted(path for path in EXAMPLES.rglob("*") if path.is_file() and "secrets" not in path.parts)
YAML_FILES = [path for path in FILES if path.suffix == ".yaml"]

TOPICS = Topics("3cx", "3cx", "homeassistant")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


class TolerantLoader(yaml.SafeLoader):
    """Accepts tags of other programs (!secret, !lambda, !input) and keeps their text."""


TolerantLoader.add_multi_constructor("!", lambda _loader, _tag, node: node.value)


def parsed(text: str) -> Any:
    return yaml.load(text, TolerantLoader)  # noqa: S506  # a SafeLoader


def yaml_blocks(page: Path) -> list[str]:
    """The blocks of YAML in a page, also those within a list."""
    found = re.findall(r"^( *)```yaml\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def as_read_by_the_device(path: Path) -> str:
    """The text of a file, with its variables for base topic and number replaced."""
    text = path.read_text()
    for variable, value in (("${base_topic}", "3cx"), ("${dn}", "101"), ('base + "', '"3cx'), ('" + dn + "', "101")):
        text = text.replace(variable, value)
    return text


def known_topics(number: str, group: str, light: str) -> set[str]:
    topics = TOPICS
    return {
        topics.bridge_state,
        topics.bridge_pbx,
        topics.bridge_info,
        topics.bridge_users,
        topics.bridge_users_busy,
        topics.bridge_count,
        topics.bridge_health,
        topics.bridge_log_level,
        topics.bridge_log,
        topics.bridge_check,
        *(topics.request(operation) for operation in ("refresh", "users", "log_level", "check", "record", "shapes")),
        *(topics.response(operation) for operation in ("refresh", "users", "log_level", "check", "record")),
        topics.user(number),
        topics.user_state(number),
        topics.user_busy(number),
        topics.user_monitor(number),
        topics.user_call(number),
        topics.user_set(number),
        topics.user_today(number),
        topics.queue("800"),
        topics.queue_waiting("800"),
        topics.system,
        topics.group(group),
        topics.group_busy(group),
        topics.light_state(light),
        topics.light_set(light),
        topics.lights_set,
    }


def is_known(mention: str) -> bool:
    """Whether the bridge has this topic, or one that this filter or prefix matches."""
    usual = {"users": "101", "groups": "sales", "lights": "desk"}
    named = {kind: re.search(f"/{kind}/([^/+#]+)", mention) for kind in usual}
    topics = known_topics(*(match[1] if (match := named[kind]) else usual[kind] for kind in usual))
    if mention.endswith("/"):
        return any(topic.startswith(mention) for topic in topics)
    return any(topic_matches_sub(mention, topic) for topic in topics)


def mentions(path: Path) -> list[str]:
    return re.findall(r"(?<![\w./-])3cx/[\w+#/-]*", as_read_by_the_device(path))


@pytest.mark.parametrize("path", [*PAGES, *FILES], ids=name_of)
def test_recipes_name_only_topics_of_the_bridge(path: Path) -> None:
    assert [mention for mention in mentions(path) if not is_known(mention)] == []


def test_an_unknown_topic_in_a_page_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`3cx/users/101/status`, `3cx/bridge/status`, `3cx/users/101/state`, `site/3cx/bridge/state`")
    assert [mention for mention in mentions(page) if not is_known(mention)] == [
        "3cx/users/101/status",
        "3cx/bridge/status",
    ]


def entity_ids() -> Iterator[str]:
    """Of a user 101, a group sales and the bridge, with and without commands, for two names of the PBX."""
    for name in ("3cx", "hq"):
        for profiles in ((), ("Available",)):
            features = Features(profiles=profiles, queue=bool(profiles), monitor="rows")
            output = DiscoveryOutput(Topics("3cx", name, "homeassistant"), "https://x.example", features)
            messages: tuple[Message, ...] = (
                *output.user(None, USER),
                *output.group(None, GROUP),
                *output.bridge(None, BRIDGE),
            )
            for message in messages:
                for component in json.loads(message.payload)["components"].values():
                    if "default_entity_id" in component:
                        yield component["default_entity_id"]


def test_recipes_name_only_entity_ids_of_discovery() -> None:
    known = set(entity_ids())
    assert "sensor.3cx_101_state" in known
    assert "sensor.3cx_hq_101_state" in known
    pattern = r"\b(?:sensor|binary_sensor|event|select|switch|button)\.3cx_\w+"
    named = {entity for path in (*PAGES, *FILES) for entity in re.findall(pattern, path.read_text())}
    assert "event.3cx_101_call" in named
    assert named <= known


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES, *FILES], ids=name_of)
def test_recipes_recognise_missed_calls_by_their_outcome(path: Path) -> None:
    """`answered` is false too when a colleague took the call, and calls between extensions are missed as well."""
    text = path.read_text()
    assert not re.search(r"not \w+\.answered\b|\.answered *(=|==|===|is) *(false|False)", text)
    for condition in re.findall(r"^.*\.outcome *==?=? .*$", text, re.MULTILINE):
        assert re.search(r"\.direction *==?=? *\W*inbound", condition), condition


def test_the_recipes_about_missed_calls_are_found() -> None:
    named = {path.name for path in (*PAGES, *FILES) if re.search(r"\.outcome *==?=? *\W*missed", path.read_text())}
    assert named == {"home-assistant.md", "flows.json"}


@pytest.mark.parametrize("path", YAML_FILES, ids=name_of)
def test_yaml_files_are_yaml(path: Path) -> None:
    assert isinstance(parsed(path.read_text()), dict)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_yaml_in_pages_is_yaml(page: Path) -> None:
    for block in yaml_blocks(page):
        assert isinstance(parsed(block), dict | list)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_exist(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("path", [DOCS / "tasmota.md", ESPHOME, BERRY], ids=name_of)
def test_light_recipes_handle_every_state(path: Path) -> None:
    text = path.read_text()
    assert [state.value for state in State if not re.search(rf"\b{state.value}\b", text)] == []


@pytest.mark.parametrize("path", [DOCS / "tasmota.md", ESPHOME, BERRY, OPENHAB / "3cx.things"], ids=name_of)
def test_recipes_on_topics_check_bridge_and_pbx(path: Path) -> None:
    assert {TOPICS.user_state("101"), TOPICS.bridge_state, TOPICS.bridge_pbx} <= set(mentions(path))


def test_the_blueprint_declares_its_inputs_and_handles_every_state() -> None:
    text = BLUEPRINT.read_text()
    inputs: dict[str, Any] = {}
    for name, option in parsed(text)["blueprint"]["input"].items():
        inputs |= option.get("input", {name: option})
    assert set(re.findall(r"!input (\w+)", text)) == set(inputs)
    colours = set(re.findall(r"'(\w+)': \w+", parsed(text)["variables"]["colours"]))
    assert colours | {"offline", "unknown"} == {state.value for state in State}


def test_nothing_blinks_faster_than_three_times_a_second() -> None:
    phases = [int(phase) for phase in re.findall(r"duration: (\d+)ms", ESPHOME.read_text())]
    phases += [int(phase) for phase in re.findall(r"milliseconds: (\d+)", BLUEPRINT.read_text())]
    for path in (BERRY, DOCS / "tasmota.md"):
        phases += [int(tenths) * 100 for tenths in re.findall(r"BlinkTime (\d+)", path.read_text())]
    assert len(phases) == 5
    assert min(phases) * 2 > 1000 / 3


def test_the_tasmota_rules_fit_into_a_rule_set() -> None:
    sets: dict[str, list[str]] = {}
    for name, rule in re.findall(r"^(Rule\d) (?:\+ )?(ON .*)$", (DOCS / "tasmota.md").read_text(), re.MULTILINE):
        sets.setdefault(name, []).append(rule)
    assert sorted(sets) == ["Rule1", "Rule2", "Rule3"]
    assert all(len(" ".join(rules)) <= 511 for rules in sets.values())
    assert all(rule.endswith(" ENDON") for rules in sets.values() for rule in rules)


def test_openhab_items_and_rules_name_existing_channels_and_items() -> None:
    things, items, rules = ((OPENHAB / f"3cx.{kind}").read_text() for kind in ("things", "items", "rules"))
    channels = set()
    for thing, body in re.findall(r"Thing topic (\w+) (.*?)^    }", things, re.MULTILINE | re.DOTALL):
        channels |= {f"mqtt:topic:threecx:{thing}:{channel}" for channel in re.findall(r"Type string : (\w+)", body)}
    linked = set(re.findall(r'channel="([^"]+)"', items))
    assert linked == channels - {"mqtt:topic:threecx:user101:set"}
    named = set(re.findall(r"^(?:Group|String|Switch)(?::.*\))? (\w+)", items, re.MULTILINE))
    assert {name.removesuffix("_Raw") for name in named} <= named
    assert set(re.findall(r"\bPhones?_\w+", rules)) <= named
    assert 'Thing "mqtt:broker:threecx"' in rules


def test_what_the_containers_share_is_there(tmp_path: Path) -> None:
    compose = parsed((COMPOSE / "docker-compose.yaml").read_text())
    services = compose["services"]
    mounts = [mount.split(":") for service in services.values() for mount in service.get("volumes", [])]
    assert all((COMPOSE / source).is_file() for source, *_ in mounts if source.startswith("."))
    assert {source for source, *_ in mounts if not source.startswith(".")} == set(compose["volumes"])
    assert (COMPOSE / services["bridge"]["build"] / "Dockerfile").is_file()

    targets = {target for _, target, *_ in mounts}
    broker = dict(re.findall(r"^(\w+) (\S+)$", (COMPOSE / "mosquitto.conf").read_text(), re.MULTILINE))
    assert broker["acl_file"] in targets
    assert str(Path(broker["password_file"]).parent) in targets
    assert broker["persistence_location"].rstrip("/") in targets

    # The bridge's configuration is sound, and finds its secrets where they are mounted.
    text = (COMPOSE / "config.yaml").read_text()
    named = re.findall(r"/run/secrets/(\w+)", text)
    assert named == services["bridge"]["secrets"] == list(compose["secrets"])
    for secret in named:
        (tmp_path / secret).write_text("s3cret\n")
    (tmp_path / "config.yaml").write_text(text.replace("/run/secrets/", ""))
    config = load(tmp_path / "config.yaml", {})
    assert config.mqtt.host == "mosquitto"
    assert config.mqtt.host in services
    assert f"user {config.mqtt.username}\n" in (DOCS / "mosquitto.acl").read_text()


def test_the_dockerignore_file_admits_what_the_image_is_built_from() -> None:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    copied = {source for line in lines if "--from" not in line for source in line.split()[1:-1]}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let_through
    assert all((ROOT / source).exists() for source in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [project["project"]["readme"], *project["project"]["license-files"]]
    needed += project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {*needed, "pyproject.toml", "requirements.lock"} <= copied


def test_the_grafana_dashboard_is_complete_and_asks_only_the_chosen_data_source() -> None:
    dashboard = json.loads(GRAFANA.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert {"type", "title", "gridPos", "targets"} <= panel.keys()
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"])
    assert [each["name"] for each in dashboard["templating"]["list"]] == ["datasource", "instance"]


@pytest.mark.parametrize(
    "path", [DOCS / "monitoring.md", EXAMPLES / "prometheus" / "alerts.yaml", GRAFANA], ids=name_of
)
def test_monitoring_recipes_name_only_existing_metrics(path: Path) -> None:
    world, statistics = World(clock := FakeClock()), Statistics(clock.clock)
    statistics.polled("users", 0.1)
    text = Metrics(world.engine, world.wire, statistics, list).text().decode()
    known = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    known.add(TENANT_UP)
    named = set(re.findall(r"\b(?:threecx2mqtt|process)_\w+", path.read_text()))
    assert named <= known
    if path.suffix == ".md":
        assert {name for name in known - named if name.startswith("threecx2mqtt_")} == set(), "not in the table"


def test_the_scrape_config_in_the_page_equals_the_file() -> None:
    file = parsed((EXAMPLES / "prometheus" / "prometheus.yaml").read_text())
    assert file in [parsed(block) for block in yaml_blocks(DOCS / "monitoring.md")]
    port = load(ROOT / "config.example.yaml", {}).web.port
    assert file["scrape_configs"][0]["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]
