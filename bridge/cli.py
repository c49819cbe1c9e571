"""The command line: arguments, exit codes, one function per command."""

import argparse
import asyncio
import dataclasses
import faulthandler
import io
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bridge import __version__
from bridge.domain import light
from bridge.domain.dn import why_unpublishable
from bridge.domain.finding import Finding, most_severe, ok, warn
from bridge.domain.model import State
from bridge.errors import BridgeError, ConfigError, Problem
from bridge.log import LogFormat, LogLevel, LogSettings, harmless
from bridge.topics import topic_problem

if TYPE_CHECKING:
    from bridge.config import Config

EXIT_FINE = 0
EXIT_INTERRUPTED = 130

_CONFIG_VARIABLE = "THREECX2MQTT_CONFIG"
_USB_PASSWORD_VARIABLE = "THREECX2MQTT_USB_PASSWORD"  # noqa: S105  # its name, not the password
_CONFIG_PLACES = (Path("config.yaml"), Path("/etc/3cx2mqtt/config.yaml"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong usage leaves with 2, as argparse does."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the terminal may know fewer letters than names have
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(options.command(options))
    except ConfigError as error:
        print(*(harmless(str(problem)) for problem in error.problems), sep="\n", file=sys.stderr)
        return error.exit_code
    except BridgeError as error:
        print(f"3cx2mqtt: {harmless(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return int(options.interrupted)
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FINE


# Commands import what they need themselves, so that `--help` and `--version` answer at once.


def _run(options: argparse.Namespace) -> int:
    from bridge import config, log  # noqa: PLC0415  # see above
    from bridge.runtime import daemon  # noqa: PLC0415  # see above
    from bridge.runtime.supervision import Supervision  # noqa: PLC0415  # see above

    path = options.config or _default_config()
    settings = config.load(path, os.environ)
    if options.verbose:
        settings = dataclasses.replace(settings, log=dataclasses.replace(settings.log, level=LogLevel.DEBUG))
    log.setup(settings.log, settings.secrets())
    faulthandler.enable()  # a watchdog ends what hangs by SIGABRT: this tells where that was
    with Supervision(os.environ) as supervision:
        asyncio.run(daemon.run(path, settings, supervision))
    return EXIT_FINE


def _health(options: argparse.Namespace) -> int:
    from bridge import config  # noqa: PLC0415  # see above
    from bridge.runtime import heartbeat  # noqa: PLC0415  # see above

    name = config.pbx_name(options.config or _default_config(), os.environ)
    age = heartbeat.Heartbeat(name, os.environ).age()
    print(f"running: it beat {age:.0f} s ago")
    return EXIT_FINE


def _check(options: argparse.Namespace) -> int:
    from bridge.commands import running_bridge  # noqa: PLC0415  # see above

    settings = _configuration(options)
    _show(ok("configuration", f"{settings.tree.path} is valid"))
    if options.offline:
        for warning in settings.warnings:
            _show(warn("configuration", warning))
        return EXIT_FINE

    async def show_all() -> int:
        codes = []
        async for finding in running_bridge.check(settings, force=options.force):
            _show(finding)
            codes.append(finding.exit_code)
        return most_severe(codes)

    return asyncio.run(show_all())


def _users(options: argparse.Namespace) -> int:
    from bridge.commands import running_bridge  # noqa: PLC0415  # see above

    settings = _configuration(options)
    found, findings = asyncio.run(running_bridge.users(settings, force=options.force))
    code = most_severe(finding.exit_code for finding in findings)
    if found or not code:
        print(_harmless_json(found) if options.json else "\n".join(running_bridge.as_table(found)))
    for finding in findings:
        _show(finding, sys.stderr)
    return code


def _cleanup(options: argparse.Namespace) -> int:
    from bridge.commands import cleanup  # noqa: PLC0415  # see above
    from bridge.topics import Topics  # noqa: PLC0415  # see above

    settings = _configuration(options)
    own = settings.topics
    topics = Topics(options.base_topic or own.base, options.pbx_name or own.pbx_name, own.discovery_prefix)

    def confirm(found: Sequence[str]) -> bool:
        print(*map(harmless, found), sep="\n")
        if options.yes:
            return True
        if not sys.stdin.isatty():
            raise BridgeError(f"nothing was cleared: --yes clears these {len(found)} topics")
        try:
            answer = input(f"Clear these {len(found)} topics of {topics.pbx_name!r}? [y/N] ")
        except EOFError:
            return False
        return answer.strip().lower() in {"y", "yes"}

    found = asyncio.run(cleanup.owned(settings, topics))
    if found and confirm([message.topic for message in found]):
        asyncio.run(cleanup.clear(settings, topics, found))
        print(f"{len(found)} topics cleared")
    else:
        print(f"nothing of {topics.pbx_name!r} was cleared")
    return EXIT_FINE


def _diagnose(options: argparse.Namespace) -> int:
    from bridge.commands import diagnose  # noqa: PLC0415  # see above

    settings = _configuration(options)
    now = int(time.time())
    content = asyncio.run(diagnose.archive(settings, now))
    path = options.output or Path(time.strftime("3cx2mqtt-diagnose-%Y%m%d-%H%M%S.tar.gz", time.gmtime(now)))
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise BridgeError(f"cannot write {path}: {error.strerror}") from error
    print(f"{path}: look through it before you attach it to a bug report")
    return EXIT_FINE


def _light_test(options: argparse.Namespace) -> int:
    from bridge.commands import running_bridge  # noqa: PLC0415  # see above

    settings = _configuration(options)
    asyncio.run(running_bridge.light_test(settings, options.name, lambda line: print(line, flush=True)))
    return EXIT_FINE


def _configuration(options: argparse.Namespace) -> "Config":
    """Of a command that tells itself what went wrong; `-v` shows how it came to that."""
    from bridge import config, log  # noqa: PLC0415  # see above

    settings = config.load(options.config or _default_config(), os.environ)
    log.setup(dataclasses.replace(settings.log, level=LogLevel.DEBUG), settings.secrets())
    if not options.verbose:
        log.silence()
    return settings


def _show(finding: Finding, stream: TextIO | None = None) -> None:
    print(harmless(str(finding)), file=stream, flush=True)


def _harmless_json(value: object) -> str:
    """Letters as they are, but whatever a terminal would obey is escaped as JSON has it."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def _simulate(options: argparse.Namespace) -> int:
    from bridge.commands import demo  # noqa: PLC0415  # see above

    asyncio.run(demo.simulate(port=options.port, users=options.users, version=options.pbx_version, rows=options.rows))
    return EXIT_FINE


def _demo(_options: argparse.Namespace) -> int:
    from bridge.commands import demo  # noqa: PLC0415  # see above

    asyncio.run(demo.demo())
    return EXIT_FINE


def _usb_light(options: argparse.Namespace) -> int:
    from bridge import log  # noqa: PLC0415  # see above
    from bridge.usb_light import agent  # noqa: PLC0415  # see above
    from bridge.usb_light.lights import HINT, Library, name_of  # noqa: PLC0415  # see above

    if options.udev_rules:
        print(*Library().udev_rules(), sep="\n")
        return EXIT_FINE
    if options.list:
        names = [name_of(found) for found in Library().plugged_in()]
        print(*(names or [f"no USB light is plugged in. If there is one: {HINT}"]), sep="\n")
        return EXIT_FINE if names else 1
    password = options.password_file or os.environ.get(_USB_PASSWORD_VARIABLE)
    if options.host is None or options.user is None:
        options.usage_error("--host and --user are required")
    if password and options.username is None:
        options.usage_error("a password needs --username beside it")
    tls = options.tls or options.ca is not None
    login = (options.username, password)
    log.setup(LogSettings(LogLevel.DEBUG if options.verbose else LogLevel.INFO, LogFormat.TEXT), [password or ""])
    agent.main(
        agent.Settings(
            mqtt=agent.mqtt_settings(
                options.host, options.port, login, options.ca, options.user, options.base_topic, tls=tls
            ),
            dn=options.user,
            colors=dict(options.color),
            brightness=options.brightness,
            blink_busy=options.blink_busy,
            serials=frozenset(options.serial),
        )
    )
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
    parser.set_defaults(interrupted=EXIT_INTERRUPTED)
    parser.add_argument("--version", action="version", version=f"3cx2mqtt {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument(
        *("-c", "--config"),
        type=Path,
        metavar="FILE",
        help=f"default: ${_CONFIG_VARIABLE}, else the first of {', '.join(map(str, _CONFIG_PLACES))}",
    )
    configured.add_argument("-v", "--verbose", action="store_true", help="log everything")
    asking = argparse.ArgumentParser(add_help=False, parents=[configured])
    asking.add_argument(
        "--force", action="store_true", help="log in to the PBX even if a bridge is running, which has to log in again"
    )

    run = commands.add_parser("run", parents=[configured], help="the daemon")
    run.set_defaults(command=_run)

    health = commands.add_parser(
        "health", parents=[configured], help="whether the daemon on this machine works; for containers"
    )
    health.set_defaults(command=_health)

    check = commands.add_parser("check", parents=[asking], help="try configuration, broker and PBX; say what to mend")
    check.add_argument("--offline", action="store_true", help="look at the configuration only")
    check.set_defaults(command=_check)

    users = commands.add_parser("users", parents=[asking], help="everybody with state, profile, queue, phone and call")
    users.add_argument("--json", action="store_true", help="the documents, as published")
    users.set_defaults(command=_users)

    cleanup = commands.add_parser(
        "cleanup", parents=[configured], help="clear every retained topic of the bridge, discovery included"
    )
    cleanup.add_argument(
        "--pbx-name", type=_name, metavar="OLD", help="an earlier pbx.name; default: the configured one"
    )
    cleanup.add_argument("--base-topic", type=_topic, metavar="OLD", help="an earlier mqtt.base_topic")
    cleanup.add_argument("--yes", action="store_true", help="do not ask")
    cleanup.set_defaults(command=_cleanup)

    diagnose = commands.add_parser("diagnose", parents=[configured], help="write one redacted archive for a bug report")
    diagnose.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: 3cx2mqtt-diagnose-<time>.tar.gz")
    diagnose.set_defaults(command=_diagnose)

    light_test = commands.add_parser("light-test", parents=[configured], help="walk one light through its palette")
    light_test.add_argument("name", metavar="NAME", help="as in lights:")
    light_test.set_defaults(command=_light_test)

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
    simulate.set_defaults(command=_simulate, interrupted=EXIT_FINE)

    demo = commands.add_parser("demo", help="simulated 3CX, MQTT broker and bridge in one, to look at")
    demo.set_defaults(command=_demo, interrupted=EXIT_FINE)

    # Nothing is abbreviated: `--password X` would take X for a file's name, and show it as one that is not there.
    usb = commands.add_parser("usb-light", allow_abbrev=False, help="let USB busy lights at this PC follow one user")
    _add_usb_light(usb)
    return parser


def _add_usb_light(usb: argparse.ArgumentParser) -> None:
    usb.add_argument("--host", metavar="BROKER", help="name or address of the MQTT broker")
    usb.add_argument("--port", type=_broker_port, metavar="N", help="default: 1883, with TLS 8883")
    usb.add_argument("--user", type=_dn, metavar="NUMBER", help="whom to follow, such as 101")
    usb.add_argument("--base-topic", type=_topic, default="3cx", metavar="TOPIC", help="the bridge's; default: 3cx")
    usb.add_argument("--username", metavar="NAME", help="for brokers that ask for a login")
    usb.add_argument(
        "--password-file", type=_secret, metavar="FILE", help=f"goes with it; default: ${_USB_PASSWORD_VARIABLE}"
    )
    usb.add_argument("--tls", action="store_true", help="speak TLS with the broker")
    usb.add_argument("--ca", type=Path, metavar="FILE", help="of the broker's CA, for TLS; default: the system's CAs")
    usb.add_argument(
        "--color",
        type=_state_color,
        action="append",
        default=[],
        metavar="STATE=COLOR",
        help="such as on_call=#ff00ff, away=orange, available=off; may be repeated",
    )
    usb.add_argument("--brightness", type=_percent, default=100, metavar="PERCENT", help="of all colours; default: 100")
    usb.add_argument("--blink-busy", action="store_true", help="blink in every busy state, not only while ringing")
    usb.add_argument(
        "--serial", action="append", default=[], metavar="NUMBER", help="use this light only; may be repeated"
    )
    usb.add_argument("-v", "--verbose", action="store_true", help="log everything")
    look = usb.add_mutually_exclusive_group()
    look.add_argument("--list", action="store_true", help="say which lights are plugged in, and end")
    look.add_argument("--udev-rules", action="store_true", help="print the udev rules that Linux needs, and end")
    usb.set_defaults(command=_usb_light, usage_error=usb.error)


def _dn(text: str) -> str:
    if problem := why_unpublishable(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no user's number: {problem}")
    return text


def _topic(text: str) -> str:
    if problem := topic_problem(text):
        raise argparse.ArgumentTypeError(f"{text!r} {problem}")
    return text


def _name(text: str) -> str:
    from bridge.sources.threecx.settings import PBX_NAME  # noqa: PLC0415  # see above

    if not re.fullmatch(PBX_NAME, text):
        raise argparse.ArgumentTypeError(f"{text!r} is no pbx.name: letters, digits and - only")
    return text


def _secret(text: str) -> str:
    from bridge.config.tree import read_secret_file  # noqa: PLC0415  # see above

    try:
        return read_secret_file(Path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _state_color(text: str) -> tuple[State, light.Color | None]:
    state, equals, name = text.partition("=")
    if not equals or state not in set(State):
        raise argparse.ArgumentTypeError(f"{text!r}: write STATE=COLOR with one of {', '.join(State)}")
    try:
        return State(state), None if name == "off" else light.color(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}, or 'off'") from None


def _version(text: str) -> str:
    if not re.fullmatch(r"20(\.\d{1,6}){2,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no build of 3CX V20, such as 20.0.8 or 20.0.10.51")
    return text


def _port(text: str) -> int:
    return _within(text, 0, 65535)


def _broker_port(text: str) -> int:
    return _within(text, 1, 65535)


def _percent(text: str) -> int:
    return _within(text, 1, 100)


def _population(text: str) -> int:
    return _within(text, 1, 20_000)


def _within(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
    return int(text)
