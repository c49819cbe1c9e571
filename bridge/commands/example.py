"""The command `example`: prints the example configuration, or the schema for editors, of this version."""

import argparse
from importlib import resources
from pathlib import Path

import bridge

_EXAMPLE, _SCHEMA = "config.example.yaml", "config.schema.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--schema", action="store_true", help="the JSON schema, for editors")


def main(options: argparse.Namespace) -> int:
    """Print the file, which lists every option with its default."""
    print(_text(_SCHEMA if options.schema else _EXAMPLE), end="")
    return 0


def _text(name: str) -> str:
    """From the wheel, or beside the package in a copy of the repository."""
    packed = resources.files("bridge") / name
    if packed.is_file():
        return packed.read_text(encoding="utf-8")
    return Path(bridge.__file__).parents[1].joinpath(name).read_text(encoding="utf-8")
