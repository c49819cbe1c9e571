"""Environment variables and files with secrets: precedence, and mistakes in them."""

from pathlib import Path

from tests.config.loading import MINIMAL, loaded, mistakes


def test_secrets_come_from_secrets_yaml_the_environment_or_files_of_their_own(tmp_path: Path) -> None:
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


def test_a_missing_secret_is_reported_once(tmp_path: Path) -> None:
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


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
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
    assert config.sources["monitor_status"].interval == 60.0
    assert config.place("mqtt.host") == "THREECX2MQTT_MQTT__HOST"
    assert config.warnings == ()
    beaten = MINIMAL.replace("client_secret: s3cret-key", "client_secret_file: nowhere")
    assert loaded(tmp_path, beaten, THREECX2MQTT_PBX__CLIENT_SECRET="x").pbx.client_secret == "x"


def test_a_wrong_variable_is_a_mistake_and_an_unknown_one_a_warning(tmp_path: Path) -> None:
    assert mistakes(tmp_path, MINIMAL, THREECX2MQTT_MQTT__PORT="x") == [
        "THREECX2MQTT_MQTT__PORT mqtt.port: 'x' is not a whole number"
    ]
    config = loaded(tmp_path, MINIMAL, THREECX2MQTT_MQTT__HOSTT="x", THREECX2MQTT_USERS__INCLUDE="1", OTHER="x")
    assert len(config.warnings) == 2
    assert "THREECX2MQTT_MQTT__HOSTT is ignored" in config.warnings[0]
