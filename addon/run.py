"""Starts the bridge as an app of Home Assistant: the options become its configuration.

What the options say, and where the broker is, reaches the bridge by environment variables, which win over the file; a
`config.yaml` in the app's folder adds all that there is no option for. Only Python's standard library is used here.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path

PORT = 8099
"""Of the board, as `ingress_port` names it."""

_NO_BROKER = """\
There is no MQTT broker. Install the app "Mosquitto broker" (Settings > Apps), start it, and then start this app again.
To use another broker, name it under mqtt: in config.yaml in this app's folder (addon_configs/…_threecx2mqtt)."""
_NO_PBX = """\
Fill in the PBX's address, the API client's id and its key on this app's page Configuration. They come from the
3CX admin console, Integrations > API; the documentation of this app has the steps."""
_WAIT = 15.0
"""Seconds for an answer of the Supervisor."""
_EXIT_CONFIG = 78

_VARIABLES = {
    "pbx_url": "PBX__URL",
    "client_id": "PBX__CLIENT_ID",
    "client_secret": "PBX__CLIENT_SECRET",
    "verify_tls": "PBX__VERIFY_TLS",
    "pbx_name": "PBX__NAME",
    "caller_id": "PRIVACY__CALLER_ID",
    "change_profiles": "COMMANDS__PROFILE",
    "change_queues": "COMMANDS__QUEUE",
    "language": "HOMEASSISTANT__LANGUAGE",
    "log_level": "LOG__LEVEL",
}
"""The bridge's options by those of the app."""


def of_options(options: Mapping[str, object]) -> dict[str, str]:
    """The variables that say what the options say; an empty one says nothing."""
    words = {True: "true", False: "false"}
    given = {name: options.get(name) for name in _VARIABLES}
    return {
        f"THREECX2MQTT_{_VARIABLES[name]}": words[value] if isinstance(value, bool) else str(value).strip()
        for name, value in given.items()
        if value not in {None, ""}
    }


def of_broker(broker: Mapping[str, object]) -> dict[str, str]:
    """The variables that name the broker, as the Supervisor describes it."""
    words = {
        "MQTT__HOST": broker.get("host"),
        "MQTT__PORT": broker.get("port"),
        "MQTT__USERNAME": broker.get("username"),
        "MQTT__PASSWORD": broker.get("password"),
        "MQTT__TLS__ENABLED": "true" if broker.get("ssl") else None,
    }
    return {f"THREECX2MQTT_{name}": str(value) for name, value in words.items() if value not in {None, ""}}


def of_board(port: int = PORT) -> dict[str, str]:
    """The variables that serve the board to the sidebar, for which Home Assistant asks for the login."""
    words = {"ENABLED": "true", "HOST": "0.0.0.0", "PORT": str(port), "INGRESS": "true"}  # noqa: S104  # a container's
    return {f"THREECX2MQTT_WEB__{name}": value for name, value in words.items()}


def ask_for_broker(supervisor: str, token: str) -> dict[str, object] | None:
    """The broker that the Supervisor knows; None where there is none."""
    request = urllib.request.Request(  # noqa: S310  # the Supervisor's own address
        f"{supervisor}/services/mqtt", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_WAIT) as answer:  # noqa: S310  # as above
            data = json.load(answer).get("data")
    except (OSError, ValueError) as error:
        code = getattr(error, "code", None)
        if code is None:  # not an answer: the Supervisor itself is not there
            print(f"The Supervisor does not answer: {error}", file=sys.stderr)
        return None
    return data if isinstance(data, dict) and data.get("host") else None


def names_broker(config: Path) -> bool:
    """Whether the user's own file has a section `mqtt:`. The app has no YAML parser, and needs none for that."""
    try:
        return re.search(r"^mqtt:", config.read_text(encoding="utf-8-sig"), re.MULTILINE) is not None
    except (OSError, ValueError):
        return False


def main() -> str:
    """Replace this process by the bridge; what to tell the user where that is not possible."""
    parser = argparse.ArgumentParser(description="3cx2mqtt as an app of Home Assistant")
    parser.add_argument("--options", type=Path, default=Path("/data/options.json"))
    parser.add_argument("--folder", type=Path, default=Path("/config"), help="where config.yaml may be")
    parser.add_argument("--state", type=Path, default=Path("/data"), help="what outlives a restart")
    parser.add_argument("--supervisor", default="http://supervisor")
    parser.add_argument("--port", type=int, default=PORT, help="of the board")
    places = parser.parse_args()
    variables = of_options(json.loads(places.options.read_text(encoding="utf-8")))
    config = places.folder / "config.yaml"
    if not config.exists() and "THREECX2MQTT_PBX__URL" not in variables:
        return _NO_PBX
    if not names_broker(config):
        broker = ask_for_broker(places.supervisor, os.environ.get("SUPERVISOR_TOKEN", ""))
        if broker is None:
            return _NO_BROKER
        variables |= of_broker(broker)
    if not config.exists():
        config = Path(tempfile.mkdtemp(), "config.yaml")
        config.write_text("# All that is needed comes from the app's options.\n", encoding="utf-8")
    environ = {**os.environ, **variables, **of_board(places.port), "STATE_DIRECTORY": str(places.state)}
    sys.stdout.flush()
    program = [sys.executable, "-m", "bridge", "run", "-c", str(config)]
    return os.execvpe(program[0], program, environ)  # noqa: S606  # its signals and its exit code are the app's


if __name__ == "__main__":
    print(main(), file=sys.stderr)
    sys.exit(_EXIT_CONFIG)
