"""Random lives of polls, pushes, losses, outages and restarts end in the state that the PBX's facts demand."""

import json
from collections import defaultdict
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.domain.certainty import Certainty
from bridge.domain.model import CallStatus, Direction, Legs, State
from bridge.domain.presence import DEFAULT_PROFILES
from bridge.errors import SourceUnavailable
from tests.support.clock import FakeClock
from tests.support.world import ACTIVE_CALLS, CALL_CONTROL, USERS, World, leg, user

DNS = ("101", "102", "103")
BOUND = 20.0
QUIET = {State.AVAILABLE, State.AWAY, State.DO_NOT_DISTURB, State.OFFLINE}
RARELY = st.integers(0, 4)
SILENCES = st.sampled_from([0.5, BOUND + 1, 140])
"""How long a PBX takes to restart."""
ORDER = (CallStatus.ON_CALL, CallStatus.ON_HOLD, CallStatus.RINGING, CallStatus.DIALING)


@dataclass
class Talk:
    """A call by its serial number, which is in its party's number; the PBX may give its `id` to another one later."""

    id: int
    status: CallStatus
    direction: Direction


@dataclass
class Truth:
    """What one user of the PBX really does."""

    profile: str = "Available"
    registered: bool = True

    def __post_init__(self) -> None:
        self.calls: dict[int, Talk] = {}

    @property
    def state(self) -> State:
        for status in ORDER:
            if any(talk.status is status for talk in self.calls.values()):
                return State(status.value)
        profile = DEFAULT_PROFILES[self.profile]
        if profile is not State.AVAILABLE:
            return profile
        return State.AVAILABLE if self.registered else State.OFFLINE


