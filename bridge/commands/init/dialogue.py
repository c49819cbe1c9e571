"""Where answers come from: options and environment variables first, then somebody at a terminal."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import questionary

from bridge.errors import BridgeError

Check = Callable[[str], str | None]
"""What is wrong with an answer, for people; None: nothing."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something to be known."""

    words: str
    option: str
    """As on the command line: `--pbx-url`."""
    variable: str | None = None
    """The environment variable that answers it too."""
    default: str | None = None
    secret: bool = False


class Dialogue:
    """Gives answers. Each that was given by option or environment is used once: a wrong one is asked for again."""

    def __init__(self, given: Mapping[str, str | None], *, asks: bool, environ: Mapping[str, str] = os.environ) -> None:
        """`given` are options by name; without `asks` nobody is there to be asked."""
        self._given = dict(given)
        self._environ = dict(environ)
        self.asks = asks

    def text(self, question: Question, check: Check = lambda _: None) -> str:
        """The answer, the question's default, or BridgeError where nobody can be asked for it."""
        given = self._take(question)
        if given is not None and (problem := check(given)) is None:
            return given
        if not self.asks:
            if given is not None:
                raise BridgeError(f"{question.option}: {problem}")
            if question.default is not None:
                return question.default
            variable = f" or the variable {question.variable}" if question.variable else ""
            raise BridgeError(f"{question.words} is needed: without a terminal give {question.option}{variable}")
        return self._asked(question, lambda text: check(text) or (None if text else "an answer is needed"))

    def optional(self, question: Question) -> str | None:
        """The same where no answer is an answer too."""
        given = self._take(question)
        if given is not None or not self.asks:
            return given or None
        return self._asked(question, lambda _: None) or None

    def confirm(self, words: str, option: str, *, default: bool, unasked: bool) -> bool:
        """Yes or no; `unasked` where nobody can be asked."""
        given = self._given.pop(option, None)
        if given is not None:
            return given == "true"
        if not self.asks:
            return unasked
        return bool(questionary.confirm(words, default=default).unsafe_ask())

    def choose(self, words: str, choices: Sequence[tuple[str, str]]) -> str:
        """One of the (value, label) pairs; only where somebody can be asked."""
        options = [questionary.Choice(label, value=value) for value, label in choices]
        return str(questionary.select(words, choices=options).unsafe_ask())

    def say(self, text: str = "") -> None:
        """Tell how it goes."""
        print(text, flush=True)

    def _asked(self, question: Question, check: Check) -> str:
        words = f"{question.words}:"
        if question.secret:
            return str(questionary.password(words, validate=lambda text: check(text) or True).unsafe_ask())
        asked = questionary.text(words, question.default or "", validate=lambda text: check(text.strip()) or True)
        return str(asked.unsafe_ask()).strip()

    def _take(self, question: Question) -> str | None:
        given = self._given.pop(question.option, None)
        if given is None and question.variable is not None:
            given = self._environ.pop(question.variable, None)
        return given
