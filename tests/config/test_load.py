"""Configuration: what is read, from where, and what is said about mistakes."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config import Config, load
from bridge.domain.model import State
from bridge.domain.privacy import CallerId
from bridge.errors import ConfigError
from bridge.log import LogLevel
from bridge.sources.threecx.settings import Enabled, QueryOptions

MINIMAL = """\
pbx:
  url: https://pbx.example.com:5001
  client_id: busylights
  client_secret: s3cret-key
"""


def loaded(folder: Path, text: str, **environ: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path, environ)


def mistakes(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **environ)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_the_sections_of_presence_are_read(tmp_path: Path) -> None:
    text = MINIMAL + (
        'groups: {sales: ["10*", 0205]}\n'
        "presence: {profiles: {Lunch: away, custom 2: available}, busy: [away], unregistered: ignore}\n"
        "privacy: {caller_id: full}\n"
        "commands: {queue: true}\n"
        "sources: {users: {interval: 10s, orderby: Id}, active_calls: {enabled: false}, call_control: {resync: 1m}}\n"
    )
    config = loaded(tmp_path, text)
    assert config.groups == {"sales": ("10*", "0205")}
    assert config.rules.profiles["lunch"] is State.AWAY
    assert config.rules.profiles["custom2"] is State.AVAILABLE
    assert config.rules.profiles["custom1"] is State.AVAILABLE
    assert (config.rules.busy, config.rules.ignore_unregistered) == (frozenset({State.AWAY}), True)
    assert config.caller_id is CallerId.FULL
    assert (config.commands.queue, config.commands.profile) == (True, False)
    assert (config.users_source.interval, config.users_source.query.orderby) == (10.0, "Id")
    assert (config.active_calls.enabled, config.call_control.resync) == (False, 60.0)
    assert json.dumps(config.public())


def test_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)
    assert (config.pbx.name, config.pbx.verify_tls, config.pbx.timeout) == ("3cx", True, 10.0)
    assert (config.monitor_status.enabled, config.monitor_status.interval) == (Enabled.AUTO, 5.0)
    assert config.monitor_status.query == QueryOptions(None, 0, None, None, count=True)
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.client_id) == ("localhost", 1883, "3cx2mqtt-3cx")
    assert (config.mqtt.keepalive, config.mqtt.qos, config.mqtt.max_rate) == (30, 1, 1000)
    assert (config.users.include, config.users.forget_after) == ((), 600.0)
    assert config.homeassistant.discovery_prefix == "homeassistant"
    assert (config.web.enabled, config.web.host, config.web.port) == (False, "127.0.0.1", 9321)
    assert config.log.level is LogLevel.INFO
    assert config.warnings == ()


def test_words_are_what_their_key_makes_of_them(tmp_path: Path) -> None:
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
    assert config.monitor_status.enabled is Enabled.FALSE
    assert config.monitor_status.query == QueryOptions(250, 0, "off", "DN eq '101'", count=True)
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
def test_the_address_of_the_pbx_is_taken_from_what_a_browser_shows(tmp_path: Path, written: str, url: str) -> None:
    assert loaded(tmp_path, MINIMAL.replace("https://pbx.example.com:5001", written)).pbx.url == url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [f"config.yaml pbx.{key}: is required: add {key}" for key in ("client_id", "client_secret", "url")]),
        ("pbx:\n", [f"config.yaml:1 pbx.{key}" for key in ("client_id", "client_secret", "url")]),
        ("- a\n", ["config.yaml:1: must hold sections such as pbx: and mqtt:, see config.example.yaml"]),
        ("pbx: [\n", ["config.yaml:2: is not valid YAML: "]),
        ("pbx: {a: &x [*x]}\n", ["config.yaml:1: is not valid YAML: "]),
        ("pbx:\n  a: \t'\x01'\n", ["config.yaml:1: is not valid YAML: "]),
        (MINIMAL + "mqt: {}\n", ["config.yaml:5 mqt: unknown key; did you mean mqtt?"]),
        (
            MINIMAL + "groups: {sales: 101, 'a/b': []}\n",
            [
                "config.yaml:5 groups.a/b: 'a/b' '/' has a meaning of its own in MQTT topics",
                'config.yaml:5 groups.sales: a list is expected here, such as ["101"], not text',
            ],
        ),
        (
            MINIMAL + "groups: {'a/b': ['101']}\n",
            ["config.yaml:5 groups.a/b: 'a/b' '/' has a meaning of its own in MQTT topics"],
        ),
        (
            MINIMAL + "presence: {profiles: {Lunch: hungry}, busy: [ringing, sleepy], unregistered: maybe}\n",
            [
                (
                    "config.yaml:5 presence.busy.1: 'sleepy' is not one of available, away, do_not_disturb, ringing, "
                    "dialing, on_call, on_hold, offline, unknown"
                ),
                "config.yaml:5 presence.profiles.Lunch: 'hungry' is not one of available, away, do_not_disturb",
                "config.yaml:5 presence.unregistered: 'maybe' is not one of offline, ignore",
            ],
        ),
        (
            MINIMAL + "privacy: {caller_id: some}\ncommands: {profile: perhaps}\ngroups: [sales]\n",
            [
                "config.yaml:5 privacy.caller_id: 'some' is not one of none, masked, full",
                "config.yaml:6 commands.profile: 'perhaps' is neither true nor false",
                'config.yaml:7 groups: a mapping is expected here, such as {sales: ["10*", "205"]}, not a list',
            ],
        ),
        (
            MINIMAL + "sources: {presence: {}}\n",
            [
                (
                    "config.yaml:5 sources.presence: unknown key; known here: monitor_status, users, active_calls, "
                    "call_control"
                )
            ],
        ),
        (MINIMAL + "mqtt: 7\n", ["config.yaml:5 mqtt: a section is expected here: keys and values, indented"]),
        (MINIMAL + "mqtt:\n  port: 70000\n", ["config.yaml:6 mqtt.port: 70000 is over 65535"]),
        (MINIMAL + "mqtt:\n  port: mqtt\n", ["config.yaml:6 mqtt.port: 'mqtt' is not a whole number"]),
        (MINIMAL + "mqtt: {qos: [1]}\n", ["config.yaml:5 mqtt.qos: a whole number is expected here, not a list"]),
        (MINIMAL + "mqtt: {host: {a: b}}\n", ["config.yaml:5 mqtt.host: text is expected here, not a mapping"]),
        (MINIMAL + 'mqtt: {host: ""}\n', ["config.yaml:5 mqtt.host: must not be empty"]),
        (MINIMAL + "mqtt: {protocol: 4}\n", ["config.yaml:5 mqtt.protocol: '4' is not one of auto, 5, 3.1.1"]),
        (MINIMAL + "mqtt: {base_topic: a/+}\n", ["config.yaml:5 mqtt.base_topic: 'a/+' must not hold +, #"]),
        (MINIMAL + "mqtt: {base_topic: /a}\n", ["config.yaml:5 mqtt.base_topic: '/a' must not start with $"]),
        (MINIMAL + "web: {port: 0}\n", ["config.yaml:5 web.port: 0 is under 1"]),
        (MINIMAL + "web: {enabled: on}\n", ["config.yaml:5 web.enabled: 'on' is neither true nor false"]),
        (MINIMAL + "web: {prot: 1}\n", ["config.yaml:5 web.prot: unknown key; did you mean port?"]),
        (MINIMAL + "mqtt: {password: x}\n", ["config.yaml:5 mqtt.password: needs a username beside it"]),
        (
            MINIMAL + "mqtt: {tls: {cert: c.pem}}\n",
            [
                "config.yaml:5 mqtt.tls.cert: there is no file c.pem",
                "config.yaml:5 mqtt.tls.cert: needs tls.key beside it",
                "config.yaml:5 mqtt.tls.enabled: is false although certificates are set",
            ],
        ),
        (
            MINIMAL + "users: {include: 101}\n",
            ['config.yaml:5 users.include: a list is expected here, such as ["101"]'],
        ),
        (MINIMAL + "users: {special: yes}\n", ["config.yaml:5 users.special: 'yes' is neither true nor false"]),
        (
            MINIMAL + "sources: {monitor_status: {interval: 100ms}}\n",
            ["config.yaml:5 sources.monitor_status.interval: 100ms is under 500ms"],
        ),
        (
            MINIMAL + "users: {forget_after: soon}\n",
            ["config.yaml:5 users.forget_after: 'soon' is not a duration: write 500ms, 5s, 2m or 1h"],
        ),
        (MINIMAL + "  verify_tls: ca.pem\n", ["config.yaml:5 pbx.verify_tls: there is no file ca.pem"]),
        (MINIMAL + "  name: a_b\n", ["config.yaml:5 pbx.name: 'a_b' may hold letters, digits and - only"]),
        (MINIMAL + "  client_id: x\n", ["config.yaml:5 pbx.client_id: stands twice, first in line 3: keep one"]),
        (
            MINIMAL + "  client_secret_file: x\n",
            ["config.yaml:5 pbx.client_secret_file: stands beside client_secret: keep one of them"],
        ),
        (
            MINIMAL + "mqtt: {username: !secret x}\n",
            ["config.yaml:5 mqtt.username: there is no secrets.yaml to read 'x'"],
        ),
        (MINIMAL + "mqtt: {username: !env X}\n", ["config.yaml:5 mqtt.username: the environment has no X: set it"]),
        (MINIMAL + "mqtt: {username: !env [a]}\n", ["config.yaml:5 mqtt.username: write !secret NAME, !env NAME"]),
        (MINIMAL + "mqtt: {username: !file x}\n", ["config.yaml:5 mqtt.username: unknown tag !file"]),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_do(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = mistakes(tmp_path, text)
    assert len(found) == len(expected), found
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


def test_a_bad_url_is_told_in_each_of_its_ways(tmp_path: Path) -> None:
    for url, message in {
        "ftp://pbx": "'ftp://pbx' is not like https://pbx.example.com:5001",
        "pbx.example.com": "'pbx.example.com' is not like https://pbx.example.com:5001",
        "https://": "'https://' is not like https://pbx.example.com:5001",
        "https://pbx:99999": "'https://pbx:99999' is no URL",
        "https://me:pw@pbx": "leave user and password out of the URL",
    }.items():
        (found,) = mistakes(tmp_path, MINIMAL.replace("https://pbx.example.com:5001", url))
        assert found.startswith(f"config.yaml:2 pbx.url: {message}")
        assert "pw@" not in found


def test_every_mistake_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "log: {level: loud}\nmqtt: {port: -1}\npbx: {urll: x}\nmqtt: {}\n")
    assert [line.split(": ")[0] for line in found] == [
        "config.yaml:1 log.level",
        "config.yaml:2 mqtt.port",
        "config.yaml:3 pbx.client_id",
        "config.yaml:3 pbx.client_secret",
        "config.yaml:3 pbx.url",
        "config.yaml:3 pbx.urll",
        "config.yaml:4 mqtt",
    ]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * (1024 * 1024 + 1)])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"not UTF-8|over 1 MiB"):
        load(path, {})
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load(tmp_path, {})
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        load(tmp_path / "none.yaml", {})


def test_secrets_come_from_beside_the_file_the_environment_or_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("threecx: from-secrets\n")
    (tmp_path / "key").write_text("from-file\n")
    for line, secret in {
        "client_secret: !secret threecx": "from-secrets",
        "client_secret: !env KEY": "from-env",
        "client_secret: !env [NO_KEY, default]": "default",
        "client_secret_file: key": "from-file",
        f"client_secret_file: {tmp_path}/key": "from-file",
    }.items():
        text = MINIMAL.replace("client_secret: s3cret-key", line)
        assert loaded(tmp_path, text, KEY="from-env").pbx.client_secret == secret


def test_a_missing_secret_is_one_mistake_not_two(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("other: x\n")
    text = MINIMAL.replace("s3cret-key", "!secret threecx")
    assert mistakes(tmp_path, text) == [
        "config.yaml:4 pbx.client_secret: there is no 'threecx' in secrets.yaml: add a line threecx: …"
    ]
    (tmp_path / "secrets.yaml").unlink()
    (tmp_path / "secrets.yaml").mkdir()
    twice = text + "mqtt: {password: !secret mqtt}\n"
    assert mistakes(tmp_path, twice) == ["secrets.yaml: cannot be read: is a directory"]
    text = MINIMAL.replace("client_secret: s3cret-key", "client_secret_file: nowhere")
    assert mistakes(tmp_path, text) == [
        "config.yaml:4 pbx.client_secret_file: cannot read nowhere: no such file or directory"
    ]
    (tmp_path / "nowhere").write_text("\n")
    assert mistakes(tmp_path, text) == ["config.yaml:4 pbx.client_secret_file: nowhere is empty"]


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from-file")
    (tmp_path / "password").chmod(0o600)
    config = loaded(
        tmp_path,
        MINIMAL + "mqtt: {host: a, username: u, password: p}\n",
        THREECX2MQTT_MQTT__HOST="b",
        THREECX2MQTT_MQTT__TLS__ENABLED="true",
        THREECX2MQTT_SOURCES__MONITOR_STATUS__INTERVAL="1m",
        THREECX2MQTT_MQTT__PASSWORD_FILE=str(tmp_path / "password"),
        THREECX2MQTT_CONFIG="x",
    )
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.password) == ("b", 8883, "from-file")
    assert config.monitor_status.interval == 60.0
    assert config.place("mqtt.host") == "THREECX2MQTT_MQTT__HOST"
    assert config.warnings == ()
    beaten = MINIMAL.replace("client_secret: s3cret-key", "client_secret_file: nowhere")
    assert loaded(tmp_path, beaten, THREECX2MQTT_PBX__CLIENT_SECRET="x").pbx.client_secret == "x"


def test_a_wrong_variable_is_named_and_an_unknown_one_warned_of(tmp_path: Path) -> None:
    assert mistakes(tmp_path, MINIMAL, THREECX2MQTT_MQTT__PORT="x") == [
        "THREECX2MQTT_MQTT__PORT mqtt.port: 'x' is not a whole number"
    ]
    config = loaded(tmp_path, MINIMAL, THREECX2MQTT_MQTT__HOSTT="x", THREECX2MQTT_USERS__INCLUDE="1", OTHER="x")
    assert len(config.warnings) == 2
    assert "THREECX2MQTT_MQTT__HOSTT is ignored" in config.warnings[0]


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


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (MINIMAL.replace("https://pbx.example.com", "http://pbx.example.com"), "the API key crosses the network"),
        (MINIMAL + "  verify_tls: false\n", "anybody in between can pose as the PBX"),
        (MINIMAL + "mqtt: {tls: {enabled: true, insecure: true}}\n", "anybody in between can pose as the broker"),
        (
            MINIMAL + "web: {enabled: true, host: 0.0.0.0}\n",
            "config.yaml:5 web.host: whoever reaches port 9321 of 0.0.0.0",
        ),
        (MINIMAL + "web: {enabled: true, host: bridge.example.com, port: 80}\n", "port 80 of bridge.example.com"),
    ],
)
def test_what_is_unsafe_is_warned_of(tmp_path: Path, text: str, warning: str) -> None:
    (found,) = loaded(tmp_path, text).warnings
    assert warning in found


def test_http_to_this_machine_is_nothing_to_warn_of(tmp_path: Path) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert loaded(tmp_path, MINIMAL.replace("https://pbx.example.com", f"http://{host}")).warnings == ()


def test_a_web_server_for_this_machine_alone_or_none_is_nothing_to_warn_of(tmp_path: Path) -> None:
    for options in ("enabled: true", "enabled: true, host: '::1'", "enabled: true, host: localhost", "host: 0.0.0.0"):
        assert loaded(tmp_path, MINIMAL + f"web: {{{options}}}\n").warnings == ()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="pbx:mqt-{}[]!&*'\"\n #|>?,ae01 ", max_size=200).map(str.encode))
def test_any_file_is_read_or_refused_and_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load(path, {})


def test_a_certificate_that_is_none_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    found = mistakes(tmp_path, MINIMAL + "  verify_tls: ca.pem\nmqtt: {tls: {enabled: true, ca: ca.pem}}\n")
    assert [line.partition(": ")[0] for line in found] == ["config.yaml:5 pbx.verify_tls", "config.yaml:6 mqtt.tls.ca"]
    assert "holds no certificates that can be used" in found[0]


def test_a_configuration_that_reads_nothing_is_a_mistake(tmp_path: Path) -> None:
    names = ("monitor_status", "users", "active_calls", "call_control")
    text = MINIMAL + "sources:\n" + "".join(f"  {name}: {{enabled: false}}\n" for name in names)
    assert mistakes(tmp_path, text) == [
        "config.yaml:5 sources: all of them are switched off, so nothing would be read: switch one on"
    ]


def test_a_file_with_a_secret_that_everybody_may_read_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("threecx: s3cret-key\n")
    (tmp_path / "key").write_text("hush-hush\n")
    text = MINIMAL.replace("s3cret-key", "!secret threecx") + "mqtt: {username: u, password_file: key}\n"
    for mode, named in ((0o644, ["key", "secrets.yaml"]), (0o640, [])):
        for name in ("secrets.yaml", "key"):
            (tmp_path / name).chmod(mode)
        assert [warning.split(" holds")[0] for warning in loaded(tmp_path, text).warnings] == [
            f"{tmp_path}/{name}" for name in named
        ]
    config = tmp_path / "config.yaml"
    config.write_text(MINIMAL)
    config.chmod(0o604)
    (warning,) = load(config, {}).warnings
    assert warning == (f"{config} holds a secret and may be read by everybody on this machine: chmod o-r {config}")


LIGHT = 'lights:\n  - name: desk\n    driver: wled\n    topic: wled/1a2b3c\n    users: ["101"]\n'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("lights: {name: desk}\n", ['config.yaml:5 lights: a list is expected here, such as ["101"], not a mapping']),
        ("lights: [desk]\n", ["config.yaml:5 lights.0: keys and values are expected here, not text"]),
        (
            "lights:\n  - name: desk\n    drivre: wled\n",
            [
                "config.yaml:6 lights.0.driver: is required: add driver",
                "config.yaml:6 lights.0.topic: is required: add topic",
                "config.yaml:7 lights.0.drivre: unknown key; did you mean driver?",
            ],
        ),
        (
            LIGHT.replace("wled\n", "hue\n"),
            [
                (
                    "config.yaml:7 lights.0.driver: 'hue' is no driver: there are zigbee2mqtt, tasmota, wled, "
                    "shelly_gen1, "
                    "shelly_gen2, esphome, home_assistant, template"
                )
            ],
        ),
        (
            LIGHT + "    hours: {from: 8, to: '25:00', days: [monday], tz: Mars/Base, after: dark}\n",
            [
                "config.yaml:10 lights.0.hours.after: 'dark' is not one of off, keep",
                "config.yaml:10 lights.0.hours.days.0: 'monday' is not one of mon, tue, wed, thu, fri, sat, sun",
                "config.yaml:10 lights.0.hours.from: '8' is no time of day: write 08:00",
                "config.yaml:10 lights.0.hours.to: '25:00' is no time of day: write 08:00",
                (
                    "config.yaml:10 lights.0.hours.tz: 'Mars/Base' is no time zone that this machine knows: "
                    "write one such "
                    "as Europe/Berlin"
                ),
            ],
        ),
        (
            LIGHT + LIGHT.removeprefix("lights:\n"),
            [
                "config.yaml:10 lights.1.name: 'desk' stands twice: give each light a name of its own",
                "config.yaml:12 lights.1.topic: wled/1a2b3c/api is the topic of the light 'desk' too: two would fight",
            ],
        ),
        (
            LIGHT + "    group: sales\n",
            ["config.yaml:6 lights.0: name whom the light follows: either users or a group"],
        ),
        (
            LIGHT.replace('users: ["101"]', "group: sales"),
            ["config.yaml:9 lights.0.group: 'sales' is not one of groups"],
        ),
        (
            LIGHT + "    effect: Blink\n",
            ["config.yaml:10 lights.0.effect: means nothing to the driver wled, leave it out"],
        ),
        (
            (
                "lights:\n  - name: a/b\n    driver: template\n    topic: signs\n    users: ['*']\n"
                "    payloads:\n      default: $colour\n"
            ),
            ["config.yaml:6 lights.0.name: 'a/b' '/' has a meaning of its own in MQTT topics"],
        ),
        (
            (
                "lights:\n  - name: sign\n    driver: template\n    topic: signs\n    users: ['*']\n"
                "    payloads:\n      default: $colour\n"
            ),
            [
                (
                    "config.yaml:11 lights.0.payloads.default: $colour is unknown, write $r, $g, $b, $hex, "
                    "$brightness or "
                    "$state, or $$ for a dollar sign"
                )
            ],
        ),
        (
            "palette: {on_call: reddish, busy: red, away: {colour: red}}\n",
            [
                "config.yaml:5 palette.away.color: is required: add color",
                "config.yaml:5 palette.away.colour: unknown key; did you mean color?",
                (
                    "config.yaml:5 palette.busy: 'busy' is not one of available, away, do_not_disturb, ringing, "
                    "dialing, "
                    "on_call, on_hold, offline, unknown"
                ),
                (
                    "config.yaml:5 palette.on_call: 'reddish' is no colour: write a name (red, green, blue, "
                    "yellow, amber, "
                    "orange, magenta, pink, purple, cyan, turquoise, white), '#rrggbb' or 'r,g,b' from 0 to 255, or off"
                ),
            ],
        ),
    ],
)
def test_mistakes_in_lights_name_their_line(tmp_path: Path, text: str, problems: list[str]) -> None:
    assert mistakes(tmp_path, MINIMAL + text) == problems


def test_a_light_s_palette_is_that_of_all_with_its_own_on_top(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        MINIMAL
        + LIGHT
        + "    brightness: 60\n    palette: {available: off}\n    cue: blink\n    priority: [offline]\n"
        + "palette: {on_call: '#ff8000', available: cyan, away: {color: '1,2,3', brightness: 5}, dialing: '#000000'}\n",
    )
    (light,) = config.lights
    assert {state: str(look) for state, look in light.looks.items()} == {
        "available": "off",
        "away": "#010203 at 5 %",
        "do_not_disturb": "#0000ff at 60 %, blinking",
        "ringing": "#ff0000 at 60 %, blinking",
        "dialing": "off",
        "on_call": "#ff8000 at 60 %, blinking",
        "on_hold": "#ffff00 at 60 %, blinking",
        "offline": "off",
        "unknown": "#ffffff at 10 %",
    }
    assert (light.priority[0], len(light.priority)) == ("offline", 9)
    json.dumps(config.public())
