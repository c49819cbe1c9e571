"""`web:`: where the board is served, who may look at it, and that its secrets stay secret."""

import json
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from tests.config.loading import MINIMAL, loaded

SCREEN = "tokens: [{name: lobby, token: a-long-enough-token, groups: [sales]}]"
GROUPS = "groups: {sales: ['1*']}\n"


@pytest.mark.parametrize(
    ("options", "served", "login"),
    [
        ("enabled: true", True, False),
        ("enabled: false", False, False),
        ("enabled: true, board: false", False, False),
        ("enabled: true, host: '::1', password: x", True, True),
        ("enabled: true, host: 0.0.0.0", False, True),
        ("enabled: true, host: 0.0.0.0, password: x", True, True),
        ("enabled: true, host: 0.0.0.0, open: true", True, False),
        ("enabled: true, host: 0.0.0.0, open: true, password: x", True, False),
        ("enabled: true, host: 0.0.0.0, ingress: true", True, True),
        (f"enabled: true, host: 0.0.0.0, {SCREEN}", True, True),
        (f"enabled: true, {SCREEN}", True, True),
    ],
)
def test_the_network_sees_the_board_only_with_a_login(tmp_path: Path, options: str, served: bool, login: bool) -> None:
    web = loaded(tmp_path, f"{MINIMAL}{GROUPS}web: {{{options}}}\n").web
    assert (web.serves_board, web.needs_login) == (served, login)


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ("host: 0.0.0.0", "config.yaml:6 web.host: the board stays off, as every machine that reaches port 9321"),
        ("open: true", "config.yaml:6 web.open: whoever reaches port 9321 of 127.0.0.1 sees who is on the phone"),
        ("tokens: [{name: a, token: short}]", "web.tokens.0.token: is short enough to be guessed"),
        ("password: ' x'", "web.password: begins or ends with a blank"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(tmp_path: Path, options: str, warning: str) -> None:
    warnings = loaded(tmp_path, f"{MINIMAL}{GROUPS}web: {{enabled: true, {options}}}\n").warnings
    assert any(warning in each for each in warnings), warnings


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("tokens: [{name: lobby}]", "web.tokens.0.token"),
        ("tokens: [{name: a b, token: x}]", "'a b' may have letters, digits"),
        ("tokens: [{name: a, token: x y}]", "may have no blanks"),
        ("tokens: [{name: a, token: x}, {name: a, token: y}]", "another of web.tokens has the same name"),
        ("tokens: [{name: a, token: x}, {name: b, token: x}]", "another of web.tokens has the same token"),
        ("tokens: [{name: a, token: x, groups: [nobody]}]", "there is no group 'nobody' under groups:"),
        ("allowed_hosts: ['https://board.example.com']", "leave out https:// and the port"),
        ("trusted_proxies: [proxy.example.com]", "is no IP address or network"),
        ("trusted_proxies: [10.0.0.1/8]", "is no IP address or network"),
        ("frame_ancestors: [ha.example.com]", "write scheme and name alone"),
        ("frame_ancestors: ['https://ha.example.com/lovelace']", "write scheme and name alone"),
        ('frame_ancestors: ["https://x; script-src *"]', "write scheme and name alone"),
        ("language: tlh", "is not one of auto, en, de"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, options: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"{MINIMAL}{GROUPS}web: {{enabled: true, {options}}}\n")
    (found,) = caught.value.problems
    assert problem in str(found)
    assert "config.yaml:6" in found.place


def test_secrets_of_the_board_are_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "lobby").write_text("token-from-a-file\n")
    text = (
        f"{MINIMAL}{GROUPS}web:\n  password: the-password\n  tokens:\n"
        "    - {name: lobby, token_file: lobby}\n    - {name: hall, token: token-in-the-text}\n"
    )
    config = loaded(tmp_path, text)
    assert [each.token for each in config.web.tokens] == ["token-from-a-file", "token-in-the-text"]
    secrets = {"the-password", "token-from-a-file", "token-in-the-text"}
    assert secrets <= set(config.secrets())
    assert not any(secret in json.dumps(config.public()) for secret in secrets)
    assert config.public()["web"]["tokens"][1] == {
        "name": "hall",
        "token": "***",
        "pbxs": [],
        "groups": [],
        "departments": [],
    }


def test_a_missing_file_with_a_token_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"web\.tokens\.0\.token_file: cannot read .*gone"):
        loaded(tmp_path, f"{MINIMAL}web: {{tokens: [{{name: lobby, token_file: gone}}]}}\n")
