"""The command `run`: the daemon."""

import argparse
import asyncio
import faulthandler
import logging
import os
import resource
from dataclasses import replace
from pathlib import Path

from bridge import config, log
from bridge.commands import arguments
from bridge.config import Config
from bridge.config.fleet import FleetConfig, load_fleet, with_level
from bridge.errors import BridgeError
from bridge.log import LogFormat, LogLevel, LogSettings
from bridge.runtime import daemon
from bridge.runtime.installation import intruders
from bridge.runtime.supervision import Supervision

_MOST_FILES = 65536

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser, pbx=False)
    arguments.add_shard(parser)
    parser.add_argument(
        "--standby",
        action="store_true",
        help="be one of two bridges with this configuration, of which one works (as standby.enabled: true)",
    )


def main(options: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    path = arguments.configuration_path(options)
    environ = {**os.environ, **({"THREECX2MQTT_STANDBY__ENABLED": "true"} if options.standby else {})}
    if path.is_dir():
        return _many(path, environ, options)
    if options.shard is not None:
        raise BridgeError("--shard is for a folder with several PBXs, and -c names a file")
    return _one(path, environ, options)


def _one(path: Path, environ: dict[str, str], options: argparse.Namespace) -> int:
    def read() -> Config:
        """For the start and for every reload alike, so that `-v` holds as long as the process lives."""
        settings = config.load(path, environ)
        return replace(settings, log=replace(settings.log, level=LogLevel.DEBUG)) if options.verbose else settings

    settings = read()
    log.setup(settings.log, settings.secrets())
    _prepare()
    with Supervision(os.environ) as supervision:
        asyncio.run(daemon.run(path, settings, read, supervision))
    return 0


def _many(directory: Path, environ: dict[str, str], options: argparse.Namespace) -> int:
    from bridge.runtime import fleet  # noqa: PLC0415  # a single bridge need not load its web server

    shard = arguments.chosen_shard(options)

    def read() -> FleetConfig:
        found = load_fleet(directory, environ, shard)
        return with_level(found, LogLevel.DEBUG) if options.verbose else found

    settings = read()
    usual = LogSettings(LogLevel.INFO, LogFormat.TEXT)
    log.setup(usual if settings.process is None else settings.process.log, settings.secrets())
    _prepare()
    _allow_many_files()
    name = arguments.heartbeat_name(directory, shard)
    with Supervision(os.environ) as supervision:
        asyncio.run(fleet.run(directory, settings, read, supervision, name))
    return 0


def _allow_many_files() -> None:
    """Each bridge has up to ten connections, and systems let a process have 1,024 files open if it asks for no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _prepare() -> None:
    if (problem := intruders()) is not None:
        _logger.warning("%s", problem)
    faulthandler.enable()  # a watchdog ends a process that hangs by SIGABRT: this logs where it hung
