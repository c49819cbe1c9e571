"""The units in systemd/ are valid and agree with the program and docs/systemd.md."""

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from bridge.config import load
from bridge.config.schema import OPTIONS
from bridge.errors import EXIT_CONFIG

ROOT = Path(__file__).parents[1]
SERVICE = ROOT / "systemd" / "3cx2mqtt.service"
TEMPLATE = ROOT / "systemd" / "3cx2mqtt@.service"
PAGE = ROOT / "docs" / "systemd.md"
PROGRAM = "/opt/3cx2mqtt/bin/3cx2mqtt"
UNITS = pytest.mark.parametrize("unit", [SERVICE, TEMPLATE], ids=lambda unit: unit.name)

Options = dict[tuple[str, str], list[str]]


def parsed(unit: Path) -> Options:
    """All values by section and key, in their order."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    section = ""
    for line in unit.read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, f"{line!r} is neither a section nor an option"
            assert key == key.strip(), f"{line!r} has blanks around its key"
            found[section, key].append(value)
    return dict(found)


@UNITS
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    """If systemd is not installed, the options that this program relies on are checked instead, by the next test."""
    if shutil.which("systemd-analyze") is None:
        test_the_unit_has_the_options_that_the_program_relies_on(unit)
        return
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(PROGRAM, "/bin/true"))  # it may not be installed here
    exposed_at_most = ["security", "--offline=true", "--threshold=12"]  # 1.2 of 10
    for command in (["verify"], exposed_at_most):
        done = subprocess.run(["systemd-analyze", *command, str(copy)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


@UNITS
def test_the_unit_has_the_options_that_the_program_relies_on(unit: Path) -> None:
    options = parsed(unit)
    assert {section for section, _ in options} == {"Unit", "Service", "Install"}
    for key, value in {
        "Type": "notify",
        "ExecReload": '/bin/sh -c "kill -HUP $MAINPID"',
        "Restart": "on-failure",
        "RestartPreventExitStatus": str(EXIT_CONFIG),
        "WatchdogSec": "60s",
        "LimitCORE": "0",
        "DynamicUser": "yes",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    }.items():
        assert options["Service", key] == [value], key
    assert options["Service", "ExecStart"][0].startswith(f"{PROGRAM} run -c /etc/3cx2mqtt/")
    assert options["Install", "WantedBy"] == ["multi-user.target"]


@UNITS
def test_secrets_come_as_credentials_where_the_configuration_expects_them(unit: Path, tmp_path: Path) -> None:
    """As the page says: the file names paths that root can read, and the unit's variables override them."""
    options = parsed(unit)
    credentials = dict(value.split(":") for value in options["Service", "LoadCredential"])
    for name in credentials:
        (tmp_path / name).write_text(f"secret of {name}\n")
        (tmp_path / name).chmod(0o600)
    variables = dict(value.split("=") for value in options["Service", "Environment"])
    environ = {name: value.replace("%d", str(tmp_path)) for name, value in variables.items()}
    (block,) = (block for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "pbx:" in block)
    (tmp_path / "config.yaml").write_text(block)
    config = load(tmp_path / "config.yaml", environ)
    assert (config.pbx.client_secret, config.mqtt.password) == ("secret of threecx", "secret of mqtt")
    assert config.warnings == ()


def test_the_template_differs_from_the_service_in_names_only() -> None:
    service, template = parsed(SERVICE), parsed(TEMPLATE)
    assert service.keys() == template.keys()
    different = {key for _, key in service if service[_, key] != template[_, key]}
    assert different == {"Description", "ExecStart", "LoadCredential", "StateDirectory", "RuntimeDirectory"}
    for key in different:
        assert all("%i" in value for value in template["Unit" if key == "Description" else "Service", key])


def test_the_page_names_the_units_credentials_and_variables() -> None:
    text = PAGE.read_text()
    options = parsed(SERVICE)
    for credential in options["Service", "LoadCredential"]:
        assert credential.partition(":")[2] in text
    assert set(re.findall(r"systemd/(3cx2mqtt@?\.service)", text)) == {SERVICE.name, TEMPLATE.name}
    for variable in re.findall(r"THREECX2MQTT_(\w+)", text + SERVICE.read_text()):
        assert tuple(variable.lower().removesuffix("_file").split("__")) in OPTIONS
