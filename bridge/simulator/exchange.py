"""The calls of the simulated PBX, as rows of ActiveCalls and as participants of Call Control.

Behaviour of a real PBX that the bridge has to cope with: a caller who waits in a queue shows as talking to the queue,
while the agents' phones ring without a row in ActiveCalls; every device of a user is a participant of its own;
ActiveCalls shows no held calls.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bridge.simulator.people import SimulatedUser

TRUNK = ("10001", "SIP-Trunk")
_WORDS = ("Connected", "Hold", "Ringing", "Dialing")


class ExchangeError(Exception):
    """The operation is not possible; the text says why."""


@dataclass(slots=True)
class Device:
    """A phone of a user in a call: a participant of Call Control."""

    id: int
    dn: str
    number: int
    """The user's first, second … phone."""
    status: str


@dataclass(slots=True)
class SimulatedCall:
    """A call between two parties: users by DN, queues by number, outside parties by telephone number."""

    id: int
    caller: str
    callee: str
    status: str
    changed: float
    queue: str | None = None
    group: str | None = None
    """The ring group that was called."""
    established: float | None = None
    devices: dict[int, Device] = field(default_factory=dict)

    def of(self, dn: str) -> list[Device]:
        """The user's phones in this call."""
        return [device for device in self.devices.values() if device.dn == dn]


Notice = Callable[[str, int, bool], None]
"""Called with a DN, the id of one of its participants, and whether that is gone."""


class Exchange:
    """Makes, answers, holds, transfers and ends calls."""

    def __init__(
        self, users: Mapping[str, SimulatedUser], queues: Mapping[str, str], notice: Notice, clock: Callable[[], float]
    ) -> None:
        self.calls: dict[int, SimulatedCall] = {}
        self.ring_groups: dict[str, tuple[str, ...]] = {}
        """Numbers at which the phones of several users ring together → these users."""
        self._users = users
        self._queues = queues
        self._notice = notice
        self._clock = clock
        self._call_ids = itertools.count(1001)
        self._device_ids = itertools.count(8101)

    def ring(self, caller: str, callee: str) -> int:
        """`caller` calls `callee`; returns the call's id."""
        call = SimulatedCall(next(self._call_ids), caller, callee, "Routing", self._clock())
        self.calls[call.id] = call
        if caller in self._users:
            self._add(call, caller, 0, "Dialing")
        if callee in self._queues:
            call.queue, call.status, call.established = callee, "Talking", self._clock()
            for agent in [user for user in self._users.values() if user.queue == "LoggedIn" and user.dn != caller]:
                self._ring_phones(call, agent.dn)
        elif callee in self.ring_groups:
            call.group = callee
            for member in self.ring_groups[callee]:
                self._ring_phones(call, member)
        elif callee in self._users:
            self._ring_phones(call, callee)
        return call.id

    def answer(self, call_id: int, dn: str | None = None) -> None:
        """The user `dn` answers, whose phone must ring; None: any that rings, or the party that was called outside."""
        call = self._call(call_id)
        ringing = [device for device in call.devices.values() if device.status == "Ringing" and dn in {None, device.dn}]
        if not ringing and (dn is not None or call.callee in self._users):
            raise ExchangeError(f"{dn or call.callee} is not ringing")
        if ringing:
            call.callee = ringing[0].dn
        call.status, call.established, call.changed = "Talking", self._clock(), self._clock()
        for device in list(call.devices.values()):
            if device in ringing[:1] or device.status == "Dialing":
                self._move(device, "Connected")
            elif device.status == "Ringing":
                self._drop(call, device)

    def pick_up(self, call_id: int, dn: str) -> None:
        """The user takes a call that rings elsewhere."""
        call = self._call(call_id)
        if dn not in self._users or not any(device.status == "Ringing" for device in call.devices.values()):
            raise ExchangeError(f"{dn} cannot pick up call {call_id}")
        self._add(call, dn, 0, "Ringing")
        self.answer(call_id, dn)

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
        if to not in self._users or not call.of(dn):
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
        """The calls that the user's phones are in."""
        return [call for call in self.calls.values() if call.of(dn)]

    def word(self, dn: str) -> str | None:
        """The most important status of the user's phones, or None."""
        statuses = {device.status for call in self.calls_of(dn) for device in call.of(dn)}
        return next((word for word in _WORDS if word in statuses), None)

    def active_calls(self) -> list[dict[str, object]]:
        """Rows of ActiveCalls."""
        return [
            {
                "Id": call.id,
                "Caller": self._display(call.caller),
                "Callee": self._display(call.callee),
                "Status": call.status,
                "EstablishedAt": None if call.established is None else _time(call.established),
                "LastChangeStatus": _time(call.changed),
                "ServerNow": _time(self._clock()),
            }
            for call in self.calls.values()
        ]

    def participants(self, dn: str) -> list[dict[str, object]]:
        """The participants of one extension."""
        return [self._participant(call, device) for call in self.calls_of(dn) for device in call.of(dn)]

    def participant(self, dn: str, number: int) -> dict[str, object] | None:
        """One of them."""
        return next((each for each in self.participants(dn) if each["id"] == number), None)

    def _call(self, call_id: int) -> SimulatedCall:
        if call_id not in self.calls:
            raise ExchangeError(f"there is no call {call_id}")
        return self.calls[call_id]

    def _ring_phones(self, call: SimulatedCall, dn: str) -> None:
        for number in range(self._users[dn].devices):
            self._add(call, dn, number, "Ringing")

    def _add(self, call: SimulatedCall, dn: str, number: int, status: str) -> None:
        device = Device(next(self._device_ids), dn, number, status)
        call.devices[device.id] = device
        self._notice(dn, device.id, False)  # noqa: FBT003  # as Notice says

    def _move(self, device: Device, status: str) -> None:
        device.status = status
        self._notice(device.dn, device.id, False)  # noqa: FBT003  # the same

    def _drop(self, call: SimulatedCall, device: Device) -> None:
        del call.devices[device.id]
        self._notice(device.dn, device.id, True)  # noqa: FBT003  # the same

    def _display(self, number: str) -> str:
        if number in self._users:
            return f"{number} {self._users[number].name}"
        if number in self._queues:
            return f"{number} {self._queues[number]}"
        if number in self.ring_groups:
            return f"{number} Ring group"
        return f"{TRUNK[0]} {TRUNK[1]} ({number})"

    def _participant(self, call: SimulatedCall, device: Device) -> dict[str, object]:
        other = call.callee if device.dn == call.caller else call.caller
        internal = other in self._users or other in self._queues or other in self.ring_groups
        user = self._users.get(other)
        return {
            "id": device.id,
            "status": device.status,
            "dn": device.dn,
            "party_caller_name": user.name if user else "",
            "party_dn": other if internal else TRUNK[0],
            "party_caller_id": other,
            "party_did": "",
            "device_id": f"sip:{device.dn}@192.0.2.{device.number + 5}:5060",
            "party_dn_type": "Wextension" if internal else "Wexternalline",
            "direct_control": False,
            "originated_by_dn": "ROUTER",
            "originated_by_type": "Wroutepoint",
            "referred_by_dn": "",
            "referred_by_type": "None",
            "on_behalf_of_dn": call.queue or call.group or "",
            "on_behalf_of_type": "Wqueue" if call.queue else "Wringgroup" if call.group else "None",
            "callid": call.id,
            "legid": device.number + 1,
        }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
