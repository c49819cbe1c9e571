"""What may be kept of a value, by the key that it stands under."""

import re
from dataclasses import dataclass
from typing import Self

from bridge.sources.threecx.recording import vocabulary

BUILD = re.compile(r"\d{1,3}(?:\.\d{1,6}){1,3}")
ONE_WORD = re.compile(r"[A-Za-z#._]{1,40}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?")
_MOST = 2**31
"""Ids are below this; what is not is rather a telephone number."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What may stand under a key. Found out once for each key: a page has a thousand values under a dozen keys."""

    shown: str
    """The key as it is recorded."""
    secret: bool
    counter: bool
    time: bool
    word: bool
    person: bool
    build: bool
    sentence: bool
    context: bool

    @classmethod
    def of(cls, key: str, shown: str) -> Self:
        """The kind of what stands under `key`, which is recorded as `shown`."""
        folded = key.casefold()
        return cls(
            shown=shown,
            secret=bool(vocabulary.SECRET_KEY.search(key)),
            counter=folded in vocabulary.COUNTERS,
            time=folded == "expiration",
            word=bool(vocabulary.WORD_KEY.search(key)),
            person=folded in vocabulary.NAME_KEYS,
            build="version" in folded,
            sentence=folded in {"message", "error_description"},
            context=folded == "@odata.context",
        )

    def keeps(self, text: str) -> bool:
        """Whether this text is a known word, an id, a time or a build of 3CX."""
        folded = text.strip().casefold()
        return bool(
            (not self.person and folded in vocabulary.VALUES)
            or folded.strip("_") == "default"
            or (self.word and ONE_WORD.fullmatch(text))
            or (self.counter and is_id(text))
            or (self.build and BUILD.fullmatch(text))
            or _TIME.fullmatch(text)
        )

    def keeps_number(self, value: float) -> bool:
        """Whether this number is an id or a count."""
        return self.counter and (value < _MOST or self.time)


def is_id(text: str) -> bool:
    """Whether this can be an id, which 3CX counts in 32 bits, rather than a telephone number."""
    return text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0") and float(text) < _MOST
