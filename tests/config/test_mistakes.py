"""Mistakes are reported all at once, each with its place and what to do."""

import os
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config import load
from bridge.errors import ConfigError
from bridge.sources.table import TABLE
from tests.config.loading import MINIMAL, loaded, mistakes
from tests.support.keys import encrypt_key


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
                'config.yaml:5 groups.sales: expected a list, such as ["101"], or a mapping of users, departments and ',
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
            MINIMAL + "presence: {no_profile: away}\n",
            ["config.yaml:5 presence.no_profile: 'away' is not one of available, unknown"],
        ),
        (
            MINIMAL + "privacy: {caller_id: some}\ncommands: {profile: perhaps}\ngroups: [sales]\n",
            [
                "config.yaml:5 privacy.caller_id: 'some' is not one of none, masked, full",
                "config.yaml:6 commands.profile: 'perhaps' is neither true nor false",
                'config.yaml:7 groups: expected a mapping, such as {sales: ["10*", "205"]}, not a list',
            ],
        ),
        (
            MINIMAL + "sources: {presence: {}}\n",
            [
                f"config.yaml:5 sources.presence: unknown key; known here: {', '.join(TABLE)}",
            ],
        ),
        (MINIMAL + "mqtt: 7\n", ["config.yaml:5 mqtt: expected a section: keys and values, indented"]),
        (MINIMAL + "mqtt:\n  port: 70000\n", ["config.yaml:6 mqtt.port: 70000 is over 65535"]),
        (MINIMAL + "mqtt:\n  port: mqtt\n", ["config.yaml:6 mqtt.port: 'mqtt' is not a whole number"]),
        (MINIMAL + "mqtt: {qos: [1]}\n", ["config.yaml:5 mqtt.qos: expected a whole number, not a list"]),
        (MINIMAL + "mqtt: {host: {a: b}}\n", ["config.yaml:5 mqtt.host: expected text, not a mapping"]),
        (MINIMAL + 'mqtt: {host: ""}\n', ["config.yaml:5 mqtt.host: must not be empty"]),
        (MINIMAL + "mqtt: {protocol: 4}\n", ["config.yaml:5 mqtt.protocol: '4' is not one of auto, 5, 3.1.1"]),
        (MINIMAL + "mqtt: {base_topic: a/+}\n", ["config.yaml:5 mqtt.base_topic: 'a/+' must not contain +, #"]),
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
            ['config.yaml:5 users.include: expected a list, such as ["101"]'],
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
        (MINIMAL + "  client_id: x\n", ["config.yaml:5 pbx.client_id: duplicate key, first in line 3: keep one"]),
        (
            MINIMAL + "  client_secret_file: x\n",
            ["config.yaml:5 pbx.client_secret_file: client_secret is set as well: keep one of them"],
        ),
        (
            MINIMAL + "mqtt: {username: !secret x}\n",
            ["config.yaml:5 mqtt.username: there is no file secrets.yaml with 'x': create it"],
        ),
        (MINIMAL + "mqtt: {username: !env X}\n", ["config.yaml:5 mqtt.username: the environment has no X: set it"]),
        (MINIMAL + "mqtt: {username: !env [a]}\n", ["config.yaml:5 mqtt.username: write !secret NAME, !env NAME"]),
        (MINIMAL + "mqtt: {username: !file x}\n", ["config.yaml:5 mqtt.username: unknown tag !file"]),
    ],
)
def test_a_mistake_is_reported_with_its_place_and_what_to_do(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = mistakes(tmp_path, text)
    assert len(found) == len(expected), found
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


def test_each_way_of_writing_a_wrong_url_is_reported(tmp_path: Path) -> None:
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


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
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
def test_a_file_that_is_not_a_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"not UTF-8|larger than 1 MiB"):
        load(path, {})
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load(tmp_path, {})
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        load(tmp_path / "none.yaml", {})


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(alphabet="pbx:mqt-{}[]!&*'\"\n #|>?,ae01 ", max_size=200).map(str.encode))
def test_any_file_is_read_or_refused_and_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load(path, {})


def test_a_ca_file_without_certificates_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    found = mistakes(tmp_path, MINIMAL + "  verify_tls: ca.pem\nmqtt: {tls: {enabled: true, ca: ca.pem}}\n")
    assert [line.partition(": ")[0] for line in found] == ["config.yaml:5 pbx.verify_tls", "config.yaml:6 mqtt.tls.ca"]
    assert "contains no usable certificate" in found[0]


def test_a_client_certificate_with_another_key_or_an_encrypted_one_is_a_mistake(tmp_path: Path) -> None:
    authority = trustme.CA()
    for name in ("client", "other"):
        certificate = authority.issue_cert(f"{name}.example.com")
        certificate.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
    encrypt_key(tmp_path / "client.key", tmp_path / "encrypted.key")
    text = MINIMAL + "mqtt: {tls: {enabled: true, cert: client.pem, key: KEY}}\n"
    assert mistakes(tmp_path, text.replace("KEY", "other.key")) == [
        "config.yaml:5 mqtt.tls.key: the key in other.key does not belong to client.pem"
    ]
    assert mistakes(tmp_path, text.replace("KEY", "encrypted.key")) == [
        "config.yaml:5 mqtt.tls.key: the key in encrypted.key is encrypted: store it without a passphrase"
    ]
    loaded(tmp_path, text.replace("KEY", "client.key"))


def test_disabling_every_source_is_a_mistake(tmp_path: Path) -> None:
    text = MINIMAL + "sources:\n" + "".join(f"  {name}: {{enabled: false}}\n" for name in TABLE)
    assert mistakes(tmp_path, text) == [
        "config.yaml:5 sources: all sources are disabled, so there is nothing to publish: enable one"
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.yaml", "config.yaml: cannot be read: not a regular file"),
        ("secret", "config.yaml:5 pbx.client_secret_file: cannot read secret: not a regular file"),
        ("ca.pem", "config.yaml:10 mqtt.tls.ca: there is no file ca.pem"),
    ],
)
def test_a_pipe_where_a_file_is_expected_is_refused_and_not_waited_for(tmp_path: Path, name: str, message: str) -> None:
    text = (
        "pbx:\n  name: hq\n  url: http://127.0.0.1:1\n  client_id: x\n  client_secret_file: secret\n"
        f"mqtt:\n  host: h\n  tls:\n    enabled: true\n    ca: {tmp_path}/ca.pem\n"
    )
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "secret").write_text("s")
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.yaml", {})
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [message]
