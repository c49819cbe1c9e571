"""Collects the shapes of what the PBX sends: which there are, how often, and those that are new to the program."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from bridge.sources.threecx.parse.shapes import Shape, ShapeKind

MOST = 100
"""Shapes of each kind; further ones are not counted."""

T = TypeVar("T")

_logger = logging.getLogger(__name__)


class Shapes:
    """Counts shapes. Pages and answers that are the same as before are not counted again."""

    def __init__(self) -> None:
        self._counts: dict[ShapeKind, dict[str, int]] = {}
        self.changed: Callable[[], None] = lambda: None
        """Called when a shape was seen for the first time."""

    def note(self, shapes: Iterable[Shape]) -> None:
        """Count these."""
        new = False
        for shape in shapes:
            counts = self._counts.setdefault(shape.kind, {})
            if shape.text in counts:
                counts[shape.text] += 1
            elif len(counts) < MOST:
                counts[shape.text] = 1
                new = True
                if not shape.known:
                    _report(shape)
        if new:
            self.changed()

    def noting(
        self, parse: Callable[[object], T], shapes: Callable[[object], Iterable[Shape]]
    ) -> Callable[[object], T]:
        """`parse`, which also counts the `shapes` of what it is called with."""

        def noted(raw: object) -> T:
            self.note(shapes(raw))
            return parse(raw)

        return noted

    def seen(self) -> Mapping[str, tuple[str, ...]]:
        """All shapes by kind, sorted."""
        return {kind.value: tuple(sorted(self._counts[kind])) for kind in ShapeKind if kind in self._counts}

    def counts(self) -> dict[str, dict[str, int]]:
        """How often each was counted, by kind, the most frequent first."""
        return {
            kind.value: dict(sorted(self._counts[kind].items(), key=lambda each: (-each[1], each[0])))
            for kind in ShapeKind
            if kind in self._counts
        }


def _report(shape: Shape) -> None:
    _logger.info(
        "3CX sent a %s that this version does not know (%s): please report it with the archive of '3cx2mqtt diagnose', "
        "which shows such shapes without names and numbers",
        shape.kind.value.replace("_", " "),
        shape.text,
    )
