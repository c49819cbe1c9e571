"""Answers without an event loop."""

from collections.abc import Mapping

from bridge.domain.clock import Clock
from bridge.mqtt.answers import Answers, Operation
from bridge.ports import Publisher
from bridge.statistics import Statistics
from bridge.topics import Topics


class Prompt(Answers):
    """Answers each request when it comes."""

    def __init__(self, publisher: Publisher, operations: Mapping[str, Operation] | None = None) -> None:
        clock = Clock()
        topics = Topics("3cx", "hq", "ha")
        super().__init__(topics, operations or {}, publisher, Statistics(clock), clock.monotonic)

    def ask(self, name: str, payload: bytes, *, retained: bool) -> None:
        super().ask(name, payload, retained=retained)
        self.answer_next()
