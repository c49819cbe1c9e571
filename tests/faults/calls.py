"""Calls that are under way when a fault begins, and the events that must be published afterwards: no more, no less."""

import json

from bridge.simulator import SimulatedPbx
from tests.support.faults import until
from tests.support.subscriber import Subscriber


def call_events(subscriber: Subscriber, dn: str) -> list[str]:
    """The call events of a user that a subscriber has received, by type."""
    return [json.loads(payload)["event_type"] for payload in subscriber.payloads(f"3cx/users/{dn}/call")]


class Office:
    """100 is free, 101 talks, 102 rings, 103 is dialing."""

    def __init__(self, pbx: SimulatedPbx) -> None:
        self._pbx = pbx
        self._talk = pbx.exchange.ring("0301234561", "101")
        pbx.exchange.answer(self._talk)
        self._ring = pbx.exchange.ring("0301234562", "102")
        self._dial = pbx.exchange.ring("103", "0301234563")

    def changes_unseen(self) -> None:
        """Unseen by the bridge: 100 goes away, and misses a call; 101 hangs up; 102 answers; 103 still dials."""
        self._pbx.change("100", profile="Away")
        self._pbx.exchange.end(self._pbx.exchange.ring("0301234564", "100"))
        self._pbx.exchange.end(self._talk)
        self._pbx.exchange.answer(self._ring)

    async def has_expected_events(self, subscriber: Subscriber) -> None:
        """Only what still holds is published: 101's call has ended, and 102's was answered."""
        expected = {"100": [], "101": ["ended"], "102": ["answered"], "103": []}
        await until(
            lambda: {dn: call_events(subscriber, dn) for dn in expected} == expected,
            10,
            lambda: {dn: call_events(subscriber, dn) for dn in expected},
        )

    async def has_later_events(self, subscriber: Subscriber) -> None:
        """From here on every event is published again, and everything before it has been."""
        self._pbx.exchange.end(self._ring)
        self._pbx.exchange.answer(self._dial)
        expected = {"100": [], "101": ["ended"], "102": ["answered", "ended"], "103": ["answered"]}
        await until(
            lambda: {dn: call_events(subscriber, dn) for dn in expected} == expected,
            10,
            lambda: {dn: call_events(subscriber, dn) for dn in expected},
        )
