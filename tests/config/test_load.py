"""Loading a configuration: defaults, conversion of values, places, and what is shown of it."""

import json
from pathlib import Path

import pytest

from bridge.domain.model import State
from bridge.domain.privacy import CallerId
from bridge.engine.settings import GroupSettings
from bridge.log import LogLevel
from bridge.sources.threecx.settings import Enabled, QueryOptions
from tests.config.loading import MINIMAL, loaded, mistakes


def test_the_sections_of_presence_are_read(tmp_path: Path) -> None:
    text = MINIMAL + (
        'groups: {sales: ["10*", 0205]}\n'
        "presence: {profiles: {Lunch: away, custom 2: available}, busy: [away], unregistered: ignore}\n"
        "privacy: {caller_id: full}\n"
        "commands: {queue: true}\n"
        "sources: {users: {interval: 10s, orderby: Id}, active_calls: {enabled: false}, call_control: {resync: 1m}}\n"
    )
    config = loaded(tmp_path, text)
    assert config.groups == {"sales": GroupSettings(users=("10*", "0205"))}
    assert config.rules.profiles["lunch"] is State.AWAY
    assert config.rules.profiles["custom2"] is State.AVAILABLE
    assert config.rules.profiles["custom1"] is State.AVAILABLE
    assert (config.rules.busy, config.rules.ignore_unregistered) == (frozenset({State.AWAY}), True)
    assert config.caller_id is CallerId.FULL
    assert (config.commands.queue, config.commands.profile) == (True, False)
    assert (config.sources["users"].interval, config.sources["users"].query.orderby) == (10.0, "Id")
    assert (config.sources["active_calls"].on, config.sources["call_control"].interval) == (False, 60.0)
    assert json.dumps(config.public())


def test_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)
    assert (config.pbx.name, config.pbx.verify_tls, config.pbx.timeout) == ("3cx", True, 10.0)
    assert (config.sources["monitor_status"].enabled, config.sources["monitor_status"].interval) == (Enabled.AUTO, 5.0)
    assert config.sources["monitor_status"].query == QueryOptions(None, 0, None, None, count=True)
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.client_id) == ("localhost", 1883, "3cx2mqtt-3cx")
    assert (config.mqtt.keepalive, config.mqtt.qos, config.mqtt.max_rate) == (30, 1, 1000)
    assert (config.users.include, config.users.forget_after) == ((), 600.0)
    assert config.homeassistant.discovery_prefix == "homeassistant"
    assert (config.web.enabled, config.web.host, config.web.port) == (False, "127.0.0.1", 9321)
    assert config.log.level is LogLevel.INFO
    assert config.warnings == ()


def test_values_are_converted_by_the_type_of_their_option(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        MINIMAL
        + """\
  name: 007
sources: {monitor_status: {enabled: false, search: off, filter: "DN eq '101'", top: 0250}}
users: {include: [0100, 1*, on, 08:00], forget_after: 2m}
mqtt: {username: yes, password: 0x10, protocol: 3.1.1}
""",
    )
    assert config.pbx.name == "007"
    assert config.sources["monitor_status"].enabled is Enabled.FALSE
    assert config.sources["monitor_status"].query == QueryOptions(250, 0, "off", "DN eq '101'", count=True)
    assert config.users.include == ("0100", "1*", "on", "08:00")
    assert (config.users.forget_after, config.mqtt.username, config.mqtt.password) == (120.0, "yes", "0x10")


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://pbx.example.com/", "https://pbx.example.com"),
        ("https://pbx.example.com:5001/xapi/v1/", "https://pbx.example.com:5001"),
        ("https://PBX.example.com/#/login?x=1", "https://pbx.example.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ('"https://[fd00::1]:5001/"', "https://[fd00::1]:5001"),
    ],
)
def test_the_url_of_the_pbx_may_be_copied_from_a_browser(tmp_path: Path, written: str, url: str) -> None:
    assert loaded(tmp_path, MINIMAL.replace("https://pbx.example.com:5001", written)).pbx.url == url


def test_places_are_where_an_option_was_written(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL + "sources:\n  monitor_status:\n    filter: x\n")
    path = tmp_path / "config.yaml"
    assert config.place("sources.monitor_status.filter") == f"{path}:7"
    assert config.place("sources.monitor_status.top") == f"{path}:6"
    assert config.place("mqtt.host") == str(path)


def test_secrets_are_shown_nowhere(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL + "mqtt: {username: u, password: hush-hush}\n")
    shown = repr(config) + str(config.public())
    assert "s3cret-key" not in shown
    assert "hush-hush" not in shown
    assert config.public()["pbx"]["client_secret"] == "***"
    assert set(config.secrets()) == {"s3cret-key", "hush-hush"}
    broken = mistakes(tmp_path, MINIMAL.replace("s3cret-key", "[s3cret-key]"))
    assert "s3cret-key" not in str(broken)
