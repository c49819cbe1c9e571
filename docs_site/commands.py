"""The page of all commands with their `--help`, and of the exit codes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from bridge.cli import COMMANDS, EXIT_CODES
from docs_site.markdown import block, code, table

_HEAD = """# Help of all commands

What `3cx2mqtt COMMAND --help` prints for each command. [Commands](../commands.md) has more about those that need it.
"""

_EXIT_CODES = """
## Exit codes

"""

_WIDTH = "80"
"""Of `--help`, in characters: what the page shows without scrolling."""


def page() -> str:
    """The page as Markdown."""
    with ThreadPoolExecutor() as threads:
        helps = threads.map(_help, COMMANDS)
        commands = [
            f"## {name}\n\n{row.help[0].upper()}{row.help[1:]}.\n\n{block(text)}"
            for (name, row), text in zip(COMMANDS.items(), helps, strict=True)
        ]
    codes = table(("code", "meaning"), ((code(str(number)), meaning) for number, meaning in EXIT_CODES.items()))
    return "\n".join([_HEAD, *commands]) + _EXIT_CODES + codes


def _help(command: str) -> str:
    words = [sys.executable, "-m", "bridge", command, "--help"]
    environment = {**os.environ, "COLUMNS": _WIDTH, "NO_COLOR": "1"}
    return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout  # noqa: S603  # our own program
