"""Commands at a folder with a configuration for each PBX: which of them is meant, and one after another."""

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bridge.commands import arguments
from bridge.commands.output import report
from bridge.config.fleet import name_in, named
from bridge.domain.finding import most_severe
from bridge.errors import BridgeError

Main = Callable[[argparse.Namespace], int]


def for_each(main: Main) -> Main:
    """Run `main` once, or once for each PBX of a folder, under a heading; the code is the most severe one."""

    def over(options: argparse.Namespace) -> int:
        path = arguments.configuration_path(options)
        if not path.is_dir() or options.pbx is not None:
            return main(options)
        return most_severe(codes(path, options, main, heading=True))

    return over


def codes(directory: Path, options: argparse.Namespace, main: Main, *, heading: bool) -> Iterator[int]:
    """The exit codes of `main` for all PBXs of a folder, run one after another, with or without a heading."""
    for file in named(directory, None, os.environ):
        if heading:
            print(f"== {_title(file)} ==", flush=True)
        try:
            yield main(argparse.Namespace(**{**vars(options), "config": file, "tenant": True}))
        except BridgeError as error:  # of one PBX, which must not keep the others from being looked at
            yield report(error)


def _title(file: Path) -> str:
    name = name_in(file)
    return file.name if name in {None, file.stem} else f"{name} ({file.name})"
