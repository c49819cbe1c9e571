"""What the engine needs from the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from bridge.domain.model import SourceDescription
from bridge.domain.presence import Rules
from bridge.domain.privacy import CallerId
from bridge.engine.settings import GroupSettings, UsersSettings
from bridge.engine.timing import USUAL, EngineTiming


@dataclass(frozen=True, slots=True)
class Policy:
    """Who is published, what counts as which state, and which sources there are. Times are in seconds."""

    users: UsersSettings
    rules: Rules
    caller_id: CallerId
    groups: Mapping[str, GroupSettings]
    sources: tuple[SourceDescription, ...]
    """All sources, those that are off too, in the order in which `bridge/info` names them."""
    bound: float
    """Without any answer for so long, the PBX counts as offline."""
    grace: float = 20.0
    """After a source that pushes has lost its connection, the calls it reported are used for so long."""
    timing: EngineTiming = USUAL
    zone: ZoneInfo | None = None
    """By whose clocks a day begins; None: this machine's."""
