"""config.example.yaml and config.schema.json agree with the options of the program."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from bridge.config import load
from bridge.config.schema import OPTIONS, json_schema

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.yaml"


def keys_of(values: dict[str, Any], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    keys = set()
    for name, value in values.items():
        keys.add((*above, name))
        if isinstance(value, dict):
            keys |= keys_of(value, (*above, name))
    return keys


def test_the_example_loads_and_holds_every_key_with_its_default(tmp_path: Path) -> None:
    config = load(EXAMPLE, {})
    assert keys_of(yaml.safe_load(EXAMPLE.read_text())) == set(OPTIONS)
    minimal = tmp_path / "config.yaml"
    minimal.write_text("pbx: {url: 'https://pbx.example.com:5001', client_id: busylights, client_secret: change-me}\n")
    assert config.options == load(minimal, {}).options


def test_the_schema_for_editors_is_the_one_that_is_checked_in() -> None:
    assert json.loads((ROOT / "config.schema.json").read_text()) == json_schema(), "run scripts/config-schema"


def test_the_schema_for_editors_accepts_the_example_and_refuses_mistakes() -> None:
    Draft202012Validator.check_schema(json_schema())
    validator = Draft202012Validator(json_schema())
    example = yaml.safe_load(EXAMPLE.read_text())
    assert [error.message for error in validator.iter_errors(example)] == []
    for section, key, value in (
        ("mqtt", "port", 70000),
        ("mqtt", "prot", 1883),
        ("users", "include", "101"),
        ("log", "level", "loud"),
        ("pbx", "url", "ftp://x"),
    ):
        wrong = example | {section: example[section] | {key: value}}
        assert not validator.is_valid(wrong), (section, key)
    without = {name: value for name, value in example["pbx"].items() if name != "client_secret"}
    assert not validator.is_valid(example | {"pbx": without})
    assert validator.is_valid(example | {"pbx": without | {"client_secret_file": "key"}})


def test_the_schema_for_editors_has_the_defaults_of_lights_as_the_program_does(tmp_path: Path) -> None:
    properties = json_schema()["properties"]["lights"]["items"]["properties"]
    defaults = {key: schema["default"] for key, schema in properties.items() if "default" in schema}
    assert {"brightness": 100, "after_call": "0s", "on_exit": "unknown"}.items() <= defaults.items()
    light = {"name": "desk", "driver": "wled", "topic": "wled/1a2b3c", "users": ["101"]}
    configuration = {"pbx": {"url": "https://pbx.example.com", "client_id": "busylights", "client_secret": "change-me"}}
    loaded = []
    for name, written in (("short", light), ("long", defaults | light)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(configuration | {"lights": [written]}))
        (settings,) = load(path, {}).lights
        loaded.append(replace(settings, driver=None, blinker=None))  # type: ignore[arg-type]  # drivers have no equality
    assert loaded[0] == loaded[1]
