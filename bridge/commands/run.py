"""The command `run`: the daemon."""

import argparse
import asyncio
import faulthandler
import logging
import os
from dataclasses import replace

from bridge import config, log
from bridge.commands import arguments
from bridge.config import Config
from bridge.log import LogLevel
from bridge.runtime import daemon
from bridge.runtime.installation import intruders
from bridge.runtime.supervision import Supervision

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    parser.add_argument(
        "--standby",
        action="store_true",
        help="be one of two bridges with this configuration, of which one works (as standby.enabled: true)",
    )


def main(options: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    path = arguments.configuration_path(options)

    def read() -> Config:
        """For the start and for every reload alike, so that `-v` holds as long as the process lives."""
        standby = {"THREECX2MQTT_STANDBY__ENABLED": "true"} if options.standby else {}
        settings = config.load(path, {**os.environ, **standby})
        return replace(settings, log=replace(settings.log, level=LogLevel.DEBUG)) if options.verbose else settings

    settings = read()
    log.setup(settings.log, settings.secrets())
    if (problem := intruders()) is not None:
        _logger.warning("%s", problem)
    faulthandler.enable()  # a watchdog ends a process that hangs by SIGABRT: this logs where it hung
    with Supervision(os.environ) as supervision:
        asyncio.run(daemon.run(path, settings, read, supervision))
    return 0
