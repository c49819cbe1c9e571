"""How the simulated PBX shows its calls: rows of ActiveCalls, participants of Call Control.

The strings are those of others' captures: `ROUTER` while a call is being routed, `MakeCall`, `VoiceMail of …`, trunks
with an outside number in brackets, with empty brackets, or with none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.simulator.calls import MAKE_CALL, Device, Kind, Numbers, SimulatedCall
from bridge.simulator.odata_types import Row

_TICKS = 10_000_000
"""Times of .NET have seven decimals, of which zeros at the end are not written."""


@dataclass(slots=True)
class CallRows:
    """Shows calls; its fields are habits of particular builds."""

    numbers: Numbers
    ids_are_text: bool = False
    """Whether ids are strings of digits."""
    group_by_member: bool = False
    """Whether ActiveCalls has a row per ringing member of a ring group, all with one id, and none for the group."""

    def active_calls(self, call: SimulatedCall, now: float) -> Iterator[Row]:
        """The rows of one call."""
        callees = [self._callee(call)]
        if self.group_by_member and call.via in self.numbers.ring_groups and call.established is None:
            callees = [self.display(device.dn) for device in call.ringing()]
        for callee in callees:
            yield {
                "Id": self._id(call.id),
                "Caller": self.display(call.caller),
                "Callee": callee,
                "Status": call.status,
                "EstablishedAt": None if call.established is None else time_text(call.established),
                "LastChangeStatus": time_text(call.changed),
                "ServerNow": time_text(now),
            }

    def participant(self, call: SimulatedCall, device: Device) -> dict[str, object]:
        """One participant of Call Control."""
        dn, kind, caller_id, name = self._party(call, device)
        originator, originator_kind = self._originator(call, device)
        return {
            "id": self._id(device.id),
            "status": device.status,
            "dn": device.dn,
            "party_caller_name": name,
            "party_dn": dn,
            "party_caller_id": caller_id,
            "party_did": "",
            "device_id": device_id(device.dn, device.number),
            "party_dn_type": kind,
            "direct_control": None if kind is Kind.SPECIAL else False,
            "originated_by_dn": originator,
            "originated_by_type": originator_kind,
            "referred_by_dn": "",
            "referred_by_type": Kind.NONE,
            "on_behalf_of_dn": call.via or "",
            "on_behalf_of_type": self.numbers.kind(call.via) if call.via else Kind.NONE,
            "callid": self._id(call.id),
            "legid": self._id(device.leg),
        }

    def display(self, party: str) -> str:
        """The string of a party in ActiveCalls.

        Outside parties are shown behind the trunk; the trunk's own DN stands for a withheld number (no brackets), and
        a party with a blank is shown as it is (`+49301234567 Ada (Acme GmbH)`).
        """
        if party == MAKE_CALL or " " in party:
            return party
        if party in self.numbers.specials:
            return self.numbers.specials[party]
        if party in self.numbers.trunks:
            return f"{party} {self.numbers.trunks[party]}"
        if self.numbers.kind(party) is not Kind.TRUNK:
            return f"{party} {self.numbers.name(party)}"
        trunk = self.numbers.trunk
        return f"{trunk} {self.numbers.trunks[trunk]} ({party})"

    def _callee(self, call: SimulatedCall) -> str:
        if call.voicemail:
            return f"VoiceMail of {self.display(call.callee)}"
        return self.display(call.callee) if call.routed else "ROUTER"

    def _party(self, call: SimulatedCall, device: Device) -> tuple[str, Kind, str, str]:
        """DN, kind, caller id and name of the other side."""
        if not device.knows_party or not call.routed:
            return "", Kind.NONE, device.dn, ""  # its own number, as in a capture of an outbound call
        other = call.started_by_api or (call.callee if device.dn == call.caller else call.caller)
        number, _, name = other.partition(" ")
        kind = self.numbers.kind(number)
        if kind is not Kind.TRUNK:
            return number, kind, number, self.numbers.name(number)
        return self.numbers.trunk, kind, "" if number in self.numbers.trunks else number, name

    def _originator(self, call: SimulatedCall, device: Device) -> tuple[str, Kind]:
        if call.started_by_api:
            return device.dn, Kind.EXTENSION
        return ("", Kind.NONE) if device.dn == call.caller else ("ROUTER", Kind.ROUTE_POINT)

    def _id(self, number: int) -> int | str:
        return str(number) if self.ids_are_text else number


def device_id(dn: str, number: int) -> str:
    """The SIP address of a user's phone."""
    return f"sip:{dn}@192.0.2.{number + 5}:5060"


def time_text(seconds: float) -> str:
    """A time as .NET writes it, such as `2026-09-01T08:15:04.1234567Z`."""
    whole, part = divmod(seconds, 1)
    ticks = int(part * _TICKS)
    fraction = f".{ticks:07}".rstrip("0") if ticks else ""
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
