"""Commands at a folder with a configuration for each PBX: which of them is meant, and one after another."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.commands import arguments
from bridge.config.fleet import name_in, named
from bridge.domain.finding import most_severe
from bridge.errors import BridgeError, ConfigError
from bridge.log import harmless


def for_each(main: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Run `main` once, or once for each PBX of a folder, under a heading; the code is the most severe one."""

    def over(options: argparse.Namespace) -> int:
        path = arguments.configuration_path(options)
        if not path.is_dir() or options.pbx is not None:
            return main(options)
        codes = []
        for file in named(path, None, os.environ):
            print(f"== {_title(file)} ==", flush=True)
            codes.append(guarded(main, argparse.Namespace(**{**vars(options), "config": file, "tenant": True})))
        return most_severe(codes)

    return over


def guarded(main: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """A failure of one PBX must not keep the others from being looked at."""
    try:
        return main(options)
    except ConfigError as error:
        print(*(harmless(str(problem)) for problem in error.problems), sep="\n", file=sys.stderr)
        return error.exit_code
    except BridgeError as error:
        print(f"3cx2mqtt: {harmless(str(error))}", file=sys.stderr)
        return error.exit_code


def _title(file: Path) -> str:
    name = name_in(file)
    return file.name if name in {None, file.stem} else f"{name} ({file.name})"
