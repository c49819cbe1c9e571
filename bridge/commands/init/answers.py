"""What `init` has to know, and the files that it makes of it."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.config import Config, load

_PUBLIC, _PRIVATE = 0o644, 0o600


@dataclass(slots=True)
class LightAnswer:
    """The first light."""

    name: str
    driver: str
    topic: str
    user: str


@dataclass(slots=True)
class Answers:
    """Filled one after the other; what is not answered yet has a value that passes as a configuration."""

    host: str = "localhost"
    port: int | None = None
    """None: the usual one."""
    tls: bool = False
    username: str | None = None
    password: str | None = None
    url: str = "https://pbx.invalid"
    verify_tls: str = "true"
    """`true`, `false` or the path of a CA file."""
    client_id: str = "not-asked-yet"
    client_secret: str = "not-asked-yet"  # noqa: S105  # a placeholder
    name: str = "3cx"
    groups: Mapping[str, str] = field(default_factory=dict)
    """Name → department."""
    light: LightAnswer | None = None
    board: bool = False


def draft(answers: Answers) -> Config:
    """The configuration that these answers make; ConfigError where one of them is not valid."""
    with tempfile.TemporaryDirectory(prefix="3cx2mqtt-init-") as folder:  # for this account alone
        path = Path(folder, "config.yaml")
        write(path, answers)
        return load(path, {})


def write(path: Path, answers: Answers) -> tuple[Path, Path]:
    """Write the configuration and, beside it, `secrets.yaml`; each at once and whole. Gives both paths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    secrets = path.with_name("secrets.yaml")
    _replace(secrets, secrets_text(answers), _PRIVATE)
    _replace(path, config_text(answers), _PUBLIC)
    return path, secrets


def _replace(path: Path, text: str, mode: int) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(mode)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def secrets_text(answers: Answers) -> str:
    """`secrets.yaml`."""
    lines = [
        "# The secrets of config.yaml, for the bridge's account alone.",
        f"threecx: {_quoted(answers.client_secret)}",
        *([] if answers.password is None else [f"mqtt: {_quoted(answers.password)}"]),
    ]
    return "\n".join(lines) + "\n"


def config_text(answers: Answers) -> str:
    """`config.yaml`."""
    return "\n".join(
        [
            "# Written by 3cx2mqtt init. config.example.yaml lists every option with its default.",
            "# After a change: 3cx2mqtt check -c this-file, then restart the bridge or send it SIGHUP.",
            "",
            "pbx:",
            *([] if answers.name == "3cx" else [f"  name: {answers.name}"]),
            f"  url: {answers.url}",
            f"  client_id: {_quoted(answers.client_id)}        # Integrations > API in the 3CX admin console",
            "  client_secret: !secret threecx",
            *_verification(answers.verify_tls),
            "",
            "mqtt:",
            *_broker(answers),
            *_rest(answers),
            "",
        ]
    )


def _verification(verify_tls: str) -> list[str]:
    if verify_tls == "true":
        return []
    if verify_tls == "false":
        return ["  verify_tls: false            # another machine can pose as the PBX: better the path of its CA file"]
    return [f"  verify_tls: {_quoted(verify_tls)}"]


def _broker(answers: Answers) -> list[str]:
    lines = [f"  host: {answers.host}"]
    if answers.port is not None:
        lines.append(f"  port: {answers.port}")
    if answers.tls:
        lines.append("  tls: {enabled: true}")
    if answers.username is not None:
        lines.append(f"  username: {_quoted(answers.username)}")
    if answers.password is not None:
        lines.append("  password: !secret mqtt")
    return lines


def _rest(answers: Answers) -> list[str]:
    lines = []
    if answers.groups:
        lines += ["", "groups:                          # members follow the PBX"]
        lines += [f"  {_quoted(name)}: {{departments: [{_quoted(of)}]}}" for name, of in answers.groups.items()]
    if (light := answers.light) is not None:
        lines += ["", "lights:                          # docs/lights.md has colours, hours and more"]
        lines += [f"  - name: {light.name}", f"    driver: {light.driver}", f"    topic: {_quoted(light.topic)}"]
        lines += [f"    users: [{_quoted(light.user)}]"]
    if answers.board:
        lines += ["", "web:                             # the board: http://127.0.0.1:9321/ (docs/board.md)"]
        lines += ["  enabled: true"]
    return lines


def slug(text: str) -> str:
    """The text as a name: letters, digits, - and _ only."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "light"


def _quoted(text: str) -> str:
    """In quotes, as YAML and JSON agree on; nothing in it can be taken for YAML."""
    return json.dumps(text, ensure_ascii=False)
