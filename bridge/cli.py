"""The command line: arguments, exit codes, one function per command."""

import argparse
import asyncio
import dataclasses
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bridge import __version__
from bridge.domain.finding import Finding, gravest, ok, warn
from bridge.errors import BridgeError, ConfigError, Problem
from bridge.settings import LogLevel

if TYPE_CHECKING:
    from bridge.config import Config

EXIT_FINE = 0

_CONFIG_VARIABLE = "THREECX2MQTT_CONFIG"
_CONFIG_PLACES = (Path("config.yaml"), Path("/etc/3cx2mqtt/config.yaml"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong usage leaves with 2, as argparse does."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BridgeError as error:
        print(f"3cx2mqtt: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_FINE
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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


def _check(options: argparse.Namespace) -> int:
    from bridge import config, oneshot  # noqa: PLC0415  # see above

    path = options.config or _default_config()
    settings = config.load(path, os.environ)
    _set_up_log(options, settings)
    _show(ok("configuration", f"{path} is valid"))
    if options.offline:
        for warning in settings.warnings:
            _show(warn("configuration", warning))
        return EXIT_FINE

    async def show_all() -> int:
        codes = []
        async for finding in oneshot.check(settings, force=options.force):
            _show(finding)
            codes.append(finding.exit_code)
        return gravest(codes)

    return asyncio.run(show_all())


def _users(options: argparse.Namespace) -> int:
    from bridge import config, oneshot  # noqa: PLC0415  # see above

    settings = config.load(options.config or _default_config(), os.environ)
    _set_up_log(options, settings)
    found, findings = asyncio.run(oneshot.users(settings, force=options.force))
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    elif found:
        print(*oneshot.as_table(found), sep="\n")
    for finding in findings:
        _show(finding, sys.stderr)
    return EXIT_FINE if found else gravest(finding.exit_code for finding in findings)


def _set_up_log(options: argparse.Namespace, settings: "Config") -> None:
    """Commands tell themselves what went wrong; `-v` shows how it came to that."""
    from bridge import log  # noqa: PLC0415  # see above

    log.setup(dataclasses.replace(settings.log, level=LogLevel.DEBUG), settings.secrets())
    if not options.verbose:
        log.silence()


def _show(finding: Finding, stream: TextIO | None = None) -> None:
    print(f"{finding.verdict:<4}  {finding.about}: {finding.message}", file=stream, flush=True)


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

    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help=f"default: ${_CONFIG_VARIABLE}, ./config.yaml, …"
    )
    configured.add_argument("-v", "--verbose", action="store_true", help="log everything")
    asking = argparse.ArgumentParser(add_help=False, parents=[configured])
    asking.add_argument(
        "--force", action="store_true", help="log in to the PBX even if a bridge is running, which has to log in again"
    )

    run = commands.add_parser("run", parents=[configured], help="the daemon")
    run.set_defaults(command=_run)

    check = commands.add_parser("check", parents=[asking], help="try configuration, broker and PBX; say what to mend")
    check.add_argument("--offline", action="store_true", help="look at the configuration only")
    check.set_defaults(command=_check)

    users = commands.add_parser("users", parents=[asking], help="everybody with state, profile, queue, phone and call")
    users.add_argument("--json", action="store_true", help="the documents, as published")
    users.set_defaults(command=_users)

    simulate = commands.add_parser("simulate", help="a simulated 3CX, for trying lights and dashboards")
    simulate.add_argument(
        "--port", type=_port, default=0, metavar="N", help="TCP port on loopback; default: a free one"
    )
    simulate.add_argument("--users", type=_population, default=8, metavar="N", help="how many people; default: 8")
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


def _population(text: str) -> int:
    return _within(text, 1, 20_000)


def _within(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
    return int(text)
