"""Pieces of Markdown as MkDocs reads it."""

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold Markdown of one line."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def prose(text: str) -> str:
    """Text that is no Markdown but for code between backticks."""
    pieces = text.split("`")
    # Every second piece is code.
    pieces[::2] = [re.sub(r"[\\*_\[\]]", r"\\\g<0>", piece).replace("<", "&lt;") for piece in pieces[::2]]
    return "`".join(pieces)


def code(text: str) -> str:
    """Text in the type of code."""
    return f"`{text}`"


def block(text: str, language: str = "text") -> str:
    """A block of code; its fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"
