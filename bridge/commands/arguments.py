"""Arguments that several commands have, and the types of argument values."""

import argparse
import dataclasses
import hashlib
import os
import re
from pathlib import Path

from voluptuous import Invalid

from bridge import config, log
from bridge.config import Config
from bridge.config.fleet import Shard, load_tenant, named
from bridge.config.tree import read_secret_file
from bridge.domain import light
from bridge.domain.dn import why_unpublishable
from bridge.domain.model import State
from bridge.errors import ConfigError, Problem
from bridge.log import LogLevel
from bridge.options import Duration
from bridge.sources.threecx.recording import LONGEST
from bridge.sources.threecx.settings import PBX_NAME
from bridge.topics import topic_problem

_CONFIG_VARIABLE = "THREECX2MQTT_CONFIG"
_SHARD_VARIABLE = "THREECX2MQTT_SHARD"
_CONFIG_PLACES = (Path("config.yaml"), Path("/etc/3cx2mqtt/config.yaml"))


def add_configuration(parser: argparse.ArgumentParser, *, pbx: bool = True) -> None:
    """`-c`, `--pbx` and `-v`, of every command that reads the configuration; not `pbx`: it is about all of them."""
    if pbx:
        parser.add_argument("--pbx", metavar="NAME", help="which one, where -c is a folder with several PBXs")
    parser.set_defaults(tenant=False)
    parser.add_argument(
        *("-c", "--config"),
        type=Path,
        metavar="FILE",
        help=f"or a folder with several PBXs; default: ${_CONFIG_VARIABLE}, else the first of "
        f"{', '.join(map(str, _CONFIG_PLACES))}",
    )
    add_verbose(parser)


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """`-v`."""
    parser.add_argument("-v", "--verbose", action="store_true", help="log everything")


def add_shard(parser: argparse.ArgumentParser) -> None:
    """`--shard`, of commands about the process of a fleet."""
    parser.add_argument(
        "--shard",
        type=shard,
        metavar="2/5",
        help=f"where several processes share a folder with PBXs: the second of five; default: ${_SHARD_VARIABLE}",
    )


def chosen_shard(options: argparse.Namespace) -> Shard | None:
    """What `--shard` or the environment says; None: there is one process. ConfigError where that makes no sense."""
    given: Shard | None = options.shard
    if given is not None:
        return given
    text = os.environ.get(_SHARD_VARIABLE)
    try:
        return Shard.parse(text) if text else None
    except ValueError as error:
        raise ConfigError([Problem(_SHARD_VARIABLE, "", str(error))]) from None


def heartbeat_name(directory: Path, shard: Shard | None) -> str:
    """Of the heartbeat file of a fleet: no `pbx.name` has a dot, and no two folders have the same path."""
    digest = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:8]
    return f"fleet.{digest}" if shard is None else f"fleet.{digest}.{shard.number}-{shard.of}"


def add_force(parser: argparse.ArgumentParser) -> None:
    """`--force`, of commands that ask a running bridge where there is one."""
    parser.add_argument(
        "--force", action="store_true", help="log in to the PBX even if a bridge is running, which has to log in again"
    )


def configuration_path(options: argparse.Namespace) -> Path:
    """The file that `-c`, the environment or a usual place names; ConfigError where there is none."""
    if options.config is not None:
        return Path(options.config)
    if named := os.environ.get(_CONFIG_VARIABLE):
        return Path(named)
    for path in _CONFIG_PLACES:
        if path.exists():
            return path
    looked = ", ".join(map(str, _CONFIG_PLACES))
    raise ConfigError(
        [Problem("3cx2mqtt", "", f"no configuration: none at {looked}; name it with -c or ${_CONFIG_VARIABLE}")]
    )


def load_configuration(options: argparse.Namespace) -> Config:
    """The configuration of a command that prints what went wrong itself: the log shows with `-v` only."""
    path, tenant = configuration_path(options), options.tenant
    if path.is_dir():
        path, tenant = _of_one(path, options.pbx), True
    settings = load_tenant(path, os.environ) if tenant else config.load(path, os.environ)
    log.setup(dataclasses.replace(settings.log, level=LogLevel.DEBUG), settings.secrets())
    if not options.verbose:
        log.silence()
    return settings


def _of_one(directory: Path, name: str | None) -> Path:
    """The file of the PBX that `--pbx` names; ConfigError where it does not."""
    if name is not None:
        return named(directory, name, os.environ)[0]
    raise ConfigError([Problem(str(directory), "", "is a folder with several PBXs: name one with --pbx NAME")])


def dn(text: str) -> str:
    """A user's number that has topics."""
    if problem := why_unpublishable(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no user's number: {problem}")
    return text


def topic(text: str) -> str:
    """A topic without wildcards."""
    if problem := topic_problem(text):
        raise argparse.ArgumentTypeError(f"{text!r} {problem}")
    return text


def pbx_name(text: str) -> str:
    """A value that `pbx.name` may have."""
    if not re.fullmatch(PBX_NAME, text):
        raise argparse.ArgumentTypeError(f"{text!r} is no pbx.name: letters, digits and - only")
    return text


def secret_file(text: str) -> str:
    """The secret in the file that is named, so that it stands on no command line."""
    try:
        return read_secret_file(Path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def state_color(text: str) -> tuple[State, light.Color | None]:
    """STATE=COLOR; None for `off`."""
    state, equals, name = text.partition("=")
    if not equals or state not in set(State):
        raise argparse.ArgumentTypeError(f"{text!r}: write STATE=COLOR with one of {', '.join(State)}")
    try:
        return State(state), None if name == "off" else light.color(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}, or 'off'") from None


def pbx_version(text: str) -> str:
    """A build of 3CX V20."""
    if not re.fullmatch(r"20(\.\d{1,6}){2,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no build of 3CX V20, such as 20.0.8 or 20.0.10.51")
    return text


def listening_port(text: str) -> int:
    """A TCP port to listen on; 0: a free one."""
    return _within(text, 0, 65535)


def shard(text: str) -> Shard:
    """2/5: the second of five processes."""
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def port(text: str) -> int:
    """A TCP port to connect to."""
    return _within(text, 1, 65535)


def percent(text: str) -> int:
    """From 1 to 100."""
    return _within(text, 1, 100)


def user_count(text: str) -> int:
    """How many users a simulated PBX has."""
    return _within(text, 1, 20_000)


def speed(text: str) -> float:
    """How many times as fast: from 0.1 to 1000."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.1 <= number <= 1000:  # noqa: PLR2004  # as above
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0.1 to 1000")
    return number


def recording_time(text: str) -> float:
    """How long to record: a duration from 1 s to 10 min."""
    try:
        return Duration(1, LONGEST)(text)
    except Invalid as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _within(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
    return int(text)
