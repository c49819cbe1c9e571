"""Pseudonyms for numbers and words, from a key that is forgotten with the recording."""

import hashlib
import hmac
from collections.abc import Callable, Iterator

_CONSONANTS = "bdfgjklmnprstvz"
_VOWELS = "aeiou"
_ACCENTED = {"a": "ä", "e": "é", "i": "í", "o": "ø", "u": "ü"}
_LENGTHS = (2, 2, 3, 3, 4)
"""Syllables of a word, by chance: not those of the original, which would help to guess it."""
_TRIES = 100
_FEW_DIGITS = 4


class Pseudonyms:
    """Stable within one key: the same original always has the same pseudonym, and no other original has it."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._numbers: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._used: set[str] = set()

    def number(self, digits: str) -> str:
        """Another number of as many ASCII digits; leading zeros stay, as they are prefixes, and none is added."""
        found = self._numbers.get(digits)
        if found is None:
            found = self._numbers[digits] = self._free(self._of_as_many_digits(digits), digits)
            self._used.add(found)
        return found

    def word(self, word: str) -> str:
        """Another word of letters, of the same kind: capitals, a capital at the start or inside, beyond ASCII."""
        base = word.lower()
        found = self._words.get(base)
        if found is None:
            found = self._words[base] = self._free(self._spelled(base), base)
            self._used.add(found)
        return _in_case_of(word, found)

    def _of_as_many_digits(self, digits: str) -> Iterator[str]:
        rest = digits.lstrip("0")
        if not rest:
            return
        prefix, least = digits[: len(digits) - len(rest)], 10 ** (len(rest) - 1)
        for digest in self._digests("number", digits):
            yield f"{prefix}{least + int.from_bytes(digest) % (9 * least)}"
        if len(rest) <= _FEW_DIGITS:  # so few that most may be taken: a PBX may use all its DNs of three digits
            yield from (f"{prefix}{number}" for number in range(least, 10 * least))

    def _spelled(self, base: str) -> Iterator[str]:
        single = len(base) == 1
        for digest in self._digests("word", base):
            letters = "".join(
                _CONSONANTS[digest[2 * each] % len(_CONSONANTS)] + _VOWELS[digest[2 * each + 1] % len(_VOWELS)]
                for each in range(_LENGTHS[digest[-1] % len(_LENGTHS)])
            )
            letters = letters[0] if single else letters
            if not base.isascii():
                vowel = letters[-1] if not single else "a"
                letters = (letters[:-1] if not single else "") + _ACCENTED[vowel]
            yield letters

    def _free(self, candidates: Iterator[str], original: str) -> str:
        """The first candidate that stands for no other original; where all do, the last one."""
        last = original
        for candidate in candidates:
            if candidate != original:
                last = candidate
                if candidate not in self._used:
                    break
        return last

    def _digests(self, kind: str, original: str) -> Iterator[bytes]:
        for attempt in range(_TRIES):
            yield hmac.digest(self._key, f"{kind} {attempt} {original}".encode("utf-8", "replace"), hashlib.sha256)


def _in_case_of(word: str, pseudonym: str) -> str:
    for applies, change in _CASES:
        if applies(word):
            return change(pseudonym)
    # A capital inside, as in McDonald: the last syllable gets it.
    mixed = pseudonym[:-2] + pseudonym[-2:].capitalize()
    return mixed[:1].upper() + mixed[1:] if word[:1].isupper() else mixed


_CASES: tuple[tuple[Callable[[str], bool], Callable[[str], str]], ...] = (
    (lambda word: word == word.lower(), str.lower),
    (lambda word: word == word.upper() and len(word) > 1, str.upper),
    (lambda word: word[1:] == word[1:].lower(), str.capitalize),
)
