"""The calls of the simulated PBX and its numbers: values only; the exchange changes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

from bridge.simulator.people import SimulatedUser

MAKE_CALL = "MakeCall"
"""The caller of a call that a program started by the API, until the user has picked up (seen in others' captures)."""


@dataclass(slots=True)
class RingGroup:
    """A number whose members' phones all ring."""

    name: str
    members: list[str]


class Kind(StrEnum):
    """What a DN is, in the words of Call Control."""

    EXTENSION = "Wextension"
    QUEUE = "Wqueue"
    RING_GROUP = "Wringgroup"
    IVR = "Wivr"
    SPECIAL = "Wspecialmenu"
    TRUNK = "Wexternalline"
    ROUTE_POINT = "Wroutepoint"
    NONE = "None"


_MOST_AGENTS = 20
"""Of one queue: more is rare, and would make everything that a simulated PBX is used to measure about queues."""


@dataclass(slots=True)
class Numbers:
    """All DNs of the PBX; each map may change at any time."""

    users: dict[str, SimulatedUser] = field(default_factory=dict)
    queues: dict[str, str] = field(default_factory=lambda: {"8000": "Support"})
    """Names by DN; the first users are the agents of each."""
    ring_groups: dict[str, RingGroup] = field(default_factory=lambda: {"8100": RingGroup("Reception", ["100", "101"])})
    receptionists: dict[str, str] = field(default_factory=lambda: {"8200": "Main menu"})
    """Digital receptionists (IVR)."""
    trunks: dict[str, str] = field(default_factory=lambda: {"10001": "SIP-Trunk"})
    """The first one carries all calls."""
    trunks_down: set[str] = field(default_factory=set)
    specials: Mapping[str, str] = field(
        default_factory=lambda: {"666": "666 Voicemail", "700": "Conference 700", "SP0": "SP0 Shared Parking 0"}
    )
    """Display strings of numbers that are no user's, as seen in others' captures."""

    def agents(self) -> list[SimulatedUser]:
        """The agents of every queue, logged in or not."""
        return list(islice(self.users.values(), _MOST_AGENTS))

    @property
    def trunk(self) -> str:
        """The DN of the trunk in use."""
        return next(iter(self.trunks))

    def kind(self, dn: str) -> Kind:
        """What `dn` is; an outside party is behind a trunk."""
        kinds: tuple[tuple[Mapping[str, object], Kind], ...] = (
            (self.users, Kind.EXTENSION),
            (self.queues, Kind.QUEUE),
            (self.ring_groups, Kind.RING_GROUP),
            (self.receptionists, Kind.IVR),
            (self.specials, Kind.SPECIAL),
        )
        return next((kind for table, kind in kinds if dn in table), Kind.TRUNK)

    def services(self) -> list[tuple[str, Kind]]:
        """All DNs but the extensions', in the order of their kinds."""
        return [
            *((dn, Kind.QUEUE) for dn in self.queues),
            *((dn, Kind.IVR) for dn in self.receptionists),
            *((dn, Kind.RING_GROUP) for dn in self.ring_groups),
            *((dn, Kind.TRUNK) for dn in self.trunks),
        ]

    def is_service(self, dn: str) -> bool:
        """Whether it is one of them."""
        return any(dn in table for table in (self.queues, self.receptionists, self.ring_groups, self.trunks))

    def name(self, dn: str) -> str:
        """The name of an internal DN, "" for a party outside."""
        if dn in self.users:
            return self.users[dn].name
        if dn in self.ring_groups:
            return self.ring_groups[dn].name
        return self.queues.get(dn) or self.receptionists.get(dn) or ""


@dataclass(slots=True)
class Device:
    """A phone of a user in a call, or a queue that a caller waits in: a participant of Call Control."""

    id: int
    dn: str
    number: int
    """The user's first, second … phone."""
    status: str
    leg: int = 1
    """Its number in the call, from 1."""
    knows_party: bool = True
    """False: it does not say who the other side is, as an outbound leg at first and one that picked a call up."""


@dataclass(slots=True)
class SimulatedCall:
    """A call between two parties: users, queues and groups by DN, outside parties by telephone number."""

    id: int
    caller: str
    callee: str
    status: str
    changed: float
    via: str | None = None
    """The queue or ring group that was called."""
    routed: bool = True
    """False while the PBX looks for the way to the callee."""
    started_by_api: str | None = None
    """The number to dial as soon as the callee has picked up."""
    voicemail: bool = False
    established: float | None = None
    devices: dict[int, Device] = field(default_factory=dict)
    legs: int = 0
    """How many legs the call has had."""

    def of(self, dn: str) -> list[Device]:
        """The phones of this DN in the call."""
        return [device for device in self.devices.values() if device.dn == dn]

    def ringing(self) -> list[Device]:
        """All phones that ring."""
        return [device for device in self.devices.values() if device.status == "Ringing"]
