"""The PBX's own numbers: which are users, queues, ring groups and trunks.

A number that is not in here is of the public network until the PBX says otherwise: `privacy.caller_id` shows only the
PBX's own numbers in clear.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum


class Kind(StrEnum):
    """What a number of the PBX stands for."""

    USER = "user"
    QUEUE = "queue"
    GROUP = "group"
    """A ring group."""
    TRUNK = "trunk"
    """Not a party: the outside number behind it is."""
    SERVICE = "service"
    """Anything else of the PBX's own, such as a digital receptionist or an API client's route point."""


class Directory:
    """Numbers by what reported them: each reader replaces what it reported before, and nothing else."""

    def __init__(self) -> None:
        self._reported: dict[str, Mapping[str, Kind]] = {}
        self._kinds: dict[str, Kind] = {}
        self._listeners: dict[str, Callable[[], None]] = {}
        self.due: dict[str, float] = {}
        """When to read each list of numbers again (monotonic seconds), so that several readers read it once."""
        self.revision = 0
        """Counts the changes."""

    def kind(self, number: str) -> Kind | None:
        """What the number stands for; None: not known to be one of the PBX's own."""
        return self._kinds.get(number)

    @property
    def loaded(self) -> bool:
        """Whether any user is known: before that no number is proven to be of the public network."""
        return Kind.USER in self._kinds.values()

    def reported(self, reporter: str) -> bool:
        """Whether `reporter` has reported its numbers, be they none."""
        return reporter in self._reported

    def learn(self, reporter: str, numbers: Mapping[str, Kind], *, complete: bool = True) -> None:
        """`reporter` has read these; unless the reading was complete, what it reported before holds as well."""
        before = self._reported.get(reporter)
        after = numbers if complete or before is None else {**before, **numbers}
        self._reported[reporter] = after
        if before is None or dict(before) != dict(after):
            self._changed(reporter)

    def follow(self, reader: str, changed: Callable[[], None]) -> None:
        """Have `changed` called whenever what others than `reader` reported has changed."""
        self._listeners[reader] = changed

    def _changed(self, reporter: str) -> None:
        kinds = {number: kind for numbers in self._reported.values() for number, kind in numbers.items()}
        if kinds == self._kinds and self._reported[reporter]:  # that there are no trunks is news, too
            return
        self._kinds = kinds
        self.revision += 1
        for reader, changed in self._listeners.items():
            if reader != reporter:
                changed()
