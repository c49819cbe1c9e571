"""Mistakes in YAML itself, and in what people put into files and variables, with what to do about them."""

from pathlib import Path

import pytest

from tests.config.loading import MINIMAL, loaded, mistakes


@pytest.mark.parametrize(
    ("text", "place", "advice"),
    [
        ("pbx:\n\turl: x\n", "2", "a tab: YAML is indented with spaces"),
        ("pbx:\n  url: x\n client_id: b\n", "3", "this line begins in another column than those above it"),
        ("pbx:\n  client_secret: ab: cd\n", "2", "a second `: ` in the line: put the value in quotes"),
        ("pbx:\n  client_secret: @abc\n", "2", "a value that begins with @ needs quotes"),
        ("pbx:\n  client_secret: `abc\n", "2", "a value that begins with ` needs quotes"),
        ('pbx:\n  client_secret: "abc\nmqtt:\n  host: x\n', "2", "a quote that is opened in this line is not closed"),
        ("pbx:\n  client_secret: 'abc\nmqtt:\n  host: 'x'\n", "4", "text behind a value: is a quote above not closed"),
    ],
)
def test_invalid_yaml_is_explained(tmp_path: Path, text: str, place: str, advice: str) -> None:
    (problem,) = mistakes(tmp_path, text)
    assert problem.startswith(f"config.yaml:{place}: is not valid YAML: {advice}")


def test_a_source_that_is_no_section_is_told_how_to_be_switched_off(tmp_path: Path) -> None:
    (problem,) = mistakes(tmp_path, MINIMAL + "sources: {monitor_status: false}\n")
    assert problem.endswith("indented; to switch it on or off write monitor_status: {enabled: false}")


def test_merge_keys_are_named(tmp_path: Path) -> None:
    text = "lights:\n  - &desk {name: one, driver: wled, topic: w/1, users: ['1']}\n  - {<<: *desk, topic: w/2}\n"
    problems = mistakes(tmp_path, MINIMAL + text)
    assert "config.yaml:7 lights.1.<<: merge keys are not supported: write the options out here" in problems


@pytest.mark.parametrize("word", ["True", "TRUE", "true"])
def test_booleans_of_yaml_1_2_are_understood(tmp_path: Path, word: str) -> None:
    text = f"commands: {{profile: {word}}}\nsources: {{call_control: {{enabled: {word}}}}}\n"
    config = loaded(tmp_path, MINIMAL + text)
    assert config.commands.profile
    assert config.sources["call_control"].required


@pytest.mark.parametrize(
    ("content", "secret", "warning"),
    [
        (b"\xef\xbb\xbfabc\r\n", "abc", None),
        (b"abc \n", "abc ", "begins or ends with a blank, which is taken for a part of it"),
        (b"'abc'\n", "'abc'", "begins and ends with a quote, which is taken for a part of it: leave the quotes out"),
    ],
)
def test_what_a_secret_file_may_hold_by_accident(
    tmp_path: Path, content: bytes, secret: str, warning: str | None
) -> None:
    key = tmp_path / "key"
    key.write_bytes(content)
    key.chmod(0o600)
    config = loaded(tmp_path, MINIMAL.replace("client_secret: s3cret-key", "client_secret_file: key"))
    assert config.pbx.client_secret == secret
    found = [each.partition("client_secret: ")[2] for each in config.warnings if "client_secret: " in each]
    assert found == ([] if warning is None else [warning])


def test_quotes_in_a_variable_are_warned_about(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL, THREECX2MQTT_LOG__LEVEL="info", THREECX2MQTT_MQTT__USERNAME='"me"')
    (warning,) = [each for each in config.warnings if "quote" in each]
    assert warning.startswith("THREECX2MQTT_MQTT__USERNAME begins and ends with a quote")
