"""Makes and ends the calls of the simulated PBX.

Behaviour of a real PBX that the bridge has to cope with: a caller who waits in a queue shows as talking to the queue,
while the agents' phones ring without a row in ActiveCalls; the phones of a ring group share one call id; every device
of a user is a participant of its own; ActiveCalls shows no held calls.
"""

import itertools
from collections.abc import Callable

from bridge.simulator.call_rows import CallRows
from bridge.simulator.calls import MAKE_CALL, Device, Numbers, SimulatedCall
from bridge.simulator.odata_types import Row

_WORDS = ("Connected", "Hold", "Ringing", "Dialing")


class ExchangeError(Exception):
    """The operation is not possible; the text says why."""


Notice = Callable[[str, int, bool], None]
"""Called with a DN, the id of one of its participants, and whether that is gone."""


class Exchange:
    """Makes, answers, holds, transfers and ends calls."""

    def __init__(self, numbers: Numbers, notice: Notice, clock: Callable[[], float]) -> None:
        self.calls: dict[int, SimulatedCall] = {}
        self.rows = CallRows(numbers)
        self._numbers = numbers
        self._notice = notice
        self._clock = clock
        self._call_ids = itertools.count(1001)
        self._device_ids = itertools.count(8101)

    def ring(self, caller: str, callee: str, *, routed: bool = True) -> int:
        """`caller` calls a user, a queue, a ring group or an outside number; returns the call's id.

        Not `routed`: until `route` the PBX shows the callee as `ROUTER`, and the caller's leg without the other side.
        """
        call = SimulatedCall(next(self._call_ids), caller, callee, "Routing", self._clock(), routed=routed)
        self.calls[call.id] = call
        if caller in self._numbers.users:
            self._add(call, caller, 0, "Dialing")
        if routed:
            self._ring_callee(call)
        return call.id

    def route(self, call_id: int) -> None:
        """The PBX has found the way to the callee."""
        call = self._call(call_id)
        if call.routed:
            raise ExchangeError(f"call {call_id} is routed")
        call.routed, call.changed = True, self._clock()
        for device in call.of(call.caller):
            self._move(device, device.status)
        self._ring_callee(call)

    def make_call(self, dn: str, number: str) -> int:
        """A program starts a call by the API: the user's phones ring first, and the number is dialled on answer."""
        call = SimulatedCall(next(self._call_ids), MAKE_CALL, dn, "Routing", self._clock(), started_by_api=number)
        self.calls[call.id] = call
        self._ring_phones(call, dn)
        return call.id

    def answer(self, call_id: int, dn: str | None = None) -> None:
        """The user `dn` answers, whose phone must ring; None: any that rings, or the party that was called outside."""
        call = self._call(call_id)
        ringing = [device for device in call.ringing() if dn in {None, device.dn}]
        if not ringing and (dn is not None or call.callee in self._numbers.users):
            raise ExchangeError(f"{dn or call.callee} is not ringing")
        if ringing:
            call.callee = ringing[0].dn
        if call.started_by_api:
            call.caller, call.callee, call.started_by_api = call.callee, call.started_by_api, None
        self._establish(call, ringing[:1])

    def pick_up(self, call_id: int, dn: str) -> None:
        """The user takes a call that rings on others' phones; his own leg does not say who the other side is."""
        call = self._call(call_id)
        if dn not in self._numbers.users or call.of(dn) or not call.ringing():
            raise ExchangeError(f"{dn} cannot pick up call {call_id}")
        call.callee = dn
        self._add(call, dn, 0, "Connected", knows_party=False)
        self._establish(call, [])

    def to_voicemail(self, call_id: int) -> None:
        """Nobody answers: the voicemail of the user who was called does."""
        call = self._call(call_id)
        if call.callee not in self._numbers.users or not call.ringing():
            raise ExchangeError(f"{call.callee} is not ringing")
        call.voicemail = True
        self._establish(call, [])

    def hold(self, call_id: int, dn: str, *, held: bool = True) -> None:
        """The user puts the call on hold, or resumes it."""
        before, after = ("Connected", "Hold") if held else ("Hold", "Connected")
        devices = [device for device in self._call(call_id).of(dn) if device.status == before]
        if not devices:
            raise ExchangeError(f"{dn} has no such call")
        for device in devices:
            self._move(device, after)

    def transfer(self, call_id: int, dn: str, to: str) -> None:
        """The user transfers the call to another user, whose phone rings."""
        call = self._call(call_id)
        if to not in self._numbers.users or not call.of(dn):
            raise ExchangeError(f"{dn} cannot transfer to {to}")
        for device in call.of(dn):
            self._drop(call, device)
        if call.caller == dn:
            call.caller = call.callee
        call.callee, call.status, call.changed = to, "Routing", self._clock()
        self._ring_phones(call, to)

    def end(self, call_id: int) -> None:
        """Both parties hang up."""
        call = self.calls.pop(call_id)
        for device in list(call.devices.values()):
            self._drop(call, device)

    def calls_of(self, dn: str) -> list[SimulatedCall]:
        """The calls that the DN's phones are in."""
        return [call for call in self.calls.values() if call.of(dn)]

    def word(self, dn: str) -> str | None:
        """The most important status of the user's phones, or None."""
        statuses = {device.status for call in self.calls_of(dn) for device in call.of(dn)}
        return next((word for word in _WORDS if word in statuses), None)

    def active_calls(self) -> list[Row]:
        """Rows of ActiveCalls."""
        now = self._clock()
        return [row for call in self.calls.values() for row in self.rows.active_calls(call, now)]

    def participants(self, dn: str) -> list[dict[str, object]]:
        """The participants of one DN."""
        return [self.rows.participant(call, device) for call in self.calls_of(dn) for device in call.of(dn)]

    def participant(self, dn: str, number: int) -> dict[str, object] | None:
        """One of them."""
        return next((each for each in self.participants(dn) if str(each["id"]) == str(number)), None)

    def _call(self, call_id: int) -> SimulatedCall:
        if call_id not in self.calls:
            raise ExchangeError(f"there is no call {call_id}")
        return self.calls[call_id]

    def _ring_callee(self, call: SimulatedCall) -> None:
        users = self._numbers.users
        if call.callee in users:
            self._ring_phones(call, call.callee)
        elif call.callee in self._numbers.queues:
            call.via, call.status, call.established = call.callee, "Talking", self._clock()
            self._add(call, call.callee, 0, "Connected")
            for agent in self._numbers.agents():
                if agent.queue == "LoggedIn" and agent.dn != call.caller:
                    self._ring_phones(call, agent.dn)
        elif call.callee in self._numbers.ring_groups:
            call.via = call.callee
            members = self._numbers.ring_groups[call.callee].members
            for member in [dn for dn in members if dn in users and dn != call.caller]:
                self._ring_phones(call, member)

    def _establish(self, call: SimulatedCall, answering: list[Device]) -> None:
        """The callers and the phones that answer are connected, the others stop ringing."""
        call.status, call.established, call.changed = "Talking", self._clock(), self._clock()
        for device in list(call.devices.values()):
            if device in answering or device.status == "Dialing":
                self._move(device, "Connected")
            elif device.status == "Ringing" or device.dn == call.via:  # also the queue lets go of the caller
                self._drop(call, device)

    def _ring_phones(self, call: SimulatedCall, dn: str) -> None:
        for number in range(self._numbers.users[dn].devices):
            self._add(call, dn, number, "Ringing")

    def _add(self, call: SimulatedCall, dn: str, number: int, status: str, *, knows_party: bool = True) -> None:
        call.legs += 1
        device = Device(next(self._device_ids), dn, number, status, call.legs, knows_party)
        call.devices[device.id] = device
        self._notice(dn, device.id, False)  # noqa: FBT003  # as Notice says

    def _move(self, device: Device, status: str) -> None:
        device.status = status
        self._notice(device.dn, device.id, False)  # noqa: FBT003  # the same

    def _drop(self, call: SimulatedCall, device: Device) -> None:
        del call.devices[device.id]
        self._notice(device.dn, device.id, True)  # noqa: FBT003  # the same
