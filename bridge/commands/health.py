"""The command `health`: whether the daemon on this machine works, without any network."""

import argparse
import os
from pathlib import Path

from bridge import config
from bridge.commands import arguments
from bridge.config.fleet import named
from bridge.errors import BridgeError
from bridge.log import harmless
from bridge.runtime.heartbeat import Heartbeat


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    arguments.add_shard(parser)


def main(options: argparse.Namespace) -> int:
    """Print the age of the last heartbeat; BridgeError where there is none, or where it is too old."""
    path = arguments.configuration_path(options)
    if path.is_dir():
        return _of_many(path, options)
    age = Heartbeat(config.pbx_name(path, os.environ), os.environ).age()
    print(f"running: last heartbeat {age:.0f} s ago")
    return 0


def _of_many(directory: Path, options: argparse.Namespace) -> int:
    """The process is what is restarted, so it is well while it beats; BridgeError for a PBX of its own that is not."""
    heartbeat = Heartbeat(arguments.heartbeat_name(directory, arguments.chosen_shard(options)), os.environ)
    age = heartbeat.age()
    broken = heartbeat.broken()
    if options.pbx is not None:
        stem = named(directory, options.pbx, os.environ)[0].stem
        if stem in broken:
            raise BridgeError(f"{stem}.yaml: {broken[stem]}")
        broken = {}
    print(f"running: last heartbeat {age:.0f} s ago")
    for stem, problem in sorted(broken.items()):
        print(harmless(f"broken: {stem}.yaml: {problem}"))
    return 0
