"""The command `health`: whether the daemon on this machine works, without any network."""

import argparse
import os

from bridge import config
from bridge.commands import arguments
from bridge.runtime.heartbeat import Heartbeat


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)


def main(options: argparse.Namespace) -> int:
    """Print the age of the last heartbeat; BridgeError where there is none, or where it is too old."""
    name = config.pbx_name(arguments.configuration_path(options), os.environ)
    age = Heartbeat(name, os.environ).age()
    print(f"running: last heartbeat {age:.0f} s ago")
    return 0
