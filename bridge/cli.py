"""The command line: arguments, exit codes, one function per command."""

import argparse
import asyncio
import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from bridge import __version__
from bridge.errors import BridgeError, ConfigError, Problem
from bridge.settings import LogLevel

EXIT_FINE = 0
EXIT_FAILED = 1
EXIT_CONFIG = 78

_CONFIG_VARIABLE = "THREECX2MQTT_CONFIG"
_CONFIG_PLACES = (Path("config.yaml"), Path("/etc/3cx2mqtt/config.yaml"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong usage leaves with 2, as argparse does."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except BridgeError as error:
        print(f"3cx2mqtt: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_FINE


# Commands import what they need themselves, so that `--help` and `--version` answer at once.


def _run(options: argparse.Namespace) -> int:
    from bridge import app, config, log  # noqa: PLC0415  # see above

    path = options.config or _default_config()
    settings = config.load(path, os.environ)
    if options.verbose:
        settings = dataclasses.replace(settings, log=dataclasses.replace(settings.log, level=LogLevel.DEBUG))
    log.setup(settings.log, settings.secrets())
    asyncio.run(app.run(path, settings))
    return EXIT_FINE


def _simulate(options: argparse.Namespace) -> int:
    from bridge import demo  # noqa: PLC0415  # see above

    asyncio.run(demo.simulate(port=options.port, users=options.users, version=options.pbx_version, rows=options.rows))
    return EXIT_FINE


def _demo(_options: argparse.Namespace) -> int:
    from bridge import demo  # noqa: PLC0415  # see above

    asyncio.run(demo.demo())
    return EXIT_FINE


def _default_config() -> Path:
    named = os.environ.get(_CONFIG_VARIABLE)
    if named:
        return Path(named)
    for path in _CONFIG_PLACES:
        if path.exists():
            return path
    looked = ", ".join(map(str, _CONFIG_PLACES))
    raise ConfigError(
        [Problem("3cx2mqtt", "", f"no configuration: none at {looked}; name it with -c or ${_CONFIG_VARIABLE}")]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="3cx2mqtt",
        description="Publishes the state of every 3CX user to retained MQTT topics, with Home Assistant discovery.",
    )
    parser.add_argument("--version", action="version", version=f"3cx2mqtt {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="the daemon")
    run.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help=f"default: ${_CONFIG_VARIABLE}, ./config.yaml, …"
    )
    run.add_argument("-v", "--verbose", action="store_true", help="log everything")
    run.set_defaults(command=_run)

    simulate = commands.add_parser("simulate", help="a simulated 3CX, for trying lights and dashboards")
    simulate.add_argument(
        "--port", type=_port, default=0, metavar="N", help="TCP port on loopback; default: a free one"
    )
    simulate.add_argument("--users", type=_users, default=8, metavar="N", help="how many people; default: 8")
    simulate.add_argument(
        "--pbx-version", type=_version, default="20.0.8", metavar="V", help="3CX build; default: 20.0.8"
    )
    simulate.add_argument(
        "--rows",
        choices=("official", "extended"),
        default="extended",
        help="rows of GetMonitorStatus(): as documented, or with a state word; default: extended",
    )
    simulate.set_defaults(command=_simulate)

    demo = commands.add_parser("demo", help="simulated 3CX, MQTT broker and bridge in one, to look at")
    demo.set_defaults(command=_demo)
    return parser


def _version(text: str) -> str:
    if not re.fullmatch(r"20(\.\d{1,6}){2,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no build of 3CX V20, such as 20.0.8 or 20.0.10.51")
    return text


def _port(text: str) -> int:
    return _within(text, 0, 65535)


def _users(text: str) -> int:
    return _within(text, 1, 20_000)


def _within(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
    return int(text)
