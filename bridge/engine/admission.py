"""Which DNs are published: the rules of `users:`, and what MQTT allows as a topic level."""

import logging

from bridge.domain.dn import pattern, why_unpublishable
from bridge.engine.settings import UsersSettings

_HOT_DESK = "HD"
"""3CX lists hot-desk phones as users whose number begins so (the scripts of JasonCook599/3CX filter them likewise)."""

_logger = logging.getLogger(__name__)


class Admission:
    """Decides once per DN, so that a DN that cannot be published is logged once and not in each round."""

    def __init__(self, settings: UsersSettings) -> None:
        self._include = pattern(settings.include)
        self._exclude = pattern(settings.exclude)
        self._special = settings.special
        self._decided: dict[str, bool] = {}

    def admits(self, dn: str) -> bool:
        """Whether the user with this DN is published."""
        decision = self._decided.get(dn)
        if decision is None:
            decision = self._decided[dn] = self._decide(dn)
        return decision

    def _decide(self, dn: str) -> bool:
        reason = why_unpublishable(dn)
        if reason is not None:
            _logger.warning("the user with DN %s is not published: %s", ascii(dn[:80]), reason)
            return False
        if self._exclude is not None and self._exclude.match(dn):
            return False
        if self._include is not None and not self._include.match(dn):
            return False
        return self._special or not dn.startswith(_HOT_DESK)
