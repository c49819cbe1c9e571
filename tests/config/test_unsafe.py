"""Warnings about configurations that are valid but unsafe."""

from pathlib import Path

import pytest

from bridge.config import load
from tests.config.loading import MINIMAL, loaded


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (MINIMAL.replace("https://pbx.example.com", "http://pbx.example.com"), "the API key crosses the network"),
        (MINIMAL + "  verify_tls: false\n", "so another machine can pose as the PBX"),
        (MINIMAL + "mqtt: {tls: {enabled: true, insecure: true}}\n", "so another machine can pose as the broker"),
        (
            MINIMAL + "web: {enabled: true, host: 0.0.0.0, board: false}\n",
            "config.yaml:5 web.host: every machine that reaches port 9321 of 0.0.0.0",
        ),
        (
            MINIMAL + "web: {enabled: true, host: bridge.example.com, port: 80, board: false}\n",
            "port 80 of bridge.example.com",
        ),
    ],
)
def test_unsafe_options_cause_a_warning(tmp_path: Path, text: str, warning: str) -> None:
    (found,) = loaded(tmp_path, text).warnings
    assert warning in found


def test_http_to_this_machine_causes_no_warning(tmp_path: Path) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert loaded(tmp_path, MINIMAL.replace("https://pbx.example.com", f"http://{host}")).warnings == ()


def test_a_web_server_for_this_machine_or_none_causes_no_warning(tmp_path: Path) -> None:
    for options in ("enabled: true", "enabled: true, host: '::1'", "enabled: true, host: localhost", "host: 0.0.0.0"):
        assert loaded(tmp_path, MINIMAL + f"web: {{{options}}}\n").warnings == ()


def test_a_file_with_a_secret_that_every_account_can_read_causes_a_warning(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("threecx: s3cret-key\n")
    (tmp_path / "key").write_text("hush-hush\n")
    text = MINIMAL.replace("s3cret-key", "!secret threecx") + "mqtt: {username: u, password_file: key}\n"
    for mode, named in ((0o644, ["key", "secrets.yaml"]), (0o640, [])):
        for name in ("secrets.yaml", "key"):
            (tmp_path / name).chmod(mode)
        assert [warning.split(" contains")[0] for warning in loaded(tmp_path, text).warnings] == [
            f"{tmp_path}/{name}" for name in named
        ]
    config = tmp_path / "config.yaml"
    config.write_text(MINIMAL)
    config.chmod(0o604)
    (warning,) = load(config, {}).warnings
    assert warning == (f"{config} contains a secret and every account on this machine can read it: chmod o-r {config}")
