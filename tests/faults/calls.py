"""Calls that are under way when a fault begins, and what must be told of them afterwards: no more and no less."""

import json

from bridge.simulator import SimulatedPbx
from tests.support.faults import until
from tests.support.subscriber import Subscriber


def told(subscriber: Subscriber, dn: str) -> list[str]:
    """What happened to the calls of a user, as a subscriber was told."""
    return [json.loads(payload)["event_type"] for payload in subscriber.payloads(f"3cx/users/{dn}/call")]


class Office:
    """100 is free, 101 talks, 102 rings, 103 is dialing."""

    def __init__(self, pbx: SimulatedPbx) -> None:
        self._pbx = pbx
        self._talk = pbx.exchange.ring("0301234561", "101")
        pbx.exchange.answer(self._talk)
        self._ring = pbx.exchange.ring("0301234562", "102")
        self._dial = pbx.exchange.ring("103", "0301234563")

    def goes_on(self) -> None:
        """Behind the bridge's back: 100 goes away, and misses a call; 101 hangs up; 102 picks up; 103 still dials."""
        self._pbx.change("100", profile="Away")
        self._pbx.exchange.end(self._pbx.exchange.ring("0301234564", "100"))
        self._pbx.exchange.end(self._talk)
        self._pbx.exchange.answer(self._ring)

    async def is_told_right(self, subscriber: Subscriber) -> None:
        """Nobody is told more than what holds: 101's call has ended, and 102's was answered."""
        expected = {"100": [], "101": ["ended"], "102": ["answered"], "103": []}
        await until(
            lambda: {dn: told(subscriber, dn) for dn in expected} == expected,
            10,
            lambda: {dn: told(subscriber, dn) for dn in expected},
        )

    async def goes_on_being_told(self, subscriber: Subscriber) -> None:
        """From here on every event is told again, and everything before it has been."""
        self._pbx.exchange.end(self._ring)
        self._pbx.exchange.answer(self._dial)
        expected = {"100": [], "101": ["ended"], "102": ["answered", "ended"], "103": ["answered"]}
        await until(
            lambda: {dn: told(subscriber, dn) for dn in expected} == expected,
            10,
            lambda: {dn: told(subscriber, dn) for dn in expected},
        )
