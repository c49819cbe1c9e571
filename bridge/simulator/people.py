"""Made-up users of the simulated PBX, the same ones every time."""

from dataclasses import dataclass

_FIRST = ("Ada", "Bruno", "Chloé", "Dmitri", "Elif", "Finn", "Grace", "Håkon", "Inês", "Jürgen", "Kofi", "Łucja", "Mei")
_LAST = ("Example", "O'Brien", "Müller", "Nowak", "da Silva", "Øster", "Tanaka", "Ng", "Petrović", "Quist", "Sánchez")


@dataclass(slots=True)
class SimulatedUser:
    """One extension. `state` is the word that extended rows carry."""

    dn: str
    name: str
    state: str = "Available"
    expiration: int = 0


def people(count: int) -> list[SimulatedUser]:
    """`count` users numbered 100, 101, …; from 1000 or 10000 on where three or four digits do not suffice."""
    first = next(start for start in (100, 1000, 10_000) if count <= start * 9)
    return [SimulatedUser(str(first + index), _name(index)) for index in range(count)]


def _name(index: int) -> str:
    around, place = divmod(index, len(_FIRST) * len(_LAST))
    name = f"{_FIRST[place % len(_FIRST)]} {_LAST[place % len(_LAST)]}"
    return f"{name} {around + 1}" if around else name