class Lives(RuleBasedStateMachine):
    """`shift` is what ActiveCalls numbers calls differently by; nobody knows whether real PBXs do."""

    @initialize(covered=st.sets(st.sampled_from(DNS)), shift=st.sampled_from([0, 5000]), polling=st.booleans())
    def begin(self, covered: set[str], shift: int, polling: bool) -> None:
        self.clock = FakeClock()
        sources = (USERS, ACTIVE_CALLS, CALL_CONTROL) if polling else (USERS, CALL_CONTROL)
        self.polling = polling
        self.covered = covered if polling else set(DNS)
        self.shift = shift
        self.world = World(self.clock, sources=sources)
        self.people = {dn: Truth() for dn in DNS}
        self.connected = False
        self.known = set(DNS)
        """Whose calls the bridge has read since it restarted."""
        self.numbers = self.serials = 0
        self.directions: dict[int, Direction] = {}
        self.heard_users = self.heard_calls = float("-inf")
        self.published: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self.serial_of: dict[tuple[str, str], int] = {}
        self.earlier: set[tuple[str, str]] = set()
        """What only an earlier process has published; the new one may know the same call by another source's id."""
        self.read = 0
        self.users_are_polled()
        if polling:
            self.calls_are_polled()
        self.call_control_connects_or_reads_again()

    def legs(self, dn: str, shift: int = 0, certainty: Certainty = Certainty.TYPED) -> Legs:
        """As Call Control has them, which does not show who started a connected call; or as ActiveCalls has them."""
        parsed = certainty is Certainty.PARSED
        return tuple(
            leg(
                talk.status,
                str(talk.id + shift),
                party=f"0301000{serial:04}",
                direction=None if talk.status in ORDER[:2] and not parsed else talk.direction,
                certainty=certainty,
            )
            for serial, talk in self.people[dn].calls.items()
        )

    def push(self, dn: str) -> None:
        if self.connected and dn in self.covered:
            self.world.pushed(dn, *self.legs(dn))

    @rule(dn=st.sampled_from(DNS), status=st.sampled_from(CallStatus), inbound=st.booleans())
    def a_call_begins(self, dn: str, status: CallStatus, inbound: bool) -> None:
        if len(self.people[dn].calls) < 3:
            self.numbers += 1
            self.serials += 1
            inbound = status is CallStatus.RINGING or (inbound and status is not CallStatus.DIALING)
            direction = Direction.INBOUND if inbound else Direction.OUTBOUND
            self.directions[self.serials] = direction
            self.people[dn].calls[self.serials] = Talk(self.numbers, status, direction)
            self.push(dn)

    @rule(dn=st.sampled_from(DNS), pick=st.integers(0, 2), status=st.sampled_from([ORDER[0], ORDER[1]]))
    def a_call_goes_on(self, dn: str, pick: int, status: CallStatus) -> None:
        calls = self.people[dn].calls
        if calls:
            calls[list(calls)[pick % len(calls)]].status = status
            self.push(dn)

    @rule(dn=st.sampled_from(DNS), pick=st.integers(0, 2))
    def a_call_ends(self, dn: str, pick: int) -> None:
        calls = self.people[dn].calls
        if calls:
            del calls[list(calls)[pick % len(calls)]]
            self.push(dn)

    @rule(dn=st.sampled_from(DNS), profile=st.sampled_from(sorted(DEFAULT_PROFILES)), registered=st.booleans())
    def somebody_goes_or_comes(self, dn: str, profile: str, registered: bool) -> None:
        self.people[dn].profile, self.people[dn].registered = profile, registered

    @rule()
    def users_are_polled(self) -> None:
        self.world.users(*(user(dn, truth.profile, truth.registered) for dn, truth in self.people.items()))
        self.heard_users = self.clock.now

    @precondition(lambda self: self.polling)
    @rule()
    def calls_are_polled(self) -> None:
        self.clock.turn(0.1)
        self.world.polled({dn: self.legs(dn, self.shift, Certainty.PARSED) for dn in DNS if self.people[dn].calls})
        self.heard_calls = self.clock.now
        self.calls_are_read(set(DNS))

    @rule()
    def call_control_connects_or_reads_again(self) -> None:
        self.connected = True
        self.world.snapshot(self.covered, {dn: self.legs(dn) for dn in self.covered if self.people[dn].calls})
        self.calls_are_read(self.covered)

    @precondition(lambda self: self.connected)
    @rule()
    def call_control_is_lost(self) -> None:
        self.connected = False
        self.heard_calls = max(self.heard_calls, self.clock.now)
        self.world.lost()

    @precondition(lambda self: self.polling)
    @rule(dn=st.sampled_from(DNS), status=st.sampled_from(CallStatus), inbound=st.booleans(), lost=st.booleans())
    def another_source_finds_another_call(self, dn: str, status: CallStatus, inbound: bool, lost: bool) -> None:
        """The source that is preferred changes, and behind it one call has taken the place of another."""
        if lost and self.connected:
            self.call_control_is_lost()
        self.people[dn].calls.clear()
        self.a_call_begins(dn, status, inbound)
        if lost:
            self.calls_are_polled()
        else:
            self.call_control_connects_or_reads_again()

    @rule(dn=st.sampled_from(DNS), status=st.sampled_from(CallStatus), inbound=st.booleans(), silence=SILENCES)
    def the_pbx_restarts(self, dn: str, status: CallStatus, inbound: bool, silence: float) -> None:
        """All calls are over, and the next ones are counted from the start."""
        for truth in self.people.values():
            truth.calls.clear()
        self.numbers = 0
        if self.connected:
            self.call_control_is_lost()
        if self.polling:
            self.world.fail(SourceUnavailable("the PBX restarts"), ACTIVE_CALLS)
        self.world.wait(silence)
        for key in self.earlier & self.published.keys():
            self.forget(key)
        self.forget_ended()
        self.a_call_begins(dn, status, inbound)
        if self.polling:
            self.calls_are_polled()
        else:
            self.call_control_connects_or_reads_again()
        self.no_event_is_repeated_or_invented()
        self.forget_ended()

    def forget_ended(self) -> None:
        """Their ids may be used again, and those of calls whose end is not published while the broker is away."""
        if not self.world.wire.in_sync:
            self.forget_over(set(DNS))
        for key, events in list(self.published.items()):
            if "ended" in events:
                self.forget(key)

    def forget(self, key: tuple[str, str]) -> None:
        """The id may be used again."""
        del self.published[key]
        self.serial_of.pop(key, None)

    @rule(seconds=st.sampled_from([0.5, 3, 12, 25]))
    def time_passes(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(really=RARELY)
    def the_broker_goes_away(self, really: int) -> None:
        if really == 0:
            self.world.wire.in_sync = False

    @precondition(lambda self: not self.world.wire.in_sync)
    @rule()
    def the_broker_comes_back(self) -> None:
        self.forget_over(set(DNS))
        self.world.synchronise()

    @rule(really=RARELY)
    def the_bridge_restarts(self, really: int) -> None:
        if really != 0:
            return
        self.connected = False
        self.known.clear()
        self.heard_users = self.heard_calls = float("-inf")
        self.world.restart()
        self.forget_over(set(DNS))
        self.earlier = set(self.published)

    def calls_are_read(self, dns: set[str]) -> None:
        """A new process of the bridge does not know of the calls that were over before it first read the calls."""
        self.forget_over(dns - self.known)
        self.known |= dns

    def forget_over(self, dns: set[str]) -> None:
        """The ids of calls of `dns` that are over may be used again, although no end was published."""
        for key in list(self.published):
            dn = key[0].split("/")[2]
            if dn in dns and self.serial_of.get(key) not in self.people[dn].calls:
                self.forget(key)

    @invariant()
    def no_event_is_repeated_or_invented(self) -> None:
        for topic, payload in self.world.wire.events[self.read :]:
            event = json.loads(payload)
            serial = int(event["party"][-4:])
            if "ended" in self.published[topic, event["id"]] and self.serial_of.get((topic, event["id"])) != serial:
                # The end of a call that rang waits for an answer elsewhere, also while the PBX restarts.
                self.forget((topic, event["id"]))
            self.earlier.discard((topic, event["id"]))
            seen = self.published[topic, event["id"]]
            assert self.serial_of.setdefault((topic, event["id"]), serial) == serial, (topic, event)
            assert event["direction"] in {None, self.directions[serial]}, (topic, event)
            assert "ended" not in seen, (topic, event)
            if event["event_type"] in {"ringing", "dialing", "answered"}:
                assert event["event_type"] not in seen, (topic, event, seen)
            if event["event_type"] in {"ringing", "dialing"}:
                assert event["direction"] == ("inbound" if event["event_type"] == "ringing" else "outbound")
            if event["event_type"] == "ended":
                assert serial not in self.people[topic.split("/")[2]].calls
            seen.append(event["event_type"])
        self.read = len(self.world.wire.events)

    @invariant()
    def good_news_is_fresh(self) -> None:
        for each in self.world.engine.users():
            if each.state in QUIET:
                assert self.clock.now - self.heard_users <= BOUND + 1
                pushed = self.connected and each.number in self.covered
                assert pushed or self.clock.now - self.heard_calls <= BOUND + 1

    @invariant()
    def no_call_is_published_with_another_one_s_direction(self) -> None:
        for each in self.world.engine.users():
            if each.call is not None:
                assert each.call.party is not None
                assert each.call.direction in {None, self.directions[int(each.call.party[-4:])]}

    @invariant()
    def the_broker_has_what_the_engine_says(self) -> None:
        if self.world.wire.in_sync:
            for each in self.world.engine.users():
                assert self.world.wire.state(each.number) == each.state

    def teardown(self) -> None:
        """Whatever happened: after one word of every source all is as it is."""
        if not self.world.wire.in_sync:
            self.world.synchronise()
        if not self.connected:
            self.world.wait(BOUND + 1)  # what only Call Control can see is believed for so long after it was lost
        self.users_are_polled()
        if self.polling:
            self.calls_are_polled()
        if self.connected or not self.polling:
            self.call_control_connects_or_reads_again()
        for dn, truth in self.people.items():
            assert self.world.wire.state(dn) == truth.state
            assert self.world.user(dn).calls == len(truth.calls)
        self.no_event_is_repeated_or_invented()


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=40)
