"""What the PBX says about itself as a whole."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class System:
    """Counts of the PBX; None: it does not say."""

    calls: int | None = None
    max_calls: int | None = None
    """Calls at a time that the licence allows."""
    trunks_online: int | None = None
    trunks: int | None = None
    extensions_online: int | None = None
    extensions: int | None = None
    licence_expires: str | None = None
    """A date and time, ISO 8601 in UTC."""
    version: str | None = None
