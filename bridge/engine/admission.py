"""Which DNs are published: the rules of `users:`, and what MQTT allows as a topic level."""

import logging
from functools import lru_cache

from bridge.domain.dn import pattern, why_unpublishable
from bridge.engine.settings import UsersSettings

_HOT_DESK = "HD"
"""3CX lists hot-desk phones as users whose number begins so (the scripts of JasonCook599/3CX filter them likewise)."""

_MOST_REMEMBERED = 100_000
"""Decisions."""

_logger = logging.getLogger(__name__)


class Admission:
    """Decides once per DN; the log shows once, and not in each round, which DN cannot be published."""

    def __init__(self, settings: UsersSettings) -> None:
        self._include = pattern(settings.include)
        self._exclude = pattern(settings.exclude)
        self._special = settings.special
        self.admits = lru_cache(_MOST_REMEMBERED)(self._decide)
        """Whether the user with this DN is published."""

    def _decide(self, dn: str) -> bool:
        reason = why_unpublishable(dn)
        if reason is not None:
            _logger.warning("the user with DN %s is not published: %s", ascii(dn[:80]), reason, extra={"subject": dn})
            return False
        if self._exclude is not None and self._exclude.match(dn):
            return False
        if self._include is not None and not self._include.match(dn):
            return False
        return self._special or not dn.startswith(_HOT_DESK)
