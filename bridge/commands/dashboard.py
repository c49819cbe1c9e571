"""The command `dashboard`: prints a dashboard of all users for Home Assistant."""

import argparse
import asyncio
import sys

import yaml

from bridge.commands import arguments
from bridge.commands.output import show
from bridge.commands.users import users
from bridge.domain.finding import most_severe
from bridge.errors import BridgeError
from bridge.log import harmless
from bridge.outputs.hass.dashboard import Person, dashboard

_HOW = """\
# Settings > Dashboards > Add dashboard > New dashboard from scratch; open it, Edit, and in the menu with the three dots
# Raw configuration editor: put all of this there. Enable "In call with" of a user to see callers, too.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    arguments.add_force(parser)
    parser.add_argument("--title", default="Phones", help="of the view; default: %(default)s")


def main(options: argparse.Namespace) -> int:
    """Print the dashboard to stdout and what is wrong to stderr; BridgeError where there are no users."""
    settings = arguments.load_configuration(options)
    found, findings = asyncio.run(users(settings, force=options.force))
    for finding in findings:
        show(finding, sys.stderr)
    if code := most_severe(finding.exit_code for finding in findings):
        return code
    people = [
        Person(str(each["number"]), _text(each.get("name")), _text(each.get("department")))
        for each in found
        if isinstance(each.get("number"), str)
    ]
    if not people:
        raise BridgeError("there are no users yet, so there is nothing to show: see 3cx2mqtt check")
    shown = dashboard(settings.topics, options.title, people)
    print(_HOW + yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=100), end="")
    return 0


def _text(value: object) -> str | None:
    return harmless(value) if isinstance(value, str) and value else None
