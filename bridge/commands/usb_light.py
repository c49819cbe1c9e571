"""The command `usb-light`: USB busy lights at this PC that follow one user. The agent itself is `bridge.usb_light`."""

import argparse
import os
from pathlib import Path

from bridge import log
from bridge.commands import arguments
from bridge.log import LogFormat, LogLevel, LogSettings
from bridge.usb_light import agent
from bridge.usb_light.lights import HINT, Library, name_of

_PASSWORD_VARIABLE = "THREECX2MQTT_USB_PASSWORD"  # noqa: S105  # its name, not the password


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    # Otherwise `--password X` would be taken for --password-file, and an error message would show X.
    parser.allow_abbrev = False
    parser.set_defaults(usage_error=parser.error)
    add = parser.add_argument
    add("--host", metavar="BROKER", help="name or address of the MQTT broker")
    add("--port", type=arguments.port, metavar="N", help="default: 1883, with TLS 8883")
    add("--user", type=arguments.dn, metavar="NUMBER", help="DN of the user to follow, such as 101")
    add("--base-topic", type=arguments.topic, default="3cx", metavar="TOPIC", help="the bridge's; default: 3cx")
    add("--username", metavar="NAME", help="for brokers that ask for a login")
    add(
        "--password-file",
        type=arguments.secret_file,
        metavar="FILE",
        help=f"goes with it; default: ${_PASSWORD_VARIABLE}",
    )
    add("--tls", action="store_true", help="connect to the broker by TLS")
    add("--ca", type=Path, metavar="FILE", help="of the broker's CA, for TLS; default: the system's CAs")
    add(
        "--color",
        type=arguments.state_color,
        action="append",
        default=[],
        metavar="STATE=COLOR",
        help="such as on_call=#ff00ff, away=orange, available=off; may be repeated",
    )
    add("--brightness", type=arguments.percent, default=100, metavar="PERCENT", help="of all colours; default: 100")
    add("--blink-busy", action="store_true", help="blink in every busy state, not only while ringing")
    add("--serial", action="append", default=[], metavar="NUMBER", help="use this light only; may be repeated")
    arguments.add_verbose(parser)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="list the lights that are plugged in, and exit")
    instead.add_argument("--udev-rules", action="store_true", help="print the udev rules that Linux needs, and exit")


def main(options: argparse.Namespace) -> int:
    """Run the agent until a signal, or do what an option asks for instead."""
    if options.udev_rules:
        print(*Library().udev_rules(), sep="\n")
        return 0
    if options.list:
        names = [name_of(found) for found in Library().plugged_in()]
        print(*(names or [f"no USB light is plugged in. If there is one: {HINT}"]), sep="\n")
        return 0 if names else 1
    password = options.password_file or os.environ.get(_PASSWORD_VARIABLE)
    if options.host is None or options.user is None:
        options.usage_error("--host and --user are required")
    if password and options.username is None:
        options.usage_error("a password needs --username beside it")
    log.setup(LogSettings(LogLevel.DEBUG if options.verbose else LogLevel.INFO, LogFormat.TEXT), [password or ""])
    agent.main(_settings(options, password))
    return 0


def _settings(options: argparse.Namespace, password: str | None) -> agent.Settings:
    mqtt = agent.mqtt_settings(
        options.host,
        options.port,
        (options.username, password),
        options.ca,
        options.user,
        options.base_topic,
        tls=options.tls or options.ca is not None,
    )
    return agent.Settings(
        mqtt=mqtt,
        dn=options.user,
        colors=dict(options.color),
        brightness=options.brightness,
        blink_busy=options.blink_busy,
        serials=frozenset(options.serial),
    )
