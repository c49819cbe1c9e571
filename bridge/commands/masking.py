"""Masks texts for a public bug report: only the program's own words, times and small numbers are kept.

Nothing is looked for and removed, so what no one thought of is masked too: an error message of the PBX, a name in a
field that only one build sends.
"""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from bridge.topics import object_id

_NOT_READ = {"simulator", "usb_light", "static"}
"""Parts of the program whose words are not kept: they have names of people."""

_WORD = re.compile(r"[^\W_]+")

_OTHERS = """
Address Connection Errno Error Host Name Network No Not Packet Quota Remote Service Temporary abort aborted already
authority authorized available certificate chain closed disconnected exceeded expired failed failure handshake hostname
interrupted invalid issuer key large local lost mismatch network packet peer permitted pipe protocol refused reset
resolution route self server service signed supported system temporary timed unable unavailable unexpected unreachable
valid verify version wrong
Available Away Busy Connected Dialing Hold Idle Initiating Offline Online Ringing Routing Talking
"""
"""Words of messages of the operating system, of OpenSSL and of brokers, and of states in rows of the PBX."""

_SPECIAL = re.compile(
    r"""
      (?P<time>\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)(?!\w)
    | (?P<code>(?:HTTP|Errno)\ \d{1,3})(?!\w)
    | (?P<address>\d{1,3}(?:\.\d{1,3}){3}(?![\d.]) | [0-9A-Fa-f]{1,4}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{1,4})(?!\w)
    | (?P<decimal>\d{1,4}\.\d{1,6})(?![.\w])
    | (?P<number>\d+(?:[ ()/.-]{1,3}\d+)+)(?!\w)
    """,
    re.VERBOSE,
)
"""What is more than one word: `number` may be a version, or a telephone number in groups."""
_FEW = 2
"""Numbers of so many digits are kept: counts, no extensions that anybody could call from outside."""
_PHONE = 7
"""Digits in groups are one number from so many on."""


class Masking:
    """Replaces each private text by a label such as `user-1`, always the same, and each unknown word by one more.

    Private texts are compared word by word, in any case and with any separators.
    """

    def __init__(self, private: Iterable[tuple[str, str]], kept: Iterable[str] = ()) -> None:
        """`private`: texts and their labels, the first one of a text counts. `kept`: words and versions that stay."""
        self._private: defaultdict[str, dict[tuple[str, ...], str]] = defaultdict(dict)
        """By first word."""
        for text, label in private:
            for spelling in _spellings(text):
                if words := tuple(_WORD.findall(spelling.casefold())):
                    self._private[words[0]].setdefault(words, label)
        self._kept = vocabulary() | set(kept)
        self._labels: dict[str, str] = {}
        """Of what is masked because it is unknown."""

    def text(self, text: str) -> str:
        """The text with everything masked that is not known to be harmless."""
        words = list(_WORD.finditer(text))
        pieces, at, end = [], 0, 0
        while at < len(words):
            start = words[at].start()
            count, label = self._private_at(words, at)
            if label is not None:
                stop = words[at + count - 1].end()
            else:
                label, stop = self._other_at(text, words[at])
            pieces += [text[end:start], label]
            end = stop
            while at < len(words) and words[at].start() < end:
                at += 1
        return "".join([*pieces, text[end:]])

    def value(self, value: object) -> object:
        """The same for all texts and keys in a value of JSON; its numbers stay."""
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def _private_at(self, words: Sequence[re.Match[str]], at: int) -> tuple[int, str | None]:
        """How many words from here on are a private text, the longest that there is, and its label."""
        found = self._private.get(words[at][0].casefold(), {})
        for private in sorted(found, key=len, reverse=True):
            if private == tuple(word[0].casefold() for word in words[at : at + len(private)]):
                return len(private), found[private]
        return 0, None

    def _other_at(self, text: str, word: re.Match[str]) -> tuple[str, int]:
        """What stands for the text from this word on, and where that ends."""
        special = _SPECIAL.match(text, word.start())
        if special is not None:
            piece, kind, end = special[0], special.lastgroup or "", special.end()
            if kind in {"time", "code", "decimal"} or piece in self._kept:
                return piece, end
            if kind == "address" or sum(map(str.isdigit, piece)) >= _PHONE:
                return self._label(piece, kind), end
        if word[0] in self._kept or (word[0].isdecimal() and len(word[0]) <= _FEW):
            return word[0], word.end()
        return self._label(word[0], "number" if word[0].isdecimal() else "word"), word.end()

    def _label(self, piece: str, kind: str) -> str:
        return self._labels.setdefault(piece.casefold(), f"{kind}-x{len(self._labels) + 1}")


@cache
def vocabulary() -> frozenset[str]:
    """The words, but not the numbers, in the texts of this program and of what it calls."""
    texts = [*_texts(resources.files("bridge")), _OTHERS]
    return frozenset(word for text in texts for word in _WORD.findall(text) if not word.isdecimal())


def _texts(folder: Traversable) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in _NOT_READ:
            yield from _texts(entry)
        elif entry.name.endswith(".py"):
            yield from _strings(ast.parse(entry.read_bytes()))


def _strings(module: ast.Module) -> Iterator[str]:
    """All strings but those that are statements of their own, the docstrings: they have examples."""
    for node in ast.walk(module):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Constant) and isinstance(child.value, str) and not isinstance(node, ast.Expr):
                yield child.value


def _spellings(text: str) -> Iterator[str]:
    """A text as topics, JSON and Python write it; URLs have the same words as topics."""
    yield text
    yield ascii(text)[1:-1]
    yield json.dumps(text)[1:-1]
    with suppress(UnicodeEncodeError):  # half a surrogate pair, which JSON can have
        yield object_id("", text)[1:]
