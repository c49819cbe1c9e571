"""Invented users of the simulated PBX, the same ones every time."""

from dataclasses import dataclass, field

_FIRST = ("Ada", "Bruno", "Chloé", "Dmitri", "Elif", "Finn", "Grace", "Håkon", "Inês", "Jürgen", "Kofi", "Łucja", "Mei")
_LAST = ("Example", "O'Brien", "Müller", "Nowak", "da Silva", "Øster", "Tanaka", "Ng", "Petrović", "Quist", "Sánchez")
_FIRST_ID = 20
_IN_BRACKETS = 3
"""Every thirteenth name, from this one on, ends in brackets, as companies write departments and languages."""
_DEPARTMENTS = 3
"""3CX puts users without a department of their own into department 0."""

_WORDS = {"Available": "Available", "Away": "Away", "Out of office": "DND", "Custom 1": "Available", "Custom 2": "DND"}


@dataclass(slots=True)
class SimulatedUser:
    """One extension, as XAPI knows it."""

    dn: str
    name: str
    id: int = _FIRST_ID
    registered: bool = True
    profile: str | None = "Available"
    """None or "" for one who has never changed it."""
    queue: str = "LoggedOut"
    department: int = 0
    enabled: bool = True
    tags: list[str] = field(default_factory=list)
    devices: int = 1
    """How many phones ring."""
    word: str | None = None
    """Overrides the state word of extended monitor rows; None: it follows from calls, registration and profile."""
    expiration: int = 0

    def row(self) -> dict[str, object]:
        """A row of Users, with secrets as real ones have."""
        first, _, last = self.name.partition(" ")
        return {
            "Number": self.dn,
            "Id": self.id,
            "DisplayName": self.name,
            "FirstName": first,
            "LastName": last,
            "Enabled": self.enabled,
            "IsRegistered": self.registered,
            "CurrentProfileName": self.profile,
            "QueueStatus": self.queue,
            "PrimaryGroupId": self.department,
            "Tags": self.tags,
            "AIAgent": "AI" in self.tags,
            "EmailAddress": f"{self.dn}@example.com",
            "AuthID": f"auth{self.dn}",
            "SIPID": self.dn,
            **dict.fromkeys(("AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN"), "never-select-me"),
        }

    def state_word(self, in_call: str | None) -> str:
        """What an extended monitor row says: the call, else whether a phone is there, else the profile."""
        if self.word is not None:
            return self.word
        if in_call is not None:
            return in_call
        return _WORDS.get(self.profile or "", "Available") if self.registered else "Offline"


def people(count: int) -> list[SimulatedUser]:
    """`count` users numbered 100, 101, …; from 1000 or 10000 on where three or four digits do not suffice."""
    first = next(start for start in (100, 1000, 10_000) if count <= start * 9)
    return [
        SimulatedUser(str(first + index), _name(index), _FIRST_ID + index, department=index % _DEPARTMENTS)
        for index in range(count)
    ]


def _name(index: int) -> str:
    around, place = divmod(index, len(_FIRST) * len(_LAST))
    name = f"{_FIRST[place % len(_FIRST)]} {_LAST[place % len(_LAST)]}"
    if place % len(_FIRST) == _IN_BRACKETS:
        name += " (Sales)"  # which looks like an outside number in brackets
    return f"{name} {around + 1}" if around else name
