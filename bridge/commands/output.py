"""What commands print."""

import json
import sys
from datetime import datetime
from typing import TextIO

from bridge.domain.finding import Finding
from bridge.errors import BridgeError, ConfigError
from bridge.log import harmless


def show(finding: Finding, stream: TextIO | None = None) -> None:
    """Print a finding as one line; flushed, as the next one may take its time."""
    print(harmless(str(finding)), file=stream, flush=True)


def report(error: BridgeError) -> int:
    """Print what went wrong to stderr, a line for each mistake of a configuration; returns the exit code."""
    lines = error.problems if isinstance(error, ConfigError) else [f"3cx2mqtt: {error}"]
    print(*(harmless(str(line)) for line in lines), sep="\n", file=sys.stderr)
    return error.exit_code


def harmless_json(value: object) -> str:
    """JSON with letters as they are; whatever a terminal would obey is escaped as JSON has it."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def print_now(line: str) -> None:
    """Print a line with the time of day."""
    print(f"  {datetime.now():%H:%M:%S}  {line}", flush=True)  # noqa: DTZ005  # the reader's own time
